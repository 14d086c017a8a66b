"""Answers are the same JSON however they are cut, and no piece takes the encoder long."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.protocol import json_answer as module
from shared.http.protocol.json_answer import json_answer, json_pieces

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ITEMS_AT_ONCE", 2)
        yield


@given(VALUES, st.booleans())
def test_pieces_are_the_json_of_the_whole(value: Any, is_sorted: bool) -> None:
    whole = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=is_sorted)
    assert b"".join(json_pieces(value, is_sorted=is_sorted)).decode() == whole


def test_no_piece_has_many_items() -> None:
    body = {"value": [{"id": "k", "tags": ["x"] * 99, "more": {"deep": [1] * 99}}] * 9}
    assert max(len(piece) for piece in json_pieces(body)) < 20
    answer = json_answer(body, 201, {"ETag": '"e"'})
    assert json.loads(bytes(answer.body)) == body
    assert (answer.status_code, answer.headers["etag"], answer.headers["content-type"]) == (
        201,
        '"e"',
        "application/json",
    )
