"""A skip token is read back as it was written, and anything else is refused in words, whatever it holds."""

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequestError
from shared.domain.skip_token import read_cursor, read_key, write_token

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
anything = st.recursive(
    scalars | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


def token_of(text: str | bytes) -> str:
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@given(key=st.text())
def test_a_key_comes_back(key: str) -> None:
    assert read_key(write_token(key)) == key


@given(place=st.dictionaries(st.text(), scalars))
def test_a_place_comes_back(place: dict[str, Any]) -> None:
    assert read_cursor(write_token(place)) == place


MADE_UP = {
    "nothing": "",
    "no base64": "%",
    "padding alone": "=",
    "letters of another script": "ключ",
    "a cut token": "e30x",
    "12,000 open lists": token_of("[" * 12_000),
    "12,000 open objects": token_of('{"a":' * 12_000),
    "a whole nest": token_of("[" * 300 + "]" * 300),
    "half a surrogate pair": token_of('"\\ud800"'),
    "half a pair as bytes": token_of(b'"\xed\xa0\x80"'),
    "no UTF-8": token_of(b'"\xff"'),
    "a number": token_of("1"),
    "a number of 5,000 digits": token_of("1" * 5_000),
    "NaN": token_of("NaN"),
    "null": token_of("null"),
    "true": token_of("true"),
    "two values": token_of('"a" "b"'),
    "a list in an object": token_of('{"name": ["a"]}'),
    "an object in an object": token_of('{"name": {"a": 1}}'),
    "NaN in an object": token_of('{"size": NaN}'),
    "infinity in an object": token_of('{"size": 1e999}'),
    "half a pair in an object": token_of('{"name": "\\udfff"}'),
    "half a pair as a name": token_of('{"\\udfff": 1}'),
    "more than an address takes": token_of(json.dumps("k" * 100_000)),
}


@pytest.mark.parametrize("token", MADE_UP.values(), ids=MADE_UP)
def test_what_no_list_gave_out_is_refused(token: str) -> None:
    for read in (read_key, read_cursor):
        with pytest.raises(InvalidRequestError) as refused:
            read(token)
        assert [fault.code for fault in refused.value.details] == ["InvalidSkipToken"]
        assert len(refused.value.details[0].message) < 200


@given(text=st.text() | st.binary().map(token_of) | anything.map(json.dumps).map(token_of))
@example(text=token_of("[" * 40_000))
def test_any_text_is_a_place_or_is_refused(text: str) -> None:
    for read, kind in ((read_key, str), (read_cursor, dict)):
        try:
            start = read(text)
        except InvalidRequestError:
            continue
        assert isinstance(start, kind)
        assert read(write_token(start)) == start
        json.dumps(start, allow_nan=False).encode()
