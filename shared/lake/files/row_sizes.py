"""How much memory rows take, and ranges of keys that have so much of it together.

The engine works on 2,048 rows at once, and neither that number nor the memory behind texts on their way through an
operator is up to us. Where one cell may have megabytes, rows are therefore read range by range.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.engine.sql import Bounds, quoted
from shared.engine.workspace import Connection
from shared.lake.files.rows_sql import between
from shared.lake.schema import KEY

if TYPE_CHECKING:
    import pyarrow as pa

VECTOR_ROWS = 2048
"""Rows that the engine works on at once; it is compiled in."""

NARROW_BYTES = 16 * 1024
"""Rows that have no more need no care: 2,048 of them are 32 MiB, and four pages at once stay under 600 MB."""

VALUE_BYTES = 16
"""Of every value, beside its text or its items."""

ITEM_BYTES = 64
"""Of an item of an array, beside its text: as an object of Python it takes the most."""

_KEY = quoted(KEY)


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of keys, and the bytes of its rows."""

    bounds: Bounds
    size: int


def row_bytes(columns: Iterable["pa.Field"]) -> str:
    """SQL for the bytes that a row takes in memory."""
    import pyarrow as pa

    parts = []
    for column in columns:
        name = quoted(column.name)
        parts.append(str(VALUE_BYTES))
        if pa.types.is_string(column.type):
            parts.append(f"coalesce(strlen({name}), 0)")
        elif pa.types.is_list(column.type):
            parts.append(f"{ITEM_BYTES} * coalesce(len({name}), 0)")
            if pa.types.is_string(column.type.value_type):
                parts.append(f"coalesce(list_sum(list_transform({name}, lambda item: strlen(item))), 0)")
    return f"({' + '.join(parts)})::BIGINT"


def slices(connection: Connection, sizes: str, bounds: Bounds, limit: int) -> list[Slice]:
    """Divides `bounds` into ranges of keys whose rows have about `limit` bytes, or belong to one key.

    Args:
        connection: of a workspace.
        sizes: a query for `_key` and `size` of rows, a key as often as it has rows.
        bounds: the keys that count.
        limit: bytes; a range may have one key more than that.
    """
    found = connection.execute(
        f"""
        SELECT max({_KEY}), sum(size)::BIGINT
        FROM (
            SELECT {_KEY}, size, (sum(size) OVER (ORDER BY {_KEY} ROWS UNBOUNDED PRECEDING) - size) // {limit} AS number
            FROM (SELECT {_KEY}, sum(size)::BIGINT AS size FROM ({sizes}) WHERE {between(*bounds)} GROUP BY {_KEY})
        )
        GROUP BY number ORDER BY number
        """
    ).fetchall()
    highs = [high for high, _ in found[:-1]] + [bounds[1]]
    lows = [bounds[0], *highs]
    return [Slice((low, high), size) for low, high, (_, size) in zip(lows, highs, found, strict=False)]
