"""Reading a CSV body: its bytes within a limit, and the encoding that the request declares."""

from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from shared.app import Services
from shared.domain.csv_dialect import check_encoding
from shared.domain.errors import MediaTypeError, RequestTooLargeError
from shared.http.body import check_not_compressed, read_within

MEDIA_TYPE = "text/csv"


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
