"""The reader of JSON bodies: what it reads, and that its time grows with the length alone."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import RequestError
from shared.http.protocol.json_body import DEPTH_LIMIT, VALUES_LIMIT, read_json
from tests.growth import LINEAR, growth

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text('\\"[]{},:u')
)
NAMES = st.text(max_size=5) | st.text('\\"[]{}', max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES, inner, max_size=4).filter(lambda found: len(found) == len({*map(str.casefold, found)}))
    ),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]))
def test_what_json_writes_is_read(value: Any, escaped: bool, encoding: str) -> None:
    text = json.dumps({"value": value}, ensure_ascii=escaped)
    assert read_json(text.encode(encoding)) == {"value": value}


@given(VALUES, st.integers(0, DEPTH_LIMIT))
def test_only_brackets_outside_of_strings_nest(value: Any, spare: int) -> None:
    # The value goes as deep as it is; wrapped in one list more than is left, it goes too deep.
    levels = depth_of(value)
    wrapped = json.dumps(value)
    for _ in range(DEPTH_LIMIT - levels - spare):
        wrapped = f"[{wrapped}]"
    read_json(wrapped.encode())
    for _ in range(spare + 1):
        wrapped = f"[{wrapped}]"
    with pytest.raises(RequestError, match="deeper"):
        read_json(f"{'[' * max(0, levels - DEPTH_LIMIT)}{wrapped}".encode())


def depth_of(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case _:
            return 0


@pytest.mark.parametrize(
    "made",
    [
        lambda size: '"' + '\\"' * (size // 2),
        lambda size: '{"a":"' + "\\" * size,
        lambda size: '"' * size,
        lambda size: "[" * size,
        lambda size: '{"a":' * (size // 5),
        lambda size: "[" * (size // 2) + "]" * (size // 2),
        lambda size: "{" + '"a":1,' * (min(size, VALUES_LIMIT) // 6) + '"A":1}',
        lambda size: f'{{"a":{"9" * size}}}',
        lambda size: f'{{"a":0.{"9" * size}}}',
        lambda size: f'{{"a":1e{"9" * size}}}',
        lambda size: '{"a":"' + "\\ud83d\\ude00" * (size // 12) + '\\ud83d"}',
        lambda size: '{"a":"' + "ä" * size + '\\ud83d"}',
        lambda size: "{" + " " * size + "}",
        lambda size: "{" + "\n" * size + "1}",
        lambda size: '"\\' + "\n" * size,
    ],
    ids=lambda made: repr(made(24)),
)
def test_the_time_grows_with_the_length(made: Callable[[int], str]) -> None:
    def read(content: bytes) -> None:
        with suppress(RequestError):
            read_json(content)

    assert growth(read, lambda size: made(size).encode()) < LINEAR
