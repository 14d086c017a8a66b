"""`$skiptoken`: where a page of a list starts, as opaque text that clients bring back, and others may make up."""

import base64
import binascii
import json
from collections.abc import Mapping

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from shared.domain.errors import Fault, InvalidRequestError

type Cursor = dict[str, str | bool | int | FiniteFloat | None]
"""Where a list goes on: values of the last row of a page by their columns, or what a service said of it."""

# Longer than any address that a server takes; so much is read at once, whatever stands in it.
_MAX_LENGTH = 64 * 1024

# The parser of this library is written without recursion, and refuses nests, lone surrogates and NaN by itself.
_KEY: TypeAdapter[str] = TypeAdapter(str)
_CURSOR: TypeAdapter[Cursor] = TypeAdapter(Cursor)


def write_token(start: str | Mapping[str, object]) -> str:
    """A token that holds `start`: a key, or a cursor."""
    text = json.dumps(start, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_key(token: str) -> str:
    """The key that a token holds. Raises InvalidRequestError for one that is none of ours."""
    return _read(token, _KEY)


def read_cursor(token: str) -> Cursor:
    """The cursor that a token holds. Raises InvalidRequestError for one that is none of ours."""
    return _read(token, _CURSOR)


def refused_token() -> InvalidRequestError:
    """What a token is answered with that no list gave out."""
    message = "the skip token is not one that this list gave out; start again without it"
    return InvalidRequestError([Fault("InvalidSkipToken", "$skiptoken", message)])


def _read[T](token: str, kind: TypeAdapter[T]) -> T:
    if len(token) > _MAX_LENGTH:
        raise refused_token()
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return kind.validate_json(text, strict=True)
    except (binascii.Error, ValidationError, ValueError):
        raise refused_token() from None
