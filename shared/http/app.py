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
from shared.http.resources.render import routes_of
from shared.http.routes import connectors, data, mappings, runs, service, suggestions
from shared.http.routes.table import DEFINITIONS

_AREAS = (suggestions, runs, data, service)
_REQUEST_ONLY = (connectors.ConnectionTestRequest, mappings.PreviewRequest, suggestions.SuggestRequest)


class HttpApp(FastAPI):
    """FastAPI whose OpenAPI document says what our answers hold."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            forms = [form for row in DEFINITIONS for form in row.model.forms]
            self.openapi_schema = describe(super().openapi(), forms, _REQUEST_ONLY)
        return self.openapi_schema


def create_http_app(services: Services) -> FastAPI:
    """The application over the given services; nothing is opened before the first request needs it."""
    app = HttpApp(
        title=TITLE,
        version=VERSION,
        # Routes with a class of their own lose it in `include_router`; given like this they keep it.
        routes=[
            *(route for row in DEFINITIONS for route in routes_of(row)),
            *(route for area in _AREAS for route in area.router.routes),
        ],
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
