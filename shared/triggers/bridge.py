"""Azure's ASGI bridge around the application."""

from collections.abc import Awaitable, Callable

import azure.functions as func

from shared.app import Services
from shared.http.app import create_http_app

type Bridge = Callable[[func.HttpRequest, func.Context | None], Awaitable[func.HttpResponse]]


def create_bridge(services: Services) -> Bridge:
    """The application over the given services, as the Functions worker calls it."""
    middleware = func.AsgiMiddleware(create_http_app(services))

    async def answer(request: func.HttpRequest, context: func.Context | None = None) -> func.HttpResponse:
        answered: func.HttpResponse = await middleware.handle_async(_with_whole_path(request), context)
        return answered

    return answer


def _with_whole_path(request: func.HttpRequest) -> func.HttpRequest:
    """The request with each `;` of its path encoded: the middleware drops what follows one in the last segment."""
    path, mark, query = request.url.partition("?")
    if ";" not in path:
        return request
    return func.HttpRequest(
        request.method,
        f"{path.replace(';', '%3B')}{mark}{query}",
        headers=request.headers,
        params=request.params,
        route_params=request.route_params,
        body=request.get_body(),
    )
