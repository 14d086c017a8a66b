"""How much memory rows will take once they are typed, reckoned before they are: a mapping multiplies.

One column may fill hundreds of fields, and two bytes of a cell make an item of an array. A row over the limit is
refused before anything is made of it, and a batch that would be large is typed in pieces.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.casts.column_sql import separator_of
from shared.casts.match_columns import MappedColumn
from shared.connectors.reader import Batch
from shared.csv.bit_masks import Offsets
from shared.csv.rejects import Reason, Rejects
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping
from shared.lake.files.row_sizes import ITEM_BYTES, VALUE_BYTES
from shared.lake.files.widest import cell_sizes
from shared.lake.schema import arrow_type, changes_schema

PIECE_BYTES = 64 * 1024**2
"""Rows typed at once take about so much, or are one row."""

# Of a row, beside its cells: the run's id, and a key that is derived or of numbers and dates.
_STAMPS_BYTES = 32 + 64

type _Sizes = npt.NDArray[np.int64]


@dataclass(slots=True)
class _Column:
    """What is made of the cells of a column.

    Attributes:
        fields: how many it fills.
        texts: how often its text is kept.
        arrays: how many arrays there are of each separator.
        array_texts: how many of them keep texts.
    """

    name: str
    fields: int = 0
    texts: int = 0
    arrays: Counter[str] = field(default_factory=Counter)
    array_texts: Counter[str] = field(default_factory=Counter)

    @property
    def copies(self) -> int:
        """How often the text is kept, in arrays or not."""
        return self.texts + self.array_texts.total()


class TypedSizes:
    """Reckons the rows of one file as `lake/files/row_sizes.py` counts them.

    Args:
        columns: the mapped columns.
        limit: bytes; a row that would take more is refused.
    """

    def __init__(self, columns: list[MappedColumn], mapping: Mapping, entity_type: EntityType, limit: int) -> None:
        self._limit = limit
        self._columns: dict[int, _Column] = {}
        names = [field.field_name for field in entity_type.fields]
        self._fixed = VALUE_BYTES * len(changes_schema(entity_type)) + len(",".join(names).encode()) + _STAMPS_BYTES
        # Of fields that the mapping leaves out; rows share their nulls until they are written.
        self._unfilled = VALUE_BYTES * (len(names) - len(columns))
        for column in columns:
            made = self._columns.setdefault(column.position, _Column(column.name))
            made.fields += 1
            is_text = pa.types.is_string(_single(column))
            if column.field.is_array:
                separator = separator_of(column.field, mapping.mapping_properties.format)
                made.arrays[separator] += 1
                made.array_texts[separator] += is_text
            else:
                made.texts += is_text
            made.texts += column.field.field_name in entity_type.key_fields
        self._columns = {at: made for at, made in self._columns.items() if made.copies or made.arrays}
        self._items_bytes = {at: ITEM_BYTES * made.arrays.total() for at, made in self._columns.items() if made.arrays}
        self._copies = max((made.copies for made in self._columns.values()), default=0)

    def pieces[B: Batch](self, rows: B) -> Iterator[B]:
        """The rows in pieces that have room in memory once they are typed; nearly always the batch as it is."""
        sizes = self._sizes(rows)
        if sizes is None:
            yield rows
            return
        ends = np.cumsum(np.where(sizes > self._limit, self._fixed, sizes) - self._unfilled)
        start = 0
        while start < ends.size:
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + PIECE_BYTES, "right")))
            yield rows.part(start, stop)
            start = stop

    def too_long(self, rows: Batch) -> Offsets:
        """Numbers of the rows that would be over the limit, ascending."""
        sizes = self._sizes(rows)
        none: Offsets = np.zeros(0, np.int64)
        return none if sizes is None else np.flatnonzero(sizes > self._limit)

    def refused(self, rows: Batch, numbers: Offsets) -> Rejects:
        """Rows that are over the limit, as rejects: each names the column that makes most of it."""
        cells = rows.cells.take(pa.array(numbers))
        made = np.array([self._made(cells, position) for position in self._columns])
        names = list(self._columns.values())
        reasons = [
            self._reason(names[most], int(total), int(part))
            for most, total, part in zip(
                made.argmax(axis=0), self._fixed + made.sum(axis=0), made.max(axis=0), strict=True
            )
        ]
        return Rejects(rows.lines[numbers], np.arange(numbers.size), reasons, rows.raws(numbers))

    def _reason(self, column: _Column, size: int, part: int) -> Reason:
        fields = "a field" if column.fields == 1 else f"{column.fields} fields"
        message = (
            f"the row takes {size} bytes once it is typed, more than the {self._limit} of MAX_ROW_BYTES; {part} of "
            f"them are made of this cell, which fills {fields}: shorten it, or map the column to fewer fields"
        )
        return Reason(column.name, "RowTooLong", message)

    def _sizes(self, rows: Batch) -> _Sizes | None:
        """Bytes of each row; None where no row is over the limit, and all together are a piece."""
        count, weight = rows.cells.num_rows, rows.weight
        # Bounds, since nearly no batch needs more. An item has a byte, but for the first: small batches need no look
        # at their cells, and others one at their arrays alone.
        texts = self._copies * weight
        longest, total = self._fixed + texts, count * (self._fixed - self._unfilled) + texts
        items = sum(self._items_bytes.values())
        if total + items * (weight + count) <= PIECE_BYTES and longest + items * (weight + 1) <= self._limit:
            return None
        for position, size in self._items_bytes.items():
            lengths: Any = cell_sizes(rows.cells.column(position))
            longest += size * (int(lengths.max(initial=0)) + 1)
            total += size * (int(lengths.sum()) + count)
        if total <= PIECE_BYTES and longest <= self._limit:
            return None
        sizes = np.full(count, self._fixed, np.int64)
        for position in self._columns:
            sizes += self._made(rows.cells, position)
        return sizes

    def _made(self, cells: pa.Table, position: int) -> _Sizes:
        """Bytes that are made of each cell of a column."""
        column, texts = self._columns[position], cells.column(position)
        lengths: Any = cell_sizes(texts)
        sizes: _Sizes = column.copies * lengths.astype(np.int64)
        for separator, arrays in column.arrays.items():
            separators, escapes = _separators(texts, separator)
            sizes += arrays * ITEM_BYTES * (separators + (lengths > 0))
            sizes -= column.array_texts[separator] * (len(separator.encode()) * separators + escapes)
        return sizes


def _separators(texts: pa.ChunkedArray, separator: str) -> tuple[_Sizes, _Sizes]:
    """How many separators each cell has, and how many backslashes that escape; `array_cast.split` is the rule."""
    escapes: _Sizes = np.zeros(len(texts), np.int64)
    if separator != "\\" and pc.any(pc.match_substring(texts, "\\")).as_py():
        for escaped in ("\\\\", f"\\{separator}"):
            escapes += _count(texts, escaped)
            texts = pc.replace_substring(texts, escaped, "\0")
    return _count(texts, separator), escapes


def _count(texts: pa.ChunkedArray, part: str) -> _Sizes:
    found: _Sizes = pc.count_substring(texts, part).fill_null(0).to_numpy().astype(np.int64)
    return found


def _single(column: MappedColumn) -> pa.DataType:
    """The type of the values of a column, or of the items of its array."""
    data_type = arrow_type(column.field)
    return data_type.value_type if column.field.is_array else data_type
