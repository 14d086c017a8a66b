"""Typed rows of one blob on the local disk, as the Parquet files that a commit will bring in."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.lake.schema import KEY, LINE

if TYPE_CHECKING:
    import pyarrow as pa

PART_BYTES = 64 * 1024**2
_ROW_GROUP_ROWS = 65_536
_ROW_GROUP_BYTES = 32 * 1024**2
_BOUND_CHARACTERS = 64
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Part:
    """A closed Parquet file.

    Attributes:
        low, high: bounds of its keys, shortened where keys are long.
    """

    path: Path
    rows: int
    size: int
    low: str
    high: str


class PartWriter:
    """Writes tables of `changes` one after the other, into files of about 64 MB.

    A finished file stands in `parts` at once, so that it can be sent off while the next one is written.
    """

    def __init__(self, schema: "pa.Schema", folder: Path, part_bytes: int = PART_BYTES) -> None:
        """`schema` is `changes_schema` of the type; `folder` must exist."""
        self.parts: list[Part] = []
        self._schema = schema
        self._folder = folder
        self._part_bytes = part_bytes
        self._open: _OpenPart | None = None

    def write(self, table: "pa.Table") -> None:
        """Adds rows, whose lines follow those already written."""
        if table.num_rows == 0:
            return
        if self._open is None:
            path = self._folder / f"part-{len(self.parts):05d}.parquet"
            self._open = _OpenPart(path, self._schema)
        self._open.write(table)
        if self._open.size >= self._part_bytes:
            self._finish()

    def close(self) -> list[Part]:
        """All parts, in the order of their rows; none where there were no rows."""
        self._finish()
        return self.parts

    def _finish(self) -> None:
        if self._open is not None:
            self.parts.append(self._open.close())
            self._open = None


class _OpenPart:
    """A file being written; small tables are gathered into row groups."""

    def __init__(self, path: Path, schema: "pa.Schema") -> None:
        import pyarrow.parquet as pq

        self._path = path
        self._schema = schema
        plain = {KEY, LINE}
        self._writer = pq.ParquetWriter(
            path, schema, compression="zstd", use_dictionary=[name for name in schema.names if name not in plain]
        )
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._low: str | None = None
        self._high: str | None = None

    @property
    def size(self) -> int:
        """Bytes on disk so far."""
        return self._path.stat().st_size

    def write(self, table: "pa.Table") -> None:
        import pyarrow.compute as pc

        bounds = pc.min_max(table.column(KEY)).as_py()
        self._low = bounds["min"] if self._low is None else min(self._low, bounds["min"])
        self._high = bounds["max"] if self._high is None else max(self._high, bounds["max"])
        self._rows += table.num_rows
        self._waiting.append(table.select(self._schema.names).cast(self._schema))
        rows = sum(waiting.num_rows for waiting in self._waiting)
        if rows >= _ROW_GROUP_ROWS or sum(waiting.nbytes for waiting in self._waiting) >= _ROW_GROUP_BYTES:
            self._write_row_group()

    def close(self) -> Part:
        if self._waiting:
            self._write_row_group()
        self._writer.close()
        return Part(self._path, self._rows, self.size, lower_bound(self._low or ""), upper_bound(self._high or ""))

    def _write_row_group(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting = []


def lower_bound(key: str) -> str:
    """Text that is not above `key`, and short."""
    return key[:_BOUND_CHARACTERS]


def upper_bound(key: str) -> str:
    """Text that is not below `key`, and short where that is possible."""
    if len(key) <= _BOUND_CHARACTERS or key[_BOUND_CHARACTERS] == _LAST_CHARACTER:
        return key
    return key[:_BOUND_CHARACTERS] + _LAST_CHARACTER
