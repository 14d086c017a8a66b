"""The form in which a run lies in its row: JSON that always fits into a property."""

import json
from collections.abc import Mapping
from typing import Any

from shared.domain.documents.run import Run
from shared.ledger.attempt_notes import AttemptNote, notes_to_json, read_notes

# A property holds 32 K UTF-16 characters:
# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_DOCUMENT_LIMIT = 30_000
_TEXT_LIMIT_BYTES = 8 * 1024
_CUT = " [cut]"
_NOTES = "staged"


def write_run(run: Run, notes: Mapping[int, AttemptNote] = {}) -> str:
    """The run as JSON: texts cut at 8 KiB, and long lists in its details shortened until it fits.

    The notes are among its details, where the release before reads them that runs beside this one during a deployment.
    """
    document = _with_short_texts(run.to_json())
    if notes:
        document["details"] = {**document.get("details", {}), _NOTES: notes_to_json(notes)}
    text = _text(document)
    while _utf16_length(text) > _DOCUMENT_LIMIT:
        details = document.get("details") or {}
        sizes = {name: _utf16_length(_text(value)) for name, value in details.items()}
        longest = max(sizes, key=lambda name: sizes[name], default=None)
        if longest is None or sizes[longest] <= len(_CUT) + 2:
            document["details"] = {"details": _CUT}  # more names than can be kept
            return _text(document)
        details[longest] = _halved(details[longest])
        text = _text(document)
    return text


def read_run(text: str) -> Run:
    """The run of a row."""
    return read_run_and_notes(text)[0]


def read_run_and_notes(text: str) -> tuple[Run, dict[int, AttemptNote]]:
    """The run of a row, and the notes among its details, where earlier releases alone kept them."""
    document = json.loads(text)
    notes = document.get("details", {}).pop(_NOTES, None)
    return Run.from_stored(document), read_notes(notes)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _with_short_texts(value: Any) -> Any:
    if isinstance(value, str):
        return _cut(value, _TEXT_LIMIT_BYTES)
    if isinstance(value, dict):
        return {name: _with_short_texts(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_short_texts(item) for item in value]
    return value


def _cut(text: str, limit_bytes: int) -> str:
    """As much of a text as takes so many bytes in JSON, where a control character takes six."""
    size = _size(text)
    if size <= limit_bytes:
        return text
    while size > limit_bytes - len(_CUT):
        text = text[: len(text) * (limit_bytes - len(_CUT)) // size]
        size = _size(text)
    return text + _CUT


def _size(text: str) -> int:
    return len(_text(text).encode("utf-8", "surrogatepass"))


def _halved(value: Any) -> Any:
    """The first half of a list or text, saying so; anything else becomes that note alone."""
    if isinstance(value, list) and len(value) > 2:
        kept = [item for item in value if item != _CUT]
        return [*kept[: len(kept) // 2], _CUT]
    if isinstance(value, str) and len(value) > 2 * len(_CUT):
        return value[: len(value) // 2] + _CUT
    return _CUT
