"""Reading request bodies: JSON within limits, refused with the reason and the place of the fault."""

import json
import re
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from shared.domain.errors import (
    Fault,
    InvalidRequestError,
    MediaTypeError,
    RequestError,
    RequestTooLargeError,
)
from shared.domain.names import same_name

BODY_LIMIT_BYTES = 256 * 1024
_DEPTH_LIMIT = 32
_BRACKET_OR_STRING = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"')


async def _read_object(request: Request) -> dict[str, Any]:
    content = await _read(request)
    if not content.strip():
        raise _invalid("the body is empty; send a JSON object")
    return _parse(request, content)


async def _read_optional_object(request: Request) -> dict[str, Any]:
    content = await _read(request)
    return _parse(request, content) if content.strip() else {}


async def _read_nothing(request: Request) -> None:
    faults = [
        Fault("UnknownProperty", name[:128], "this route takes no properties; send no body, or {}")
        for name in await _read_optional_object(request)
    ]
    if faults:
        raise InvalidRequestError(faults)


JsonObject = Annotated[dict[str, Any], Depends(_read_object)]
OptionalJsonObject = Annotated[dict[str, Any], Depends(_read_optional_object)]
NoBody = Annotated[None, Depends(_read_nothing)]


def require_same_name(body: Mapping[str, Any], property_name: str, name: str) -> None:
    """Refuses a body that names itself otherwise than its path does."""
    for key, value in body.items():
        if same_name(key, property_name) and value is not None and not same_name(str(value), name):
            message = f"the path names {name!r}; leave {property_name} out, or let it say the same"
            raise InvalidRequestError([Fault("NameMismatch", property_name, message)])


async def read_within(request: Request, limit: int, too_large: RequestTooLargeError) -> bytes:
    """The body; raises `too_large` as soon as it is over `limit` bytes, be it announced or not."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise too_large
    return bytes(content)


def check_not_compressed(request: Request) -> None:
    """Raises MediaTypeError where the body has a content encoding."""
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().casefold() not in {"", "identity"}:
        raise MediaTypeError(
            "UnsupportedMediaType", "the body must not be compressed; send it without Content-Encoding"
        )


async def _read(request: Request) -> bytes:
    message = f"the body is over {BODY_LIMIT_BYTES // 1024} KiB; send less"
    return await read_within(request, BODY_LIMIT_BYTES, RequestTooLargeError("BodyTooLarge", message))


def _parse(request: Request, content: bytes) -> dict[str, Any]:
    _check_media_type(request)
    try:
        text = content.decode(json.detect_encoding(content)).removeprefix("\ufeff")
        _check_depth(text)
        value = json.loads(
            text,
            object_pairs_hook=_without_doubles,
            parse_constant=_refuse_constant,
        )
        _check_values(value)
    except json.JSONDecodeError as error:
        message = f"the body is no JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise _invalid(message) from None
    except UnicodeDecodeError as error:
        raise _invalid(f"the body is not UTF-8 at byte {error.start}") from None
    except ValueError:
        raise _invalid("the body holds a number with more digits than can be read") from None
    if not isinstance(value, dict):
        raise _invalid("the body must be a JSON object")
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


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _invalid("an object of the body has the same property twice; name each once")
    return found


def _refuse_constant(name: str) -> Any:
    raise _invalid(f"the body holds {name}, which is no JSON value")


def _check_depth(text: str) -> None:
    """Looks before parsing: the parser would go as deep as the process can, and end anything that runs meanwhile."""
    depth = 0
    for found in _BRACKET_OR_STRING.finditer(text):
        match found[0][0]:
            case "[" | "{":
                depth += 1
                if depth > _DEPTH_LIMIT:
                    raise _too_deep()
            case "]" | "}":
                depth -= 1


def _check_values(value: Any) -> None:
    for item in _parts(value):
        if isinstance(item, str):
            # A lone surrogate can neither be stored nor answered.
            if not item.isascii() and any("\ud800" <= sign <= "\udfff" for sign in item):
                raise _invalid("the body holds half of a surrogate pair; escape both halves")
        elif isinstance(item, (dict, list)):
            _check_values(item)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list):
        yield from value
    else:
        yield value


def _invalid(message: str) -> RequestError:
    return RequestError("InvalidJson", message)


def _too_deep() -> RequestError:
    return _invalid(f"the body is nested deeper than {_DEPTH_LIMIT} levels")
