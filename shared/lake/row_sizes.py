"""How much memory rows take, and ranges of keys that have so much of it together.

The engine works on 2,048 rows at once, and neither that number nor the memory behind texts on their way through an
operator is up to us. Where one cell may have megabytes, rows are therefore read range by range. Every file that we
write says how large its widest row is, so that ordinary rows need no second look.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.lake.schema import KEY
from shared.lake.sql import Bounds, between, quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

WIDEST_ROW = "widest_row"
"""Key in the metadata of a Parquet file: bytes in memory that no row of it exceeds."""

VECTOR_ROWS = 2048
"""Rows that the engine works on at once; it is compiled in."""

NARROW_BYTES = 16 * 1024
"""Rows that have no more need no care: 2,048 of them are 32 MiB."""

_VALUE_BYTES = 16
_ITEM_BYTES = 64  # of an array, beside its text: as an object of Python it takes the most
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
        parts.append(str(_VALUE_BYTES))
        if pa.types.is_string(column.type):
            parts.append(f"coalesce(strlen({name}), 0)")
        elif pa.types.is_list(column.type):
            parts.append(f"{_ITEM_BYTES} * coalesce(len({name}), 0)")
            if pa.types.is_string(column.type.value_type):
                parts.append(f"coalesce(list_sum(list_transform({name}, lambda item: strlen(item))), 0)")
    return f"({' + '.join(parts)})::BIGINT"


def widest_of(table: "pa.Table") -> int:
    """Bytes in memory that no row of a table exceeds."""
    return sum(_longest(column) for column in table.columns)


def widest_row(files: Sequence[Path]) -> int | None:
    """Bytes in memory that no row of the files exceeds; None where one does not say so."""
    import pyarrow.parquet as pq

    widest = 0
    for file in files:
        noted = (pq.read_metadata(file).metadata or {}).get(WIDEST_ROW.encode())
        if noted is None:
            return None
        widest = max(widest, int(noted))
    return widest


def may_be_wide(files: Sequence[Path]) -> bool:
    """Whether the files may have rows that are not to be read 2,048 at once."""
    widest = widest_row(files)
    return widest is None or widest > NARROW_BYTES


def slices(connection: "duckdb.DuckDBPyConnection", sizes: str, bounds: Bounds, limit: int) -> list[Slice]:
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


def _longest(column: "pa.ChunkedArray") -> int:
    """Bytes of the longest cell of a column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        return _VALUE_BYTES + int(pc.max(pc.binary_length(column)).as_py() or 0)
    if pa.types.is_list(column.type):
        return _VALUE_BYTES + max((_longest_list(chunk) for chunk in column.chunks), default=0)
    return _VALUE_BYTES


def _longest_list(lists: "pa.ListArray") -> int:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(lists):
        return 0
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    longest = counts * _ITEM_BYTES
    if pa.types.is_string(lists.type.value_type):
        # Where each item ends in the text of all, and so where each list does.
        ends = np.concatenate([[0], np.cumsum(pc.fill_null(pc.binary_length(lists.flatten()), 0).to_numpy())])
        upto = np.cumsum(counts)
        longest = longest + ends[upto] - ends[upto - counts]
    return int(longest.max())
