"""How large the rows of files get: whether 2,048 of them may be in memory at once.

Every file that we write notes it. One of an earlier release, which does not, is measured once: its content never
changes.
"""

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.lake.files.row_sizes import ITEM_BYTES, NARROW_BYTES, VALUE_BYTES
from shared.lake.schema import SET, SYSTEM_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

WIDEST_ROW = "widest_row"
LONGEST_CELL = "longest_cell"

_KNOWN_FILES = 4096
_TAIL_BYTES = 8  # of a Parquet file: the length of its footer, and four letters
_MEASURED_ROWS = 2048
# Of a column, that much is in memory while it is measured; our own row groups have 8 MiB.
_MEASURED_BYTES = 256 * 1024**2
_MEASURED_TOGETHER_BYTES = 4 * 1024**2
_MEASURING = threading.Lock()  # one at a time: several at once would add up


@dataclass(frozen=True, slots=True)
class Widest:
    """Bytes in memory.

    Attributes:
        row: no row has more.
        cell: no text or array of a field has more; a filter sees no other columns.
    """

    row: int = 0
    cell: int = 0

    @property
    def metadata(self) -> dict[str, str]:
        """What is noted in the metadata of a Parquet file."""
        return {WIDEST_ROW: str(self.row), LONGEST_CELL: str(self.cell)}

    @property
    def is_narrow(self) -> bool:
        """Whether rows can be read 2,048 at once."""
        return self.row <= NARROW_BYTES

    def is_narrow_with(self, cells: int) -> bool:
        """Whether they can be read so, and as much made of each: so many texts, as long as a cell."""
        return self.is_narrow and cells * self.cell <= NARROW_BYTES


def widest(found: Iterable[Widest]) -> Widest:
    """What holds for all of them."""
    several = list(found)
    return Widest(max((one.row for one in several), default=0), max((one.cell for one in several), default=0))


def widest_of(table: "pa.Table") -> Widest:
    """How large the rows of a table are; where all are narrow, how large one with the longest of all cells would be."""
    longest = {name: _longest_cell(table[name]) for name in table.column_names}
    row = VALUE_BYTES * table.num_columns + sum(longest.values())
    if row > NARROW_BYTES:  # perhaps no row has several of the long ones
        row = int(sizes_of_rows(table).max(initial=0))
    return Widest(row, max((size for name, size in longest.items() if name not in SYSTEM_COLUMNS), default=0))


class WidestOfTables:
    """How large the rows of tables get that come one by one, each small.

    Several are measured together: a look at a column costs about as much for 2,048 rows as for thirty times as many.
    """

    def __init__(self) -> None:
        self._known = Widest()
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0

    def add(self, table: "pa.Table", size: int) -> None:
        """Adds a table, and how many bytes it has."""
        self._waiting.append(table)
        self._waiting_bytes += size
        if self._waiting_bytes >= _MEASURED_TOGETHER_BYTES:
            self._measure()

    def result(self) -> Widest:
        """How large the rows of all of them are."""
        self._measure()
        return self._known

    def _measure(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._known = widest([self._known, widest_of(pa.concat_tables(self._waiting))])
        self._waiting, self._waiting_bytes = [], 0


def widest_in(files: Iterable[Path]) -> Widest:
    """How large the rows of Parquet files are."""
    return widest(_noted_or_measured(_known(file)) for file in files)


def widest_merged(changes: Sequence[Path], earlier: Sequence[Path]) -> Widest:
    """How large rows may get when changes are merged onto earlier rows.

    Of each set of columns a merged row has the values of one change at most, and beside them those of the row that was
    there.
    """
    files = [*map(_known, changes), *map(_known, earlier)]
    if not files:
        return Widest()
    found = widest(map(_noted_or_measured, files))
    if not found.is_narrow:
        return found
    # What a row has of every column is no more for being in several files.
    fixed = max(map(_fixed_bytes, files))
    of_sets: dict[str, int] = {}
    for file in files[: len(changes)]:
        for names in _sets(file):
            of_sets[names] = max(of_sets.get(names, 0), _noted_or_measured(file).row - _fixed_bytes(file))
    before = max((_noted_or_measured(file).row - _fixed_bytes(file) for file in files[len(changes) :]), default=0)
    return Widest(fixed + before + sum(of_sets.values()), found.cell)


def may_be_wide(files: Iterable[Path]) -> bool:
    """Whether the files may have rows that are not to be read 2,048 at once."""
    return not widest_in(files).is_narrow


@dataclass(frozen=True, slots=True)
class _Known:
    """A file by its footer, which has the places and sizes of all that is in it: links to it have many names."""

    size: int
    footer: bytes
    path: Path = field(compare=False)


def _known(path: Path) -> _Known:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(0, size - _TAIL_BYTES - length))
        return _Known(size, hashlib.sha256(file.read()).digest(), path)


