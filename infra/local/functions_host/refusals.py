"""What the host refuses itself, before any function sees it, in the words and the shape of the app's own errors."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error body; its code is the status in words, such as `MethodNotAllowed`."""
    code = HTTPStatus(status).phrase.replace(" ", "")
    return JSONResponse({"error": {"code": code, "message": message, "target": "", "details": []}}, status, headers)


async def answer_http_exception(_: Request, error: Any) -> Response:
    """Answer an HTTPException, by which routes and the host's limits refuse; a 405 keeps its `Allow`."""
    message = str(error.detail)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        message = "This route does not take the method; the header Allow lists those that it may take."
    return refusal(error.status_code, message, error.headers)


class OneLength:
    """Refuses a request that tells its length twice, and closes the connection.

    Parsers that stand one behind the other may each believe another of both, and take the rest of the body for the
    next request: https://www.rfc-editor.org/rfc/rfc9112#section-6.1. h11, which serves here, would let it pass.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self._app
        if scope["type"] == "http" and {"content-length", "transfer-encoding"} <= set(Headers(scope=scope)):
            message = "The request has both Content-Length and Transfer-Encoding; send one of them."
            app = refusal(400, message, {"Connection": "close"})
        await app(scope, receive, send)
