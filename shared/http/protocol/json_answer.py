"""Answers of JSON, made a piece at a time: while the interpreter's encoder is at work, no other thread is."""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

# Some milliseconds of work.
_ITEMS_AT_ONCE = 4096
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_SORTING = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def json_answer(body: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with a JSON body; made in the thread that calls."""
    return Response(b"".join(json_pieces(body)), status, headers, "application/json")


def json_pieces(value: Any, *, is_sorted: bool = False) -> Iterator[bytes]:
    """The JSON of a value, in pieces; with `is_sorted`, objects have their names in order."""
    encoder = _SORTING if is_sorted else _ENCODER
    match value:
        case dict() if any(map(_is_long, value.values())):
            mark = b"{"
            for name, member in sorted(value.items()) if is_sorted else value.items():
                yield mark + encoder.encode(name).encode() + b":"
                yield from json_pieces(member, is_sorted=is_sorted)
                mark = b","
            yield b"}"
        case list() if any(isinstance(item, dict | list) for item in value):
            mark = b"["
            for item in value:
                yield mark
                yield from json_pieces(item, is_sorted=is_sorted)
                mark = b","
            yield b"]"
        case list() if _is_long(value):
            for start in range(0, len(value), _ITEMS_AT_ONCE):
                items = encoder.encode(value[start : start + _ITEMS_AT_ONCE])
                yield (b"," if start else b"[") + items[1:-1].encode()
            yield b"]"
        case _:
            yield encoder.encode(value).encode()


def _is_long(value: Any) -> bool:
    """Whether a value is not made at once: it has many items, or holds others that may."""
    if isinstance(value, list):
        return len(value) > _ITEMS_AT_ONCE or (bool(value) and isinstance(value[0], dict | list))
    return isinstance(value, dict)
