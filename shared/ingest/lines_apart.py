"""Rows over several lines that are refused for a value: most often two stray quotes have glued rows together.

Two stray quotes in the same column make one legal row out of all that lies between them. While its values fit, no
reader can tell. Where one does not, the row is refused anyway: then its lines are read each by itself, and if they
are good rows for the better part, they count as such.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shared.casts.type_rows import RowTyper
from shared.casts.typed_sizes import PIECE_BYTES
from shared.csv.bad_bytes import bad_bytes
from shared.csv.bit_masks import Offsets
from shared.csv.explain_row import LINE_END
from shared.csv.read_csv import CsvReader
from shared.csv.rejects import Reason, Rejects
from shared.csv.rows import Rows
from shared.lake.schema import LINE

# Each costs milliseconds; a file that has more of them is to be mended as a whole.
_MOST_IN_A_FILE = 1000
_BOM = "\ufeff".encode()


class LinesApart:
    """Types the batches of one file, and takes rows apart that were refused for what quotes have glued.

    From now on the reader gives out batches that are not too large to be typed at once.

    Attributes:
        more: rows and rejects that came out of rows taken apart, less those rows.
    """

    def __init__(self, reader: CsvReader, typer: RowTyper) -> None:
        self.more = 0
        reader.pieces = typer.pieces
        self._reader = reader
        self._typer = typer
        self._left = _MOST_IN_A_FILE
        self._room = PIECE_BYTES

    def type(self, rows: Rows) -> tuple[pa.Table, Rejects]:
        """The good rows of a batch, in the order of the file, and all that are refused in its part, by line."""
        typed = self._typer.type(rows)
        if not typed.refused.size:
            return typed.table, rows.rejects
        further = rows.further_lines(typed.refused)
        if not further.any():
            return typed.table, Rejects.joined([rows.rejects, typed.rejects]).by_line()
        tables, rejects = [typed.table], [rows.rejects]
        whole = np.ones(further.size, np.bool_)
        self._room = PIECE_BYTES
        for number in np.flatnonzero(further > 1).tolist():
            apart = self._take_apart(rows, int(typed.refused[number])) if self._left else None
            if apart is not None:
                whole[number] = False
                self.more += apart.rows + len(apart.rejects) - 1
                tables += apart.tables
                rejects.append(apart.rejects)
        rejects.append(_with_lines(typed.rejects, further).take(np.flatnonzero(whole)))
        table = typed.table if len(tables) == 1 else pa.concat_tables(tables).sort_by(LINE)
        return table, Rejects.joined(rejects).by_line()

    def _take_apart(self, rows: Rows, row: int) -> "_Apart | None":
        """What the lines of a row are by themselves; None where they are no rows for the better part."""
        text = rows.text(row)
        opening = LINE_END.search(text)
        following = LINE_END.search(text, opening.end()) if opening else None
        if opening is None or following is None or not self._reader.may_be_row(text[opening.end() : following.start()]):
            return None
        if _BOM in text or bad_bytes(text).size:
            return None
        self._left -= 1
        line = int(rows.lines[row])
        first = self._read(text[: opening.start()], line - 1)
        others = self._read(text[opening.end() :], line)
        if first is None or others is None:
            return None
        if first.rows or len(first.rejects) != 1 or others.rows < max(1, len(others.rejects)):
            return None
        return _Apart(others.tables, Rejects.joined([first.rejects, others.rejects]))

    def _read(self, text: bytes, lines_before: int) -> "_Apart | None":
        """What lines are by themselves; None where that is more than a batch has room for."""
        tables, rejects = [], []
        for batch in self._reader.of_part(text):
            moved = batch.moved(lines_before)
            typed = self._typer.type(moved)
            self._room -= typed.table.nbytes
            if self._room < 0:
                return None
            tables.append(typed.table)
            rejects.append(Rejects.joined([moved.rejects, typed.rejects]).by_line())
        return _Apart(tables, Rejects.joined(rejects))


@dataclass(frozen=True, slots=True)
class _Apart:
    """What some lines are by themselves."""

    tables: list[pa.Table]
    rejects: Rejects

    @property
    def rows(self) -> int:
        return sum(table.num_rows for table in self.tables)


def _with_lines(rejects: Rejects, further: Offsets) -> Rejects:
    """The rejects, telling so where a row has more lines than the one that it names."""
    reasons = list(rejects.reasons)
    numbers = rejects.numbers.copy()
    several = np.flatnonzero(further)
    lasts = (rejects.lines + further)[several].tolist()
    for last, number in zip(lasts, numbers[several].tolist(), strict=True):
        column, code, message = reasons[number]
        reasons.append(Reason(column, code, f"{message}; by its quotes, the row goes on to line {last}"))
    numbers[several] = np.arange(len(rejects.reasons), len(reasons))
    return Rejects(rejects.lines, numbers, reasons, rejects.raw)
