"""What looks like a secret in a text: found where it may not stand, redacted where a text leaves the process.

One list for both. Each expression is linear in the text: it begins at a fixed word, and what it repeats ends there.
"""

import re
import unicodedata
from functools import lru_cache

# `name=value` of URLs, connection strings and their percent-encoded forms, however often encoded.
_SIGNATURE = r"(?:(?<![a-z])|(?<=%[0-9a-f]{2})|(?<=%25[0-9a-f]{2}))sig"
_ASSIGNED = rf"(?:{_SIGNATURE}|pass\s*word|pwd|account\s*key|shared\s*access\s*key)\s*(?:=|%(?:25)*3d)\s*[\"']?"
# Ordinary text has the word too; a token has a digit soon, or is longer than a word.
_BEARER = r"bearer\s+(?=[-a-z0-9._~+/]{20}|(?=[-a-z._~+/]{0,19}[0-9])[-a-z0-9._~+/]{7})"
_AUTHORIZATION = r"authorization[\"']?\s*[:=]\s*[\"']?bearer\s+"
_SHARED_KEY = r"sharedkey(?:lite)?\s+\w+:"
_MARK = re.compile(f"(?i){_ASSIGNED}|{_BEARER}|{_AUTHORIZATION}|{_SHARED_KEY}")
_MARKED = re.compile(rf"(?i)({_ASSIGNED}|{_BEARER}|{_AUTHORIZATION}|{_SHARED_KEY})[^\s&;\"']+")
# `user:password@` of a URL, and of one that is percent-encoded in whole or in part.
_USER_INFO = re.compile(r"(://[^\s/?#@:]*:)[^\s/?#@]+(?=@)")
_ENCODED_USER_INFO = re.compile(
    r"(?i)((?::|%3a)%2f%2f(?:(?!%3a|%40|%2f)[^\s/?#@:])*(?::|%3a))(?:(?!%40|%2f)[^\s/?#@])+(?=@|%40)"
)
# Zero-width characters, soft hyphens and marks of direction: nobody sees them.
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def plain_letters(text: str) -> str:
    """The text with each character in its plain form: full-width letters as ASCII ones, for one.

    Character by character: to normalise a text as a whole puts marks in order, which takes the square of their number.
    """
    return text if text.isascii() else "".join(map(_plain_letter, text))


@lru_cache(maxsize=4096)
def _plain_letter(sign: str) -> str:
    plain = unicodedata.normalize("NFKC", sign)
    return (
        plain if len(plain) == 1 else sign
    )  # ligatures are no letters of a secret's mark, and some are whole sentences


def carries_secret(text: str) -> bool:
    """Whether the text holds a signature, key, password or token, also in full-width letters."""
    plain = _plain(text)
    if not _may_carry_secret(plain):
        return False
    # One by one: a body has thousands of texts, and most of them are short.
    return bool(_MARK.search(plain) or _USER_INFO.search(plain) or _ENCODED_USER_INFO.search(plain))


def _may_carry_secret(plain: str) -> bool:
    """Whether the text has a sign or word without which no expression finds anything."""
    return "=" in plain or ":" in plain or "%" in plain or "bearer" in plain.lower()


def without_secrets(text: str) -> str:
    """The text with `***` for every signature, key, password and token in it."""
    plain = _plain(text)
    if not _may_carry_secret(plain):
        return text
    found = plain
    for marked in (_MARKED, _USER_INFO, _ENCODED_USER_INFO):
        found = marked.sub(r"\1***", found)
    return text if found == plain else found


def _plain(text: str) -> str:
    return text if text.isascii() else plain_letters(_UNSEEN.sub("", text))
