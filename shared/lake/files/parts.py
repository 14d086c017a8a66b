"""Rows on the local disk as Parquet files, ready to be sent to a table's folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.engine.sql import LAST_CHARACTER
from shared.engine.workspace import Connection
from shared.lake.files.widest import WidestOfTables
from shared.lake.log.part import Part
from shared.lake.schema import INGESTED_AT, KEY, ORDER, PROCESSING_TIME, REFRESH, RUN, SET

if TYPE_CHECKING:
    import pyarrow as pa

PART_BYTES = 64 * 1024**2
_BOUND_CHARACTERS = 64
_BATCH_ROWS = 2048  # the engine's own unit


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are laid out in files.

    Attributes:
        part_bytes: a file is closed when it has so many.
        group_rows: rows of a row group. Whoever looks a key up reads whole row groups.
        group_bytes: bytes of a row group in memory. Whoever reads a file holds one or two of them for each thread.
    """

    part_bytes: int = PART_BYTES
    group_rows: int = 65_536
    group_bytes: int = 8 * 1024**2


class PartWriter:
    """Writes tables of one schema one after the other, into files of about equal size.

    A finished file stands in `parts` at once, so that it can be sent off while the next one is written.
    """

    def __init__(self, schema: "pa.Schema", folder: Path, layout: Layout = Layout()) -> None:
        """`folder` must exist."""
        self.parts: list[Part] = []
        self._schema = schema
        self._folder = folder
        self._layout = layout
        self._open: _OpenPart | None = None

    def write(self, table: "pa.Table") -> None:
        """Adds rows after those already written."""
        if table.num_rows == 0:
            return
        if self._open is None:
            path = self._folder / f"part-{len(self.parts):05d}.parquet"
            self._open = _OpenPart(path, self._schema, self._layout)
        self._open.write(table)
        if self._open.size >= self._layout.part_bytes:
            self._finish()

    def close(self) -> list[Part]:
        """All parts, in the order of their rows; none where there were no rows."""
        self._finish()
        return self.parts

    def _finish(self) -> None:
        if self._open is not None:
            self.parts.append(self._open.close())
            self._open = None


def write_rows(connection: Connection, query: str, writer: PartWriter) -> Iterator[list[Part]]:
    """Writes the rows of a query, in their order; gives the finished parts again and again, while there are more."""
    import pyarrow as pa

    # A relation streams; what `execute` gives would be made as a whole before its first row is seen.
    for batch in connection.sql(query).to_arrow_reader(_BATCH_ROWS):
        writer.write(pa.Table.from_batches([batch]))
        yield writer.parts


class _OpenPart:
    """A file being written; small tables are gathered into row groups."""

    def __init__(self, path: Path, schema: "pa.Schema", layout: Layout) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        self._schema = schema
        self._layout = layout
        # A dictionary costs time and, compressed, saves nothing; but for columns that are the same in most rows.
        alike = [name for name in (SET, RUN, ORDER, INGESTED_AT) if name in schema.names]
        # The bounds of texts cost a fifth of the time of writing, and only those of keys are ever looked at.
        bounded = [field.name for field in schema if field.name == KEY or not pa.types.is_string(field.type)]
        self._writer = pq.ParquetWriter(
            path, schema, compression="zstd", use_dictionary=alike, write_statistics=bounded
        )
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._bounds: dict[str, tuple[Any, Any]] = {}
        self._widest = WidestOfTables()

    @property
    def size(self) -> int:
        """Bytes on disk so far."""
        return self._path.stat().st_size

    def write(self, table: "pa.Table") -> None:
        for name in (KEY, REFRESH, PROCESSING_TIME):
            if name in self._schema.names:
                self._widen(name, table.column(name))
        self._rows += table.num_rows
        self._waiting.append(table.select(self._schema.names).cast(self._schema))
        rows = sum(waiting.num_rows for waiting in self._waiting)
        size = sum(waiting.nbytes for waiting in self._waiting)
        if rows >= self._layout.group_rows or size >= self._layout.group_bytes:
            self._write_row_groups()

    def close(self) -> Part:
        if self._waiting:
            self._write_row_groups()
        self._writer.add_key_value_metadata(self._widest.result().metadata)
        self._writer.close()
        low, high = self._bounds[KEY]
        return Part(
            self._path,
            self._rows,
            self.size,
            lower_bound(low),
            upper_bound(high),
            self._bounds.get(REFRESH),
            self._bounds.get(PROCESSING_TIME, (None, None))[1],
        )

    def _widen(self, name: str, column: "pa.ChunkedArray") -> None:
        import pyarrow.compute as pc

        found = pc.min_max(column).as_py()
        low, high = self._bounds.get(name, (found["min"], found["max"]))
        self._bounds[name] = (min(low, found["min"]), max(high, found["max"]))

    def _write_row_groups(self) -> None:
        import pyarrow as pa

        table = pa.concat_tables(self._waiting)
        size = table.nbytes
        self._widest.add(table, size)
        fitting = max(1, self._layout.group_bytes * table.num_rows // max(1, size))
        self._writer.write_table(table, row_group_size=min(fitting, self._layout.group_rows))
        self._waiting = []


def lower_bound(key: str) -> str:
    """Text that is not above `key`, and short."""
    return key[:_BOUND_CHARACTERS]


def upper_bound(key: str) -> str:
    """Text that is not below `key`, and short where that is possible."""
    if len(key) <= _BOUND_CHARACTERS or key[_BOUND_CHARACTERS] == LAST_CHARACTER:
        return key
    return key[:_BOUND_CHARACTERS] + LAST_CHARACTER
