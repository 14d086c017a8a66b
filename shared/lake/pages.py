"""A page of rows in the order of their keys, in little memory however large the rows are.

Ordinary rows are looked at in batches of keys. Where a row may be large, each statement gets a range of keys whose rows
have a bounded size together, and the page ends before its rows become too many bytes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.domain.errors import ThrottledError
from shared.lake.engine import Workspace
from shared.lake.filters import Condition
from shared.lake.row_sizes import NARROW_BYTES, VECTOR_ROWS, Slice, row_bytes, slices
from shared.lake.schema import KEY
from shared.lake.sql import Bounds, between, first_row, quoted, quoted_list
from shared.lake.widest import Widest
from shared.turns import Turns

if TYPE_CHECKING:
    import pyarrow as pa

PAGE_BYTES = 16 * 1024**2
"""A page of large rows ends before it has more, but for its first row."""

LOOKED_AT_BYTES = 512 * 1024**2
"""A page of large rows ends when so much was read, or made by the filter, whatever was found."""

LOOKED_FOR_S = 10.0
"""A page of ordinary rows ends when a filter has looked for so long, whatever was found."""

_KEY = quoted(KEY)
# A page looks at so many keys at first, and at ever more while the condition holds for too few of them: what is pending
# has to be merged before it can be compared, and that is to be paid for a page, not for the table.
_KEYS_PER_ROW = 4
_KEYS_AT_LEAST = 1_000
_KEYS_OF_LARGE_ROWS = 16
_GROWTH = 8
_MOST_KEYS = 262_144  # a statement cannot be interrupted
_VECTOR_BYTES = VECTOR_ROWS * NARROW_BYTES
# One at a time: what several read at once would add up. Whoever reads ordinary rows does not wait, and finds one of the
# forty threads that answer requests: few may wait for their turn, and not for long.
_LARGE_ROWS = Turns(most_of_one=8, most=16, within_s=60.0)

_EVERY_ROW = Condition("true", [], 0)


@dataclass(frozen=True, slots=True)
class Source:
    """What pages are read from.

    Attributes:
        hub: whose it is.
        keys: a query for `_key`, each at least once, and perhaps some of no row.
        sizes: a query for `_key` and `size`, the bytes of all that makes a row.
        widest: how large a row of them gets.
        rows: makes a query for the rows in bounds, each key once, with `columns`.
        columns: of a row, beside its key.
        high: keys above it are not in; None where all are.
    """

    hub: str
    keys: str
    sizes: str
    widest: Widest
    rows: Callable[[Bounds], str]
    columns: Sequence["pa.Field"]
    high: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Rows `(key, values...)`, and the key after which the next page begins; None after the last row of the source."""

    rows: list[tuple[Any, ...]]
    next_key: str | None


def read_page(work: Workspace, source: Source, where: Condition | None, top: int, after_key: str | None) -> Found:
    """Reads the rows above `after_key` for which a condition holds: `top` of them, or fewer where they are large.

    Raises:
        ThrottledError: others are reading large rows; those of other hubs only as long as each of them takes one page.
    """
    condition = where or _EVERY_ROW
    reading = _Reading(work, source, condition, top)
    if source.widest.is_narrow_with(condition.cells):
        return reading.ordinary_rows(after_key)
    with _LARGE_ROWS.turn(source.hub) as has_turn:
        if has_turn:
            return reading.large_rows(after_key)
    message = "others are reading large rows of this app; repeat the request, or ask for them one after the other"
    raise ThrottledError("LargeRowsBusy", message)


class _Reading:
    def __init__(self, work: Workspace, source: Source, condition: Condition, top: int) -> None:
        self._connection = work.connection
        self._source = source
        self._condition = condition
        self._top = top

    def ordinary_rows(self, low: str | None) -> Found:
        rows: list[tuple[Any, ...]] = []
        keys = _KEYS_PER_ROW * self._top + _KEYS_AT_LEAST
        began = time.monotonic()
        while len(rows) <= self._top:
            high = self._key_after(low, keys)
            rows += self._rows((low, high), self._top + 1 - len(rows))
            if high == self._source.high:
                break
            if len(rows) <= self._top and time.monotonic() - began > LOOKED_FOR_S:
                return Found(rows, high)
            low, keys = high, min(keys * _GROWTH, _MOST_KEYS)
        return Found(rows[: self._top], rows[self._top - 1][0] if len(rows) > self._top else None)

    def large_rows(self, low: str | None) -> Found:
        rows: list[tuple[Any, ...]] = []
        size = looked_at = 0
        for part in self._slices(low):
            for *row, its_size in self._rows(part.bounds, self._top + 1 - len(rows), with_size=True):
                if len(rows) == self._top or (rows and size + its_size > PAGE_BYTES):
                    return Found(rows, rows[-1][0])
                rows.append(tuple(row))
                size += its_size
            looked_at += part.size * (1 + self._condition.cells)
            if looked_at > LOOKED_AT_BYTES and part.bounds[1] is not None:
                return Found(rows, part.bounds[1])
        return Found(rows, self._source.high)

    def _slices(self, low: str | None) -> Iterator[Slice]:
        """Ranges of keys above `low`; what the filter makes of the rows of one stays within bounds as well."""
        limit = _VECTOR_BYTES // (1 + self._condition.cells)
        keys = _KEYS_OF_LARGE_ROWS
        while True:
            high = self._key_after(low, keys)
            found = slices(self._connection, self._source.sizes, (low, high), limit)
            yield from found
            if high == self._source.high:
                return
            size = max(1, sum(part.size for part in found))
            low, keys = high, max(1, min(keys * _GROWTH, keys * 2 * _VECTOR_BYTES // size))

    def _rows(self, bounds: Bounds, limit: int, *, with_size: bool = False) -> list[tuple[Any, ...]]:
        names = quoted_list([KEY, *(column.name for column in self._source.columns)])
        size = f", {row_bytes(self._source.columns)} AS _size" if with_size else ""
        return self._connection.execute(
            f"""
            SELECT {names}{size} FROM ({self._source.rows(bounds)}) WHERE {self._condition.sql}
            ORDER BY {_KEY} LIMIT {limit}
            """,
            self._condition.values,
        ).fetchall()

    def _key_after(self, low: str | None, number: int) -> str | None:
        """The `number`-th key above `low`; where there are not so many, the end of the source."""
        found = first_row(
            self._connection,
            f"""
            SELECT DISTINCT {_KEY} FROM ({self._source.keys}) WHERE {between(low, self._source.high)}
            ORDER BY {_KEY} LIMIT 1 OFFSET {number - 1}
            """,
        )
        return self._source.high if found is None else str(found[0])
