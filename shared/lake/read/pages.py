"""A page of rows in the order of their keys, in little memory however large the rows are.

Ordinary rows are looked at in batches of keys. Where a row may be large, each statement gets a range of keys whose rows
have a bounded size together, and the page ends before its rows become too many bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from shared.engine.sql import Bounds, first_row, quoted, quoted_list
from shared.engine.workspace import Workspace, interruption
from shared.lake.files.row_sizes import NARROW_BYTES, VECTOR_ROWS, Slice, slices
from shared.lake.files.rows_sql import between
from shared.lake.files.widest import Widest, sizes_of_rows
from shared.lake.read.condition import Condition
from shared.lake.read.large_row_permits import large_rows_permit, rows_with_items, too_slow
from shared.lake.schema import KEY

if TYPE_CHECKING:
    import pyarrow as pa

PAGE_BYTES = 16 * 1024**2
"""A page of large rows ends before it has more, but for its first row."""

LOOKED_AT_BYTES = 512 * 1024**2
"""A page of large rows ends when so much was read, or made by the filter, whatever was found."""

LOOKED_FOR_S = 10.0
"""A page ends when rows were looked for so long, whatever was found."""

_KEY = quoted(KEY)
# A page looks at so many keys at first, and at ever more while the condition holds for too few of them: what is pending
# has to be merged before it can be compared, and that is to be paid for a page, not for the table.
_KEYS_PER_ROW = 4
_KEYS_AT_LEAST = 1_000
_KEYS_OF_LARGE_ROWS = 16
_GROWTH = 8
_MOST_KEYS = 262_144  # a statement cannot be interrupted
_VECTOR_BYTES = VECTOR_ROWS * NARROW_BYTES

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
        UnavailableError: `LargeRowsTooSlow`, not one large row was read in time.
    """
    condition = where or _EVERY_ROW
    reading = _Reading(work, source, condition, top)
    if source.widest.is_narrow_with(condition.cells):
        return reading.ordinary_rows(after_key)
    with large_rows_permit(work, source.hub) as until:
        return reading.large_rows(after_key, until)


def read_keys(work: Workspace, source: Source, bounds: Bounds, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows `(key, values...)` of those of some keys in bounds that have one; raises as `read_page`."""
    names = quoted_list([KEY, *(column.name for column in source.columns)])
    wanted = f"{_KEY} IN ({', '.join('?' * len(keys))})"

    def query() -> str:
        return f"SELECT {names} FROM ({source.rows(bounds)}) WHERE {wanted}"

    if source.widest.is_narrow:
        return work.connection.execute(query(), list(keys)).fetchall()
    with large_rows_permit(work, source.hub) as until:
        try:
            return rows_with_items(work.connection.sql(query(), params=list(keys)).to_arrow_table(), until)
        except interruption():
            raise too_slow() from None


class _Reading:
    def __init__(self, work: Workspace, source: Source, condition: Condition, top: int) -> None:
        self._connection = work.connection
        self._source = source
        self._condition = condition
        self._top = top

    def ordinary_rows(self, low: str | None) -> Found:
        rows: list[tuple[Any, ...]] = []
        keys = _KEYS_PER_ROW * self._top + _KEYS_AT_LEAST
        began = monotonic()
        while len(rows) <= self._top:
            high = self._key_after(low, keys)
            rows += self._rows((low, high), self._top + 1 - len(rows))
            if high == self._source.high:
                break
            if len(rows) <= self._top and monotonic() - began > LOOKED_FOR_S:
                return Found(rows, high)
            low, keys = high, min(keys * _GROWTH, _MOST_KEYS)
        return Found(rows[: self._top], rows[self._top - 1][0] if len(rows) > self._top else None)

    def large_rows(self, low: str | None, until: float) -> Found:
        found = _LargePage(self._top, until)
        ends = monotonic() + LOOKED_FOR_S
        looked_at, reached = 0, low
        try:
            for part in self._slices(low):
                if not found.take(self._large_rows(part.bounds, self._top + 1 - len(found.rows))):
                    return Found(found.rows, found.rows[-1][0])
                reached = part.bounds[1]
                looked_at += part.size * (1 + self._condition.cells)
                if reached is not None and (looked_at > LOOKED_AT_BYTES or monotonic() > ends):
                    return Found(found.rows, reached)
        except interruption():
            if reached == low:
                raise too_slow() from None
            return Found(found.rows, reached)
        return Found(found.rows, self._source.high)

    def _slices(self, low: str | None) -> Iterator[Slice]:
        """Ranges of keys above `low`; what the filter makes of the rows of one stays within bounds as well."""
        limit = PAGE_BYTES // (1 + self._condition.cells)
        keys = max(1, min(_KEYS_OF_LARGE_ROWS, 2 * _VECTOR_BYTES // max(1, self._source.widest.row)))
        while True:
            high = self._key_after(low, keys)
            found = slices(self._connection, self._source.sizes, (low, high), limit)
            yield from found
            if high == self._source.high:
                return
            size = max(1, sum(part.size for part in found))
            low, keys = high, max(1, min(keys * _GROWTH, keys * 2 * _VECTOR_BYTES // size))

    def _rows(self, bounds: Bounds, limit: int) -> list[tuple[Any, ...]]:
        query = f"{self._query(bounds)} ORDER BY {_KEY} LIMIT {limit}"
        return self._connection.execute(query, self._condition.values).fetchall()

    def _large_rows(self, bounds: Bounds, limit: int) -> "pa.Table":
        # Ordered here: the engine's own ordering holds 2,048 places for each column, many times over.
        found = self._connection.sql(self._query(bounds), params=self._condition.values).to_arrow_table()
        return found.sort_by(KEY).slice(0, limit)

    def _query(self, bounds: Bounds) -> str:
        names = quoted_list([KEY, *(column.name for column in self._source.columns)])
        return f"SELECT {names} FROM ({self._source.rows(bounds)}) WHERE {self._condition.sql}"

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


class _LargePage:
    """A page of large rows that is being filled."""

    def __init__(self, top: int, until: float) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self._top = top
        self._until = until
        self._size = 0

    def take(self, found: "pa.Table") -> bool:
        """Adds rows; False where one has no room any more."""
        fitting = 0
        for size in sizes_of_rows(found).tolist():
            count = len(self.rows) + fitting
            if count == self._top or (count and self._size + size > PAGE_BYTES):
                break
            fitting += 1
            self._size += size
        self.rows += rows_with_items(found.slice(0, fitting), self._until)
        return bool(fitting == found.num_rows)
