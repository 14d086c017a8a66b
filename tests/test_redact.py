"""What looks like a secret: found and blotted out by one list, in a time that grows with the text."""

import time

import pytest

from shared.redact import carries_secret, without_secrets
from tests.secret_texts import ORDINARY_TEXTS, SECRET_TEXTS


@pytest.mark.parametrize("text", SECRET_TEXTS)
def test_what_is_found_is_blotted_out(text: str) -> None:
    assert carries_secret(text)
    assert "***" in without_secrets(text)
    assert "MARKER" not in without_secrets(text)
    assert without_secrets(without_secrets(text)) == without_secrets(text)


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert not carries_secret(text)
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://x/c?sv=1&sig=ab%2Bc%3D&se=2", "https://x/c?sv=1&sig=***&se=2"),
        ("AccountName=a;AccountKey=abc==;EndpointSuffix=x", "AccountName=a;AccountKey=***;EndpointSuffix=x"),
        ("{'Authorization': 'Bearer ey.J0.x'}", "{'Authorization': 'Bearer ***'}"),
        ("authorization: SharedKey account:abc=", "authorization: SharedKey account:***"),
        ("Server=s;Password=p w;User=u", "Server=s;Password=*** w;User=u"),
        ("GET https://ann:geheim@host/x failed", "GET https://ann:***@host/x failed"),
        ("caf\u00e9 \ufb01 stays, sig=x", "caf\u00e9 \ufb01 stays, sig=***"),
        ("caf\u00e9 \ufb01 stays", "caf\u00e9 \ufb01 stays"),
    ],
)
def test_only_the_secret_is_blotted_out(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


@pytest.mark.parametrize(
    "part",
    [
        "sig ", "sig=", "sig%25", "%2525", "password ", "account ", "shared access ", "bearer ", "bearer a", "Bearer -",
        "authorization: ", "sharedkey ", "sharedkey a", "://", "://a", "://a:", "://a:b", "a", " ", "\uff53",
        "\u0315\u0300", "\ufdfa",
    ],
)  # fmt: skip
def test_the_time_grows_with_the_text(part: str) -> None:
    def took(length: int) -> float:
        text = (part * length)[:length]
        times = []
        for _ in range(3):
            began = time.thread_time()
            carries_secret(text)
            without_secrets(text)
            times.append(time.thread_time() - began)
        return min(times)

    # Four times as long: a square would take sixteen times as long.
    assert took(80_000) < 8 * took(20_000) + 0.01
