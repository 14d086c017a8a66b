"""Reading a CSV body: its bytes within a limit, and the encoding that the request declares.

To read its rows takes several times its bytes. So large bodies are worked on one at a time, of every hub in turn.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from shared.app import Services
from shared.domain.csv_dialect import check_encoding
from shared.domain.errors import MediaTypeError, RequestTooLargeError, ThrottledError
from shared.domain.names import name_key
from shared.http.protocol.body import check_not_compressed, read_within
from shared.permits import Permits

MEDIA_TYPE = "text/csv"
# Bodies up to here need no permit.
LITTLE_BYTES = 1024**2
_LARGE_BODIES = Permits(most_of_one=4, most=8, within_s=10.0)
# One thread works on them: what is given back stays with the thread for its next one, and would stay with each of many.
_worker = ThreadPoolExecutor(1, "large-corrections")


@dataclass(frozen=True, slots=True)
class CsvContent:
    """A CSV as it was sent; `encoding` is None where the request declares no charset."""

    content: bytes
    encoding: str | None


async def _read_csv(request: Request) -> CsvContent:
    encoding = _encoding(request)
    services: Services = request.app.state.services
    limit = services.settings.max_correction_bytes
    message = f"the body is over {limit} bytes (MAX_CORRECTION_BYTES); send the rows in several pieces"
    content = await read_within(request, limit, RequestTooLargeError("BodyTooLarge", message))
    return CsvContent(content, encoding)


CsvBody = Annotated[CsvContent, Depends(_read_csv)]


def one_by_one[Result](hub: str, size: int, work: Callable[[], Result]) -> Result:
    """What `work` makes of a correction; of a large one, when it has its permit.

    Args:
        hub: whose rows they are.
        size: bytes of the body, or of the rejects that it corrects, whichever are more: both are read.
        work: that reads them.

    Raises:
        ThrottledError: `CorrectionsBusy`, others have large ones; those of other hubs only as long as each gets one.
    """
    if size <= LITTLE_BYTES:
        return work()
    with _LARGE_BODIES.permit(name_key(hub)) as has_permit:
        if not has_permit:
            message = (
                "others are sending large corrections to this app, or correct runs with many rejects; nothing of this "
                f"one was taken, repeat the request. Up to {LITTLE_BYTES} bytes of rows and of rejects need no permit"
            )
            raise ThrottledError("CorrectionsBusy", message)
        return _worker.submit(copy_context().run, work).result()


def csv_body(example: str) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads a CSV."""
    content = {"schema": {"type": "string"}, "example": example}
    return {"requestBody": {"required": True, "content": {MEDIA_TYPE: content}}}


def _encoding(request: Request) -> str | None:
    message = Message()
    message["content-type"] = request.headers.get("content-type") or "application/octet-stream"
    if message.get_content_type() != MEDIA_TYPE:
        raise MediaTypeError("UnsupportedMediaType", f"the body must be CSV; send Content-Type: {MEDIA_TYPE}")
    check_not_compressed(request)
    charset = message.get_content_charset()
    if charset is not None:
        try:
            check_encoding(charset)
        except ValueError as error:
            raise MediaTypeError("UnsupportedMediaType", f"the charset of Content-Type: {error}") from None
    return charset
