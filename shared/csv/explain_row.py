"""The careful reader: reads one row after the other, in every dialect, and says what is wrong with a row.

It is slow and plain. It reads what the structural scan does not cover, and names the fault of each row that
the
scan leaves out, so that both ways reject for the same reason: the fault that stands first in the row.
"""

import re
from dataclasses import dataclass, field

from shared.csv import row_fault
from shared.csv.row_fault import RowFault
from shared.domain.csv_dialect import CsvDialect, CsvLimits

LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class RowRead:
    """One row, or the part of it that is refused.

    Attributes:
        end: offset at which its text ends, before the line end.
        after: offset at which reading goes on.
        lines: physical lines taken.
        cells: contents, unquoted; incomplete where there is a fault.
        fault: why it is refused; None for a good row.
        unfinished: the refused line goes on beyond `after`, and the rest of it must be skipped.
    """

    end: int
    after: int
    lines: int
    cells: list[bytes]
    fault: RowFault | None = None
    unfinished: bool = False


class _BrokenError(Exception):
    def __init__(self, at: int, fault: RowFault) -> None:
        super().__init__(fault.code)
        self.at = at
        self.fault = fault


class _UndecidedError(Exception):
    """More of the file is needed."""


@dataclass(slots=True)
class _Row:
    """A row while it is read.

    Attributes:
        data, start: the text, and where the row starts in it.
        stop, at_end: what can be seen of the text, and whether the file ends there.
        keep: cells that are kept at most; a row of millions of cells is counted only.
        end, after: where the present physical line ends, and where the next one starts; None if out of sight.
    """

    data: bytes
    start: int
    stop: int
    at_end: bool
    keep: int
    end: int = 0
    after: int | None = None
    lines: int = 1
    count: int = 0
    cells: list[bytes] = field(default_factory=list)

    def enter_line(self, at: int) -> None:
        """Makes the physical line that holds `at` the present one."""
        found = LINE_END.search(self.data, at, self.stop)
        if found is None:
            self.end, self.after = self.stop, self.stop if self.at_end else None
        elif found.end() == self.stop and found.group() == b"\r" and not self.at_end:
            self.end, self.after = found.start(), None  # it may be half a CRLF
        else:
            self.end, self.after = found.span()

    def add(self, cell: bytes) -> None:
        if self.count < self.keep:
            self.cells.append(cell)
        self.count += 1


