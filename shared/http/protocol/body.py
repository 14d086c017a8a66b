"""Reading request bodies: JSON within limits, refused with the reason and the place of the fault."""

from collections.abc import Mapping
from email.message import Message
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from shared.domain.errors import FAULTS_LIMIT, Fault, InvalidRequestError, MediaTypeError, RequestTooLargeError
from shared.domain.names import same_name
from shared.domain.shown import shown
from shared.http.protocol.json_body import invalid_json, read_json

BODY_LIMIT_BYTES = 256 * 1024
_LENGTH_DIGITS = 18


async def _read(request: Request) -> bytes:
    message = f"the body is over {BODY_LIMIT_BYTES // 1024} KiB; send less"
    return await read_within(request, BODY_LIMIT_BYTES, RequestTooLargeError("BodyTooLarge", message))


_Content = Annotated[bytes, Depends(_read)]


# These are no coroutines: a large body is parsed in a thread, and the event loop goes on answering others.
def read_object(request: Request, content: _Content) -> dict[str, Any]:
    """The JSON object that the body is."""
    if not content.strip():
        raise invalid_json("the body is empty; send a JSON object")
    return _parse(request, content)


def read_optional_object(request: Request, content: _Content) -> dict[str, Any]:
    """The JSON object that the body is; an empty one without a body."""
    return _parse(request, content) if content.strip() else {}


def _read_nothing(request: Request, content: _Content) -> None:
    names = list(read_optional_object(request, content))
    if names:
        message = "this route takes no properties; send no body, or {}"
        first = [Fault("UnknownProperty", name, message) for name in names[:FAULTS_LIMIT]]
        raise InvalidRequestError(first, more=len(names) - len(first))


JsonObject = Annotated[dict[str, Any], Depends(read_object)]
OptionalJsonObject = Annotated[dict[str, Any], Depends(read_optional_object)]
NoBody = Annotated[None, Depends(_read_nothing)]


def require_same_name(body: Mapping[str, Any], property_name: str, name: str) -> None:
    """Refuses a body that names itself otherwise than its path does."""
    for key, value in body.items():
        if same_name(key, property_name) and value is not None and not same_name(str(value), name):
            message = f"the path names {shown(name)}; leave {property_name} out, or let it say the same"
            raise InvalidRequestError([Fault("NameMismatch", property_name, message)])


async def read_within(request: Request, limit: int, too_large: RequestTooLargeError) -> bytes:
    """The body; raises `too_large` as soon as it is over `limit` bytes, be it announced or not."""
    announced = request.headers.get("content-length", "")
    # By its length first: `int` refuses thousands of digits.
    if announced.isdecimal() and (len(announced) > _LENGTH_DIGITS or int(announced) > limit):
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        if chunk:
            chunks.append(chunk)
    # Azure's bridge gives it in one piece, which is then not copied.
    return b"".join(chunks)


def check_not_compressed(request: Request) -> None:
    """Raises MediaTypeError where the body has a content encoding."""
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().casefold() not in {"", "identity"}:
        raise MediaTypeError(
            "UnsupportedMediaType", "the body must not be compressed; send it without Content-Encoding"
        )


def _parse(request: Request, content: bytes) -> dict[str, Any]:
    _check_media_type(request)
    value = read_json(content)
    if not isinstance(value, dict):
        raise invalid_json("the body must be a JSON object")
    return value


def _check_media_type(request: Request) -> None:
    declared = request.headers.get("content-type")
    if declared:
        message = Message()
        message["content-type"] = declared
        kind = message.get_content_type()
        if kind not in {"application/json", "text/json"} and not kind.endswith("+json"):
            raise MediaTypeError("UnsupportedMediaType", "the body must be JSON; send Content-Type: application/json")
    check_not_compressed(request)
