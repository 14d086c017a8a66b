"""HTTP: FastAPI behind Azure's ASGI bridge, one function per area."""

from collections.abc import Awaitable, Callable
from functools import lru_cache

import azure.functions as func

from shared.app import services
from shared.domain import function_names as names

http = func.Blueprint()

_METHODS = [func.HttpMethod(name) for name in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS")]


@http.function_name(names.HTTP_HUBS)
@http.route(route="hubs/{*path}", methods=_METHODS)
async def hubs(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Everything under `/hubs`."""
    return await _bridge()(req, context)


@http.function_name(names.HTTP_SERVICE)
@http.route(route="{*path}", methods=_METHODS)
async def service(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """`/health`, `/openapi.json`, and a proper answer to every other route."""
    return await _bridge()(req, context)


type _Bridge = Callable[[func.HttpRequest, func.Context], Awaitable[func.HttpResponse]]


@lru_cache(maxsize=1)
def _bridge() -> _Bridge:
    from shared.http.app import create_http_app

    bridge: _Bridge = func.AsgiMiddleware(create_http_app(services())).handle_async
    return bridge
