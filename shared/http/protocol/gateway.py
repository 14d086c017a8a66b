"""The outermost layer of every request: its id, HEAD, the headers of all answers, the access log, and the last net."""

import logging
import time
import traceback
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.deadline import HTTP_ANSWER_S, deadline
from shared.http.protocol.error_answers import internal_error
from shared.redact import without_secrets

logger = logging.getLogger(__name__)

REQUEST_ID = "request_id"
IS_HEAD = "is_head"
# The Functions host's own name for the request, the one its traces are found by.
_INVOCATION_ID = "azure_functions.invocation_id"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Gateway:
    """Lets no exception out: whatever goes wrong inside is answered with the error body and logged once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        try:
            # Handlers run in threads, with the context of this one.
            with deadline(HTTP_ANSWER_S):
                await self._app(exchange.scope, receive, exchange.send)
        except Exception as error:
            trace = without_secrets("".join(traceback.format_exception(error)))
            logger.error("request %s failed: %s", exchange.request_id, trace)
            # An answer that has begun cannot be replaced; its length no longer fits, which the client sees.
            if exchange.status is None:
                await internal_error(exchange.request_id)(exchange.scope, receive, exchange.send)
        exchange.log()


class _Exchange:
    """One request and what has been answered so far."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.request_id = str(scope.get(_INVOCATION_ID) or uuid.uuid4())
        self.status: int | None = None
        self._method = scope["method"]
        # HEAD is GET without the body; the routes know GET only.
        is_head = self._method == "HEAD"
        method = "GET" if is_head else self._method
        self.scope: Scope = {**scope, "method": method, IS_HEAD: is_head, REQUEST_ID: self.request_id}
        self._send = send
        self._began_ns = time.monotonic_ns()

    async def send(self, message: Message) -> None:
        """Passes a part of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers["X-Ms-Request-Id"] = self.request_id
        elif message["type"] == "http.response.body" and self._method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    def log(self) -> None:
        """One line without path or query: both may name people, and a query may hold a key."""
        route = getattr(self.scope.get("route"), "path", "-")
        took_ms = (time.monotonic_ns() - self._began_ns) // 1_000_000
        logger.info(
            "%s %s answered %s in %d ms, request %s", self._method, route, self.status, took_ms, self.request_id
        )
