"""HTTP: FastAPI behind Azure's ASGI bridge, one function per area."""

from functools import lru_cache
from typing import TYPE_CHECKING

import azure.functions as func

from shared.app import services
from shared.domain import function_names as names

if TYPE_CHECKING:
    from shared.triggers.bridge import Bridge

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


@lru_cache(maxsize=1)
def _bridge() -> "Bridge":
    from shared.triggers.bridge import create_bridge

    return create_bridge(services())
