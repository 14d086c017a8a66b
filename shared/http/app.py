"""The FastAPI application of all routes; it needs no lifespan, and no exception leaves it."""

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from shared.app import Services
from shared.domain.errors import HubError
from shared.http.protocol.error_answers import answer_http_exception, answer_hub_error, answer_validation_error
from shared.http.protocol.gateway import Gateway
from shared.http.protocol.openapi import TITLE, VERSION, describe
from shared.http.routes import connectors, data, hubs, kpis, mappings, runs, service, suggestions, types

_AREAS = (hubs, types, kpis, connectors, mappings, suggestions, runs, data, service)


class HttpApp(FastAPI):
    """FastAPI whose OpenAPI document says what our answers hold."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(
                super().openapi(), connectors.ConnectionTestRequest, mappings.PreviewRequest, suggestions.SuggestRequest
            )
        return self.openapi_schema


def create_http_app(services: Services) -> FastAPI:
    """The application over the given services; nothing is opened before the first request needs it."""
    app = HttpApp(
        title=TITLE,
        version=VERSION,
        # Routes with a class of their own lose it in `include_router`; given like this they keep it.
        routes=[route for area in _AREAS for route in area.router.routes],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Gateway)],
        exception_handlers={
            HubError: answer_hub_error,
            HTTPException: answer_http_exception,
            RequestValidationError: answer_validation_error,
        },
    )
    app.state.services = services
    return app
