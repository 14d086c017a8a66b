"""What looks like a secret in a text: found where it may not stand, blotted out where a text leaves the process.

One list for both. Each expression is linear in the text: it begins at a fixed word, and what it repeats ends there.
"""

import re
import unicodedata

# `name=value` of URLs, connection strings and their percent-encoded forms, however often encoded.
_ASSIGNED = r"(?:(?<![a-z])sig|pass\s*word|pwd|account\s*key|shared\s*access\s*key)\s*(?:=|%(?:25)*3d)\s*[\"']?"
# Ordinary text has the word too; a token has a digit soon, or is longer than a word.
_BEARER = r"bearer\s+(?=[-a-z0-9._~+/]{20}|(?=[-a-z._~+/]{0,19}[0-9])[-a-z0-9._~+/]{7})"
_AUTHORIZATION = r"authorization[\"']?\s*[:=]\s*[\"']?bearer\s+"
_SHARED_KEY = r"sharedkey(?:lite)?\s+\w+:"
_MARK = re.compile(f"(?i){_ASSIGNED}|{_BEARER}|{_AUTHORIZATION}|{_SHARED_KEY}")
_MARKED = re.compile(rf"(?i)({_ASSIGNED}|{_BEARER}|{_AUTHORIZATION}|{_SHARED_KEY})[^\s&;\"']+")
_USER_INFO = re.compile(r"(://[^\s/?#@:]*:)[^\s/?#@]+(?=@)")
# Zero-width characters, soft hyphens and marks of direction: nobody sees them.
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def carries_secret(text: str) -> bool:
    """Whether the text holds a signature, key, password or token, also in full-width letters."""
    plain = _plain(text)
    return bool(_MARK.search(plain) or _USER_INFO.search(plain))


def without_secrets(text: str) -> str:
    """The text with `***` for every signature, key, password and token in it."""
    plain = _plain(text)
    found = _USER_INFO.sub(r"\1***", _MARKED.sub(r"\1***", plain))
    return text if found == plain else found


def _plain(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", _UNSEEN.sub("", text))
