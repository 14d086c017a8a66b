"""JSON that anybody may have sent: read in a time that grows with its length alone, and refused with the reason."""

import json
import math
from itertools import accumulate
from typing import Any

from shared.domain.errors import RequestError, RequestTooLargeError
from shared.domain.shown import shown

DEPTH_LIMIT = 32
# A definition of 3,500 fields has about 15,000. Each value costs some microseconds to check, and a text of nothing but
# small ones would have ten times as many.
VALUES_LIMIT = 25_000
NAME_LIMIT = 512  # characters; each fault of what is below one repeats it in its target
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def read_json(content: bytes) -> Any:
    """The value of a JSON text in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        RequestTooLargeError: it holds more than VALUES_LIMIT values.
        RequestError: it is no JSON, is nested deeper than DEPTH_LIMIT, holds a number that is no finite double or half
            of a surrogate pair, or has a property whose name is longer than NAME_LIMIT or
            stands in its object twice; names compare without regard to case.
    """
    try:
        text = content.decode(json.detect_encoding(content)).removeprefix("\ufeff")
        # Before parsing: the parser would go as deep as the process can, and end anything that runs meanwhile.
        _check_shape(_outside_of_strings(text))
        value = json.loads(
            text,
            object_pairs_hook=_without_doubles,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except json.JSONDecodeError as error:
        message = f"the body is no JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise invalid_json(message) from None
    except UnicodeDecodeError as error:
        raise invalid_json(f"the body is not UTF-8 at byte {error.start}") from None
    if "\\u" in text:  # nothing else can write half of a pair
        _check_surrogates(value)
    return value


def invalid_json(message: str) -> RequestError:
    """The error of a body that is no JSON, or none of ours."""
    return RequestError("InvalidJson", message)


def _outside_of_strings(text: str) -> str:
    """What stands outside of the strings of a JSON text; up to its first fault, where it has one.

    Each step goes over the text once: the escapes are taken out, then every second piece between quotes is a string.
    One that is never closed is the last piece.
    """
    bare = text.replace("\\\\", "").replace('\\"', "")
    return "".join(bare.split('"')[::2])


def _check_shape(outside: str) -> None:
    if max(accumulate(_STEPS.get(sign, 0) for sign in outside), default=0) > DEPTH_LIMIT:
        raise invalid_json(f"the body is nested deeper than {DEPTH_LIMIT} levels")
    # A list or object holds one value more than it has commas.
    if sum(map(outside.count, ",[{")) > VALUES_LIMIT:
        message = f"the body holds more than {VALUES_LIMIT} values; send less"
        raise RequestTooLargeError("BodyTooLarge", message)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: set[str] = set()
    for name, _ in pairs:
        if len(name) > NAME_LIMIT:
            message = f"the name {shown(name)} of a property has more than {NAME_LIMIT} characters; shorten it"
            raise invalid_json(message)
        key = name.casefold()
        if key in seen:
            message = f"an object of the body names {shown(name)} twice, be it in another case; name each property once"
            raise invalid_json(message)
        seen.add(key)
    return dict(pairs)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _too_large(digits)
    return number


def _whole(digits: str) -> int:
    # Looked at as a double first: a number of so many digits that `int` refuses it is infinite there.
    if math.isinf(float(digits)):
        raise _too_large(digits)
    return int(digits)


def _too_large(digits: str) -> RequestError:
    return invalid_json(f"the body holds the number {shown(digits)}; the largest that can be kept is about 1.8e308")


def _refuse_constant(name: str) -> Any:
    raise invalid_json(f"the body holds {name}, which is no JSON value")


def _check_surrogates(value: Any) -> None:
    """Refuses half of a pair, which can neither be stored nor answered."""
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise invalid_json("the body holds half of a surrogate pair; escape both halves") from None
        case dict():
            for name, item in value.items():
                _check_surrogates(name)
                _check_surrogates(item)
        case list():
            for item in value:
                _check_surrogates(item)
