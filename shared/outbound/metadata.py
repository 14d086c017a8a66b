"""`metadata.json`: what the columns of an entity's `data.csv` are, written before the data it describes."""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.domain.slot import metadata_path
from shared.outbound.columns import Column

if TYPE_CHECKING:
    from shared.storage.destination import DestinationContainer

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


def publish_metadata(destination: "DestinationContainer", entity_type: str, entity_name: str, content: bytes) -> None:
    """Writes `metadata.json` where it is absent or says something else.

    A destination cannot be read, only listed: the hash in the blob's metadata tells what it says.

    Raises:
        RefusedError: the destination refuses us.
        TransientError: it does not answer.
    """
    path = metadata_path(entity_type, entity_name)
    digest = hashlib.sha256(content).hexdigest()
    for entry in destination.list(path, metadata=True):
        if entry.path == path and entry.metadata.get("sha256") == digest and entry.size == len(content):
            return
    destination.upload_blocks(path, [content], {"sha256": digest}, "application/json", if_none_match=False)
