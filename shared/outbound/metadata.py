"""`metadata.json`: what the columns of an entity's `data.csv` are, written before the data it describes."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from shared.domain.errors import CommitConflictError, ForeignBlobError, PreconditionError
from shared.domain.schema_mark import FOREIGN_METADATA, Owner
from shared.domain.slot import metadata_path
from shared.outbound.columns import Column
from shared.outbound.plan import Export

_RACES = 5

# Names as in the CSV Dialect of Frictionless Standards where that has one, https://specs.frictionlessdata.io/csv-dialect/
DIALECT: dict[str, Any] = {
    "encoding": "utf-8",
    "byteOrderMark": False,
    "header": True,
    "delimiter": ",",
    "quoteChar": '"',
    "doubleQuote": True,
    "lineTerminator": "\n",
    "nullSequence": "",
    "emptyString": '""',
    "arraySeparator": ";",
    "arrayEscapeChar": "\\",
    "booleans": ["true", "false"],
    "dateFormat": "yyyy-MM-dd",
    "dateTimeFormat": "yyyy-MM-ddTHH:mm:ss.ffffffZ",
}


def describe(definition: dict[str, Any], columns: Sequence[Column]) -> bytes:
    """The content of `metadata.json`: the definition as HTTP gives it, with `columns` and `dialect`."""
    document = {**definition, "columns": [column.to_json() for column in columns], "dialect": DIALECT}
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"


def publish_metadata(export: Export, content: bytes, *, is_known: Callable[[], bool]) -> None:
    """Writes `metadata.json` where it is absent, or is ours and says something else.

    A destination cannot be read, only listed: the blob's metadata tell whose it is and what it says. Whoever changes it
    between the look and the write is looked at again.

    Args:
        export: what is being published.
        content: of `metadata.json`.
        is_known: whether this export has published to the destination before: then a `metadata.json` that an earlier
            release left, without a mark, is its own.

    Raises:
        RefusedError: it is somebody else's, or the destination refuses us.
        TransientError: the destination does not answer, or others write at the same time, many times over.
    """
    path = metadata_path(export.entity.kind.value, export.entity.name)
    ours = export.writer.describes(hashlib.sha256(content).hexdigest())
    for _ in range(_RACES):
        found = export.destination.find(path)
        if found is not None:
            owner = export.writer.owner_of(found.metadata)
            if owner is Owner.OTHERS or (owner is Owner.EARLIER_RELEASE and not is_known()):
                raise ForeignBlobError("DestinationMetadataExists", f"{path} {FOREIGN_METADATA}")
            if found.size == len(content) and ours.items() <= found.metadata.items():
                return
        try:
            export.destination.upload_bytes(path, content, "application/json", ours, found.etag if found else None)
        except PreconditionError:
            continue
        return
    raise CommitConflictError("MetadataBusy", f"{path} is being changed by somebody else; try again")
