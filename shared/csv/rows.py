"""A batch of rows: proven text is collected, and split into columns of strings by one call of an engine.

pyarrow's CSV reader does not prove anything (it takes bare quotes, NUL and glued rows for data), but it
splits rows that are proven faster than anything else here. It must return as many rows as were given to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.csv

from shared.csv.bit_masks import Offsets
from shared.csv.decode import TextStream
from shared.csv.rejects import Rejects, no_rejects
from shared.domain.csv_dialect import CsvDialect
from shared.domain.errors import AccountingError
from shared.domain.reject import RAW_LIMIT_BYTES

_BOM = "\ufeff".encode()


@dataclass(frozen=True, slots=True)
class Rows:
    """One batch.

    Attributes:
        cells: string columns in the order of the file, named as in the header, where a name may be empty or
            stand twice. An empty cell, quoted or not, is null.
        lines: physical line on which each row starts, from 1.
        rejects: rows refused in the same part of the file, ascending by line.
    """

    cells: pa.Table
    lines: Offsets
    rejects: Rejects
    _source: bytes
    _starts: Offsets
    _ends: Offsets
    _text: TextStream

    def text(self, row: int) -> bytes:
        """UTF-8 text of row number `row` of this batch as it stands in the file."""
        return self._source[int(self._starts[row]) : int(self._ends[row])]

    def raw(self, row: int) -> str:
        """The same for a `Reject`."""
        return self._text.show(self.text(row), RAW_LIMIT_BYTES)

    def raws(self, rows: Offsets) -> pa.Array:
        """The same of several rows; large strings."""
        order = np.argsort(self._starts[rows], kind="stable")
        starts, ends = self._starts[rows][order], self._ends[rows][order]
        shown = self._text.show_all(self._source, starts, ends, RAW_LIMIT_BYTES)
        return shown if np.all(order[:-1] < order[1:]) else shown.take(pa.array(np.argsort(order)))

    @property
    def weight(self) -> int:
        """Bytes of the rows in the file; their cells have no more."""
        return int((self._ends - self._starts).sum())

    def part(self, start: int, stop: int) -> "Rows":
        """Rows `start` to `stop` - 1, and what was refused behind them; the first part also has what was before it."""
        refused = self.rejects.lines
        low = int(np.searchsorted(refused, self.lines[start])) if start else 0
        high = int(np.searchsorted(refused, self.lines[stop])) if stop < self.lines.size else refused.size
        return replace(
            self,
            cells=self.cells.slice(start, stop - start),
            lines=self.lines[start:stop],
            rejects=self.rejects[low:high],
            _starts=self._starts[start:stop],
            _ends=self._ends[start:stop],
        )

    def take(self, numbers: Offsets) -> "Rows":
        """The rows of these numbers, without what was refused."""
        return replace(
            self,
            cells=self.cells.take(pa.array(numbers)),
            lines=self.lines[numbers],
            rejects=no_rejects(),
            _starts=self._starts[numbers],
            _ends=self._ends[numbers],
        )

    @classmethod
    def joined(cls, batches: Sequence["Rows"]) -> "Rows":
        """The rows of some batches of a file, at least one, without what was refused."""
        ends = np.cumsum([0, *(len(batch._source) for batch in batches)])
        moved = list(zip(batches, ends.tolist(), strict=False))
        return cls(
            pa.concat_tables([batch.cells for batch in batches]),
            np.concatenate([batch.lines for batch in batches]),
            no_rejects(),
            b"".join(batch._source for batch in batches),
            np.concatenate([batch._starts + end for batch, end in moved]),
            np.concatenate([batch._ends + end for batch, end in moved]),
            batches[0]._text,
        )

    def further_lines(self, rows: Offsets) -> Offsets:
        """How many line ends each of these rows has in its quotes; a CRLF is one."""
        octets = np.frombuffer(self._source, np.uint8)
        line_ends = (octets == 10) | (octets == 13)
        line_ends[:-1] &= ~((octets[:-1] == 13) & (octets[1:] == 10))
        where = np.flatnonzero(line_ends)
        found: Offsets = np.searchsorted(where, self._ends[rows]) - np.searchsorted(where, self._starts[rows])
        return found

    def moved(self, lines: int) -> "Rows":
        """The same rows so many lines further down."""
        return replace(self, lines=self.lines + lines, rejects=self.rejects.moved(lines))


class CellSplitter:
    """Splits proven rows into columns.

    Attributes:
        plain: whether rows are given as they stand in the file; else `canonical` writes them anew.
    """

    def __init__(self, dialect: CsvDialect) -> None:
        self.plain = is_plain(dialect)
        self._delimiter = dialect.delimiter if self.plain else ","
        self._quote = dialect.quote if self.plain else '"'

    def canonical(self, cells: Sequence[bytes]) -> bytes:
        """The row written so that `split` reads it, with line end."""
        quote = self._quote.encode()
        quoted = (quote + cell.replace(quote, quote * 2) + quote for cell in cells)
        return self._delimiter.encode().join(quoted) + b"\n"

    def split(self, text: bytes, rows: int, header: Sequence[str]) -> pa.Table:
        """Splits `text`, which holds `rows` rows and any number of blank lines.

        Raises:
            AccountingError: the engine disagrees about the number of rows.
        """
        # Columns are numbered for the engine: names may be doubled.
        names = [str(number) for number in range(len(header))]
        if not rows:
            return pa.table([pa.array([], pa.string())] * len(names), names=names).rename_columns(list(header))
        if text.startswith(_BOM):
            text = b"\n" + text  # the engine would drop it, but inside a file it is data
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(text),
                pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 64),
                pyarrow.csv.ParseOptions(
                    delimiter=self._delimiter,
                    quote_char=self._quote or False,
                    newlines_in_values=bool(self._quote),
                    ignore_empty_lines=True,
                ),
                pyarrow.csv.ConvertOptions(
                    check_utf8=False,  # proven before
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                    null_values=[""],
                ),
            )
        except pa.ArrowInvalid as error:
            raise AccountingError("RowCount", f"the engine cannot split {rows} rows that are proven") from error
        if table.num_rows != rows:
            raise AccountingError("RowCount", f"the scan counts {rows} rows, the engine {table.num_rows}")
        return table.rename_columns(list(header))


def is_plain(dialect: CsvDialect) -> bool:
    """Whether scan and engine read the dialect: one-byte delimiter, quote and comment mark, and doubling."""
    return (
        len(dialect.delimiter) == 1
        and (dialect.delimiter + dialect.quote + dialect.comment).isascii()
        and (not dialect.quote or dialect.escape in {"", dialect.quote})
    )


class RowCollector:
    """Collects proven rows and rejects until they make a batch.

    Attributes:
        rows: good rows collected.
        rejects: rejects collected.
        weight: about how many bytes of the file are held.
    """

    def __init__(self, splitter: CellSplitter, text: TextStream) -> None:
        self._splitter = splitter
        self._text = text
        self._clear()

    def _clear(self) -> None:
        self._source: list[bytes] = []
        self._proven: list[bytes] = []
        self._as_is = True
        self._starts: list[Offsets] = []
        self._ends: list[Offsets] = []
        self._lines: list[Offsets] = []
        self._rejects: list[Rejects] = []
        self.rows = self.rejects = 0
        self.weight = 0
        self._size = 0

    def add(
        self,
        source: bytes,
        starts: Offsets,
        ends: Offsets,
        lines: Offsets,
        proven: Sequence[bytes] | None = None,
    ) -> None:
        """Adds a piece of the file.

        Args:
            source: the piece as it stands in the file.
            starts, ends: offsets in it of the good rows.
            lines: their physical lines.
            proven: what the engine is given instead of `source`: only good rows, each with a line end.
        """
        self._source.append(source)
        self._starts.append(starts + self._size)
        self._ends.append(ends + self._size)
        self._lines.append(lines)
        if proven is None:
            self._proven.append(source)
        else:
            self._as_is = False
            self._proven.extend(proven)
        self.rows += lines.size
        self._size += len(source)
        self.weight += len(source)

    def refuse(self, rejects: Rejects) -> None:
        """Adds rejects."""
        self._rejects.append(rejects)
        self.rejects += len(rejects)
        self.weight += rejects.raw.nbytes

    def take(self, header: Sequence[str]) -> Rows:
        """Makes a batch of what is collected, and begins the next."""
        source = b"".join(self._source)
        self._source.clear()
        proven = source if self._as_is else b"".join(self._proven)
        self._proven.clear()
        cells = self._splitter.split(proven, self.rows, header)
        batch = Rows(
            cells,
            _joined(self._lines),
            Rejects.joined(self._rejects),
            source,
            _joined(self._starts),
            _joined(self._ends),
            self._text,
        )
        self._clear()
        return batch


def _joined(pieces: list[Offsets]) -> Offsets:
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
