"""The row of a document: its JSON text in pieces, and how large all of it is."""

import json
from collections.abc import Mapping
from typing import Any

from shared.domain.documents.document import Document
from shared.domain.errors import RequestTooLargeError
from shared.storage.tables import Row

SCHEMA_VERSION = 1
"""The form of stored documents. It ascends when an earlier release would misread or lose what this one stores.

Earlier releases that knew no such number stored form 1.
"""

# A property holds 32 K UTF-16 characters, and a row 1 MiB; a character may be two of UTF-16:
# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_CHUNK = 16_000
_LIMIT_BYTES = 900_000
_INTERNAL_LIMIT = 30_000
# Each row has its share in the time that a list of rows takes, however small its document is.
_ROW_BYTES = 4096
# Of the models that a document is read as, measured: together within a factor of two of what it takes.
_MEMORY, _PER_QUOTE, _PER_COMMA = 2048, 48, 64


def check_size(document: Document, internal: Mapping[str, str]) -> None:
    """Raises RequestTooLargeError for what does not fit into a row."""
    if len(_text(document).encode("utf-16-le")) > _LIMIT_BYTES:
        raise RequestTooLargeError("DefinitionTooLarge", "the definition is too large to be stored; make it smaller")
    if len(json.dumps(dict(internal))) > _INTERNAL_LIMIT:
        message = (
            "what is kept about the definition is too large to be stored; use fewer or shorter names of properties"
        )
        raise RequestTooLargeError("DefinitionTooLarge", message)


def columns_of(document: Document, internal: Mapping[str, str]) -> Row:
    """The columns that hold a document and its internal facts."""
    text = _text(document)
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    return {
        "schemaVersion": SCHEMA_VERSION,
        "internal": json.dumps(dict(internal)),
        "chunks": len(chunks),
        **{f"json{number}": chunk for number, chunk in enumerate(chunks)},
    }


def is_of_a_later_release(row: Row) -> bool:
    """Whether a document was stored in a form that this release does not know, and would lose a part of."""
    return int(row.get("schemaVersion") or SCHEMA_VERSION) > SCHEMA_VERSION


def json_in(row: Row) -> Any:
    """The JSON value of the document in a row."""
    return json.loads("".join(_chunks(row)))


def size_of(row: Row) -> int:
    """What a row counts for in the sum of its hub: its bytes, and 4 KiB for itself; 0 where it is no document's."""
    if "chunks" not in row:
        return 0
    return _ROW_BYTES + sum(len(text.encode()) for text in (*_chunks(row), row["internal"]))


def memory_of(document: Document | None, internal: Mapping[str, str]) -> int:
    """About how much memory a document takes that was read: of short texts, what they are kept in is the most."""
    text = document.model_dump_json(exclude_none=True) if document else ""
    models = _MEMORY + _PER_QUOTE * text.count('"') + _PER_COMMA * text.count(",")
    return models + len(text) + sum(map(len, internal.values()))


def _chunks(row: Row) -> list[str]:
    return [row[f"json{number}"] for number in range(row["chunks"])]


def _text(document: Document) -> str:
    return json.dumps(document.to_json(), ensure_ascii=False, separators=(",", ":"))