@lru_cache(_KNOWN_FILES)
def _noted_or_measured(file: _Known) -> Widest:
    import pyarrow.parquet as pq

    noted = pq.read_metadata(file.path).metadata or {}
    row, cell = noted.get(WIDEST_ROW.encode()), noted.get(LONGEST_CELL.encode())
    if row is not None and cell is not None:
        return Widest(int(row), int(cell))
    with _MEASURING:
        return _measured(file)


@lru_cache(_KNOWN_FILES)
def _fixed_bytes(file: _Known) -> int:
    """Bytes of a row of the file without texts and items."""
    import pyarrow.parquet as pq

    return VALUE_BYTES * len(pq.read_schema(file.path))


@lru_cache(_KNOWN_FILES)
def _sets(file: _Known) -> frozenset[str]:
    """The sets of columns that the changes in the file set."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found: set[str] = set()
    with pq.ParquetFile(file.path, read_dictionary=[SET]) as opened:
        for batch in opened.iter_batches(columns=[SET], use_threads=False):
            found.update(text or "" for text in pc.unique(batch.column(0)).to_pylist())
    return frozenset(found)


@lru_cache(_KNOWN_FILES)
def _measured(file: _Known) -> Widest:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file.path) as opened:
        found = Widest()
        for index in range(opened.num_row_groups):
            found = widest([found, _measured_group(opened, index)])
            if not found.is_narrow:
                break
        return found


def _measured_group(opened: "pq.ParquetFile", index: int) -> Widest:
    group = opened.metadata.row_group(index)
    size = group.total_byte_size
    if size > min(NARROW_BYTES * group.num_rows, _MEASURED_BYTES):
        return Widest(size, size)  # some row is wide, or it would take too much to find out
    schema = opened.schema_arrow
    sizes, cell = _fixed(group.num_rows, len(schema)), 0
    for column in schema:
        if not _has_length(column.type):
            continue
        start = 0
        for batch in opened.iter_batches(_MEASURED_ROWS, [index], [column.name], use_threads=False):
            lengths: Any = _lengths(batch.column(0))
            sizes[start : start + len(lengths)] += lengths
            cell = max(cell, _longest(column.name, lengths))
            start += len(lengths)
    return Widest(int(sizes.max(initial=0)), cell)


def sizes_of_rows(table: "pa.Table") -> "np.ndarray[Any, Any]":
    """Bytes of each row of a table."""
    sizes = _fixed(table.num_rows, table.num_columns)
    for column in table.columns:
        if (lengths := _lengths(column)) is not None:
            sizes += lengths
    return sizes


def _longest_cell(column: "pa.ChunkedArray") -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) and column.num_chunks > 1:
        # All chunks at once, of which a column has dozens: the engine gives 2,048 rows each.
        return pc.max(pc.binary_length(column)).as_py() or 0
    lengths = _lengths(column)
    return 0 if lengths is None else int(lengths.max(initial=0))


def _fixed(rows: int, columns: int) -> "np.ndarray[Any, Any]":
    import numpy as np

    return np.full(rows, VALUE_BYTES * columns, np.int64)


def _longest(name: str, lengths: "np.ndarray[Any, Any]") -> int:
    return 0 if name in SYSTEM_COLUMNS else int(lengths.max(initial=0))


def _has_length(data_type: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(data_type) or pa.types.is_list(data_type))


def _lengths(column: "pa.ChunkedArray | pa.Array") -> "np.ndarray[Any, Any] | None":
    """Bytes of each cell of a column of texts or of arrays; None of another one."""
    return cell_sizes(column) if _has_length(column.type) else None


def cell_sizes(column: "pa.ChunkedArray | pa.Array") -> "np.ndarray[Any, Any]":
    """Bytes of each cell of a column of texts or of arrays."""
    import numpy as np
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    sizes = [_sizes_of_cells(chunk) for chunk in chunks if len(chunk)]
    return sizes[0] if len(sizes) == 1 else np.concatenate([np.zeros(0, np.int64), *sizes])


def _sizes_of_cells(cells: "pa.Array") -> "np.ndarray[Any, Any]":
    # By the places where cells end: a function of Arrow's for each step takes three times as long for 2,048 cells, and
    # rows are written in groups of so many.
    import numpy as np
    import pyarrow as pa

    if pa.types.is_string(cells.type):
        texts: np.ndarray[Any, Any] = np.diff(_text_ends(cells))
        return texts
    ends = cells.offsets.to_numpy()
    sizes: np.ndarray[Any, Any] = ITEM_BYTES * np.diff(ends).astype(np.int64)
    if pa.types.is_string(cells.type.value_type) and len(cells.values):
        sizes += np.diff(_text_ends(cells.values)[ends])
    return sizes


def _text_ends(texts: "pa.StringArray") -> "np.ndarray[Any, Any]":
    """Where the first text begins in the bytes of all, and where each ends."""
    import numpy as np

    return np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
