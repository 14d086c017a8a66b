"""Keeps keys, signatures and tokens out of everything the stack prints or writes."""

import re

_SECRET = re.compile(
    r"(?i)\b(sig(?:=|%3D)|AccountKey=|Password=|Pwd=|SharedAccessKey=|Bearer\s+|SharedKey(?:Lite)?\s+\w+:)"
    r"[^\s&;\"',)\]}]+"
)


def redact(text: str) -> str:
    """Replace the values of what looks like a credential by `***`."""
    return _SECRET.sub(r"\1***", text)