class CarefulReader:
    """Reads single rows of one dialect.

    Args:
        dialect: how the file is written.
        limits: sizes that reject a row.
    """

    def __init__(self, dialect: CsvDialect, limits: CsvLimits) -> None:
        self._delimiter = dialect.delimiter.encode()
        self._quote = dialect.quote.encode()
        self._escape = (dialect.escape or dialect.quote).encode()
        self._literal = dialect.bare_quotes == "Literal"
        self._limits = limits
        self._marks = re.compile(b"|".join(map(re.escape, {self._quote, self._escape})))
        self._escaped = re.compile(
            re.escape(self._escape) + b"(" + re.escape(self._quote) + b"|" + re.escape(self._escape) + b")"
        )
        # So many bytes tell what follows a cell, a closing quote or an escape.
        self._lookahead = max(2, len(self._delimiter), len(self._quote), len(self._escape))

    @property
    def sight(self) -> int:
        """Bytes of the file from the start of a row that always suffice to read or refuse it."""
        return self._limits.max_row_bytes + self._lookahead

    def read(self, data: bytes, start: int, at_end: bool, width: int | None) -> RowRead | None:
        """Reads the row that starts at `start`, which must not be a blank line.

        Args:
            data: UTF-8 text; bytes before `start` are ignored.
            start: offset of the row.
            at_end: whether the file ends where `data` ends.
            width: cells that the row must have; None takes any number up to the limit.

        Returns:
            The row, or None where more of the file is needed to tell; never None where `sight` bytes are
            there.
        """
        most = self._limits.max_row_bytes
        stop = min(len(data), start + self.sight)
        in_full_sight = stop == start + self.sight
        keep = self._limits.max_columns if width is None else width
        row = _Row(data, start, stop, at_end and stop == len(data), keep)
        row.enter_line(start)
        end, after = row.end, row.after
        if after is None and not in_full_sight:
            return None
        if after is None or end - start > most:
            fault = row_fault.row_too_long(self._limits)
            return RowRead(end, end if after is None else after, 1, [], fault, unfinished=after is None)
        try:
            self._read_cells(row)
            fault_found = self._fault_of_whole_row(row, width)
        except _BrokenError as error:
            fault_found = error.fault if error.at - start <= most else row_fault.row_too_long(self._limits)
        except _UndecidedError:
            if not in_full_sight:
                return None
            fault_found = row_fault.row_too_long(self._limits)
        if fault_found is not None and fault_found.first_line_only:
            return RowRead(end, after, 1, [], fault_found)
        return RowRead(row.end, row.after or row.end, row.lines, row.cells, fault_found)

    def _read_cells(self, row: _Row) -> None:
        """Reads all cells; then the row ends with its present line."""
        data, delimiter, quote = row.data, self._delimiter, self._quote
        at = row.start
        if not quote or data.find(quote, at, row.end) < 0:
            row.count = data.count(delimiter, at, row.end) + 1
            row.cells = data[at : row.end].split(delimiter) if row.count <= row.keep else []
            return
        while True:
            if data.startswith(quote, at, row.end):
                at = self._read_quoted(row, at + len(quote))
                if at < row.end and not data.startswith(delimiter, at, row.end):
                    raise _BrokenError(at, row_fault.text_after_quote(row.count - 1, row.lines))
            else:
                at = self._read_bare(row, at)
            if at == row.end:
                if row.after is None:
                    raise _UndecidedError
                return
            at += len(delimiter)

    def _read_bare(self, row: _Row, at: int) -> int:
        """Reads an unquoted cell and returns where it ends."""
        end = row.data.find(self._delimiter, at, row.end)
        end = row.end if end < 0 else end
        if not self._literal and (quote := row.data.find(self._quote, at, end)) >= 0:
            raise _BrokenError(quote, row_fault.bare_quote(row.count, row.lines))
        row.add(row.data[at:end])
        return end

    def _read_quoted(self, row: _Row, at: int) -> int:
        """Reads a quoted cell from behind its opening quote and returns where its closing quote ends."""
        data = row.data
        opening = at
        while True:
            mark = self._next_mark(row, at)
            at = mark.end()
            if row.after is None and row.stop - at < self._lookahead:
                raise _UndecidedError
            if mark.group() == self._escape:
                if data.startswith(self._quote, at, row.end):
                    at += len(self._quote)
                    continue
                if data.startswith(self._escape, at, row.end):
                    at += len(self._escape)
                    continue
            if mark.group() == self._quote:
                row.add(self._unescaped(data[opening : mark.start()]))
                return at

    def _next_mark(self, row: _Row, at: int) -> re.Match[bytes]:
        """The next quote or escape from `at` on, be it on a later line."""
        while (mark := self._marks.search(row.data, at, row.end)) is None:
            if row.after is None:
                raise _UndecidedError
            if row.after == row.end:
                raise _BrokenError(row.end, row_fault.unclosed_quote(row.count))
            row.lines += 1
            if row.lines > self._limits.max_row_lines:
                raise _BrokenError(row.end, row_fault.quoted_cell_too_long(row.count, self._limits))
            at = row.after
            row.enter_line(at)
        return mark

    def _unescaped(self, text: bytes) -> bytes:
        """The content of a quoted cell; an escape before anything but a quote or an escape is text."""
        if self._escape not in text:
            return text
        return self._escaped.sub(rb"\1", text)

    def _fault_of_whole_row(self, row: _Row, width: int | None) -> RowFault | None:
        """What is wrong with a row whose cells can be told apart."""
        if row.end - row.start > self._limits.max_row_bytes:
            return row_fault.row_too_long(self._limits)
        if width is None and row.count > row.keep:
            return row_fault.too_many_columns(row.count, self._limits)
        if width is not None and row.count != width:
            return row_fault.row_width(row.count, width, row.lines)
        return self._fault_of_cells(row)

    def _fault_of_cells(self, row: _Row) -> RowFault | None:
        text = row.data[row.start : row.end]
        if b"\0" in text:
            return row_fault.nul_byte(next((i for i, cell in enumerate(row.cells) if b"\0" in cell), None))
        if not _is_utf8(text):
            return row_fault.undecodable(next((i for i, cell in enumerate(row.cells) if not _is_utf8(cell)), None))
        most = self._limits.max_field_bytes
        if len(text) > most:
            for number, cell in enumerate(row.cells):
                if len(cell) > most:
                    return row_fault.field_too_long(number, len(cell), self._limits)
        return None


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
