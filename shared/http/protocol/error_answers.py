"""From an error to its answer: the one error body, the status, and the headers that belong to it."""

import logging
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.domain.errors import Fault, HubError, InvalidRequestError, RangeError, TransientError, http_status
from shared.domain.names import check_hub_name, check_name
from shared.domain.refusals import refusal
from shared.redact import without_secrets

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5
_INVALID_NAME = "InvalidName"


class ErrorDetail(BaseModel):
    """One thing that is wrong; `target` is a JSON path such as `fields[2].fieldType`, or a parameter's name."""

    code: str
    target: str
    message: str


class ErrorContent(BaseModel):
    """What is wrong, where, and what to do about it."""

    code: str
    message: str
    target: str
    details: list[ErrorDetail]


class ErrorBody(BaseModel):
    """The body of every answer from 400 on."""

    error: ErrorContent


async def answer_hub_error(request: Request, error: HubError) -> Response:
    """Answers an error of our tree."""
    status = http_status(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request %s: %s", request.scope.get("request_id"), error)
    headers = {}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        seconds = error.retry_after_s if isinstance(error, TransientError) else None
        headers["Retry-After"] = str(math.ceil(seconds or RETRY_AFTER_S))
    if isinstance(error, RangeError):
        headers["Content-Range"] = f"bytes */{error.size}"
    return _answer(status, _code_of(error), error.message, error.target, error.details, headers)


async def answer_http_exception(request: Request, error: HTTPException) -> Response:
    """Answers what the framework itself refuses: unknown routes and methods."""
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            message = "there is no such route; /openapi.json lists all of them"
            return _answer(404, "RouteNotFound", message)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(_allowed_methods(request))
            message = f"this route does not take {request.scope['method']}; it takes {allowed}"
            return _answer(405, "MethodNotAllowed", message, headers={"Allow": allowed})
        case status:
            return _answer(status, HTTPStatus(status).phrase.replace(" ", ""), str(error.detail))


async def answer_validation_error(_: Request, error: RequestValidationError) -> Response:
    """Answers names in the path and query options that are not as they must be; all of them at once."""
    found = InvalidRequestError([_fault(item) for item in error.errors()])
    return _answer(400, _code_of(found), found.message, found.target, found.details)


def internal_error(request_id: str) -> Response:
    """The answer where something is wrong with us; the log tells what, under the same id."""
    message = f"something went wrong on our side; the log has the reason under the request id {request_id}"
    return _answer(500, "InternalError", message)


def _answer(
    status: int,
    code: str,
    message: str,
    target: str = "",
    details: Sequence[Fault] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    body = ErrorBody(
        error=ErrorContent(
            code=code,
            message=without_secrets(message),
            # Unknown properties are named, and a name can be anything.
            target=without_secrets(target),
            details=[
                ErrorDetail(
                    code=fault.code,
                    target=without_secrets(fault.target),
                    message=without_secrets(fault.message),
                )
                for fault in details
            ],
        )
    )
    return JSONResponse(body.model_dump(), status, headers)


def _code_of(error: HubError) -> str:
    # Where nothing but names is wrong, scripts need not look into the details to know it.
    names_only = bool(error.details) and all(fault.code == _INVALID_NAME for fault in error.details)
    return _INVALID_NAME if names_only else error.code


def _fault(item: dict[str, Any]) -> Fault:
    place, *rest = item["loc"]
    target = str(rest[0]) if rest else ""
    if place == "path":
        try:
            check_hub_name(item["input"]) if target == "hub" else check_name(item["input"], target)
        except InvalidRequestError as error:
            return error.details[0]
    return Fault("InvalidValue", target, refusal(item["type"], item["input"], item.get("ctx", {})))


def _allowed_methods(request: Request) -> list[str]:
    path = request.scope["path"]
    allowed = {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.path_regex.match(path)
        for method in route.methods or ()
    }
    return sorted(allowed | {"HEAD"} if "GET" in allowed else allowed)
