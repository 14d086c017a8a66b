"""The CSV reader: batches of rows out of a stream of bytes, and every row that is refused, with its physical
line.

The structural scan reads a window at a time and owns rows, widths and lines; it also says what is wrong with the
others, all at once, since a file may hold nothing else. Where it meets a row that it can neither prove nor refuse,
the careful reader takes over, and reads on for a stretch, because such rows come in company. Nothing is padded,
trimmed, truncated or guessed, and nothing is lost: the physical lines are counted twice.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from shared.csv.decode import TextStream
from shared.csv.explain_row import CarefulReader, RowRead
from shared.csv.pace import LONG_STRETCH, Pace
from shared.csv.reading_time import ReadingTime
from shared.csv.refused_rows import refused_rows
from shared.csv.rejects import Reason, Rejects
from shared.csv.row_fault import RowFault
from shared.csv.row_starts import Expected
from shared.csv.rows import CellSplitter, RowCollector, Rows
from shared.csv.structure import Structure, scan
from shared.csv.text_cursor import TextCursor
from shared.domain.csv_dialect import CsvDialect, CsvLimits
from shared.domain.errors import DataError, TooManyColumnsError
from shared.domain.reject import RAW_LIMIT_BYTES, Reject

WINDOW_BYTES = 1 << 20
BATCH_ROWS = 1 << 16
BATCH_BYTES = 3 << 20
# A window has at most one line per so many of its bytes, since what is held of a line is more than its text.
_BYTES_OF_LINE = 32
# Where no header says what the columns are, one of so many rows must, or of so many bytes: all that are refused before
# it are held.
_ROWS_BEFORE_COLUMNS = 1 << 16
_BYTES_BEFORE_COLUMNS = 1 << 24


def read_csv(
    chunks: Iterable[bytes],
    dialect: CsvDialect,
    limits: CsvLimits | None = None,
    *,
    gzipped: bool = False,
    time: ReadingTime | None = None,
    most_bytes: int | None = None,
    window_bytes: int = WINDOW_BYTES,
    batch_rows: int = BATCH_ROWS,
    batch_bytes: int = BATCH_BYTES,
) -> "CsvReader":
    """Reads a CSV file.

    Args:
        chunks: the blob's bytes as they are stored, in pieces of any size.
        dialect: how the file is written.
        limits: sizes that reject a row or refuse the file.
        gzipped: whether the blob is a gzip file.
        time: how long it may take, where other passes count as well; else that of the limits.
        most_bytes: of text, after which no further row is read, whatever they hold; None for all of the file.
        window_bytes: bytes that are scanned at once.
        batch_rows, batch_bytes: a batch is given out with the first window that brings it to either size.

    Raises:
        DataError: while it is read, for the whole file: `NotGzip`, `BadGzip`, `TooLarge`, `TooSlow`,
            `UnreadableHeader`, `NoReadableRow`, `TooManyColumns`.
        UnavailableError: `SourceTooSlow`, `ReadingHeldUp`.
    """
    limits = limits or CsvLimits()
    text = TextStream(chunks, dialect.encoding, gzipped=gzipped, limits=limits, time=time)
    batch = (batch_rows, batch_bytes)
    return CsvReader(text, dialect, limits, window_bytes=window_bytes, batch=batch, most_bytes=most_bytes)


class CsvReader:
    """Iterates over the batches of one file, once. Made by `read_csv`.

    Attributes:
        text: the decoded file.
        rows: good rows given out so far.
        rejected: rows refused so far.
        pieces: in which pieces a batch is given out; whole, where nobody says otherwise.
        pace: how far the scan and the careful reader go at a time.
    """

    def __init__(
        self,
        text: TextStream,
        dialect: CsvDialect,
        limits: CsvLimits,
        *,
        window_bytes: int,
        batch: tuple[int, int],
        header: list[str] | None = None,
        most_bytes: int | None = None,
    ) -> None:
        self.text = text
        self.rows = self.rejected = 0
        self.pieces: Callable[[Rows], Iterable[Rows]] = lambda rows: (rows,)
        self._dialect, self._limits = dialect, limits
        self.pace = Pace(window_bytes)
        self._window = window_bytes
        # A row that is too long is to be seen as such, and the last line end may be half a CRLF.
        self._most_lines = max(window_bytes // _BYTES_OF_LINE, limits.max_row_lines + 2)
        self._batch_rows, self._batch_bytes = batch
        self._cursor = TextCursor(text, dialect.comment.encode(), most_bytes)
        self._careful = CarefulReader(dialect, limits)
        self._splitter = CellSplitter(dialect)
        self._batch = RowCollector(self._splitter, text)
        self._header = header
        self._header_is_read = header is not None
        self._skipped_lines: int | None = None

    @property
    def bytes_read(self) -> int:
        """Bytes of UTF-8 text read so far."""
        return self._cursor.bytes_read

    @property
    def is_cut(self) -> bool:
        """Whether reading has ended before the file: it was to read no more of it."""
        return self._cursor.is_cut

    @property
    def blank_lines(self) -> int:
        """Blank lines skipped so far; they are no rows."""
        return self._cursor.blank_lines

    @property
    def comment_lines(self) -> int:
        """Comments skipped so far."""
        return self._cursor.comment_lines

    @property
    def skipped_lines(self) -> int:
        """Lines before the table that the dialect told to skip."""
        return self._skipped_lines or 0

    @property
    def header(self) -> list[str] | None:
        """What `read_header` returns."""
        return self.read_header()

    def read_header(self) -> list[str] | None:
        """Names of the columns as in the file, where a name may be empty or stand twice.

        Returns:
            The names; None where the file holds no row at all. An empty list where it has no header and not
            one row can be read.

        Raises:
            DataError: `UnreadableHeader`, `NoReadableRow`, `TooManyColumns`, or for the whole file as `read_csv` says.
        """
        if self._skipped_lines is None:
            self._skipped_lines = self._cursor.skip_lines(self._dialect.skip_rows)
        if not self._header_is_read:
            self._header = self._read_names() if self._dialect.has_header else self._number_columns()
            self._header_is_read = True
        return self._header

    def __iter__(self) -> Iterator[Rows]:
        header = self.read_header() or []
        batch = self._batch
        while header:
            self._cursor.fill(1)
            if not self._cursor.left or self.is_cut:
                break
            if self.pace.careful_rows or not self._splitter.plain:
                self._read_stretch(len(header))
            else:
                self._read_window(len(header))
            if batch.rows + batch.rejects >= self._batch_rows or batch.weight >= self._batch_bytes:
                yield from self.pieces(self._give_out(header))
        if batch.rows or batch.rejects:
            yield from self.pieces(self._give_out(header))
        if not self.is_cut:
            self._cursor.check_lines()

    def of_part(self, text: bytes) -> "CsvReader":
        """A reader of some lines of this file, UTF-8 text, with the columns of the file."""
        dialect = replace(self._dialect, encoding="utf-8", skip_rows=0)
        stream = TextStream([text], dialect.encoding, gzipped=False, limits=self._limits)
        batch = (self._batch_rows, self._batch_bytes)
        part = CsvReader(stream, dialect, self._limits, window_bytes=self._window, batch=batch, header=self._header)
        part.pieces = self.pieces
        return part

    def may_be_row(self, line: bytes) -> bool:
        """Whether a line looks like a row of the file: without quotes, with as many cells as the header."""
        quote = self._dialect.quote.encode()
        cells = line.count(self._dialect.delimiter.encode()) + 1
        return cells == len(self._header or []) and not (quote and quote in line)

    def _give_out(self, header: list[str]) -> Rows:
        self.rows += self._batch.rows
        self.rejected += self._batch.rejects
        return self._batch.take(header)

    def _read_names(self) -> list[str] | None:
        row = self._next_row(None)
        if row is None:
            return None
        if row.fault is not None:
            _refuse_width(row.fault)
            cell = "" if row.fault.cell is None else f", column {row.fault.cell + 1}"
            where = f"line {self._cursor.line}{cell}"
            raise DataError("UnreadableHeader", f"The header ({where}) cannot be read. {row.fault.message}")
        self._pass(row)
        return [cell.decode() for cell in row.cells]

    def _number_columns(self) -> list[str] | None:
        """Numbers the columns by the first row whose cells can be told apart; it is read again as data."""
        refused: list[Reject] = []
        size = 0
        while (row := self._next_row(None)) is not None:
            if row.fault is None or not row.fault.first_line_only:
                break
            _refuse_width(row.fault)
            refused.append(self._reject(row.fault, row.end))
            size += row.end - self._cursor.at
            self._pass(row)
            if len(refused) == LONG_STRETCH or size >= self._window:
                self._batch.refuse(Rejects.of(refused))
                refused, size = [], 0
                self._check_held(row.fault)
        if refused:
            self._batch.refuse(Rejects.of(refused))
        if row is not None:
            return [f"column{number}" for number in range(1, len(row.cells) + 1)]
        return [] if self._batch.rejects else None

    def _check_held(self, fault: RowFault) -> None:
        held = self._batch
        if held.rejects >= _ROWS_BEFORE_COLUMNS or held.weight >= _BYTES_BEFORE_COLUMNS:
            message = f"None of the first {held.rejects} rows can be read, so the columns are not known. "
            raise DataError("NoReadableRow", f"{message}The last one: {fault.message}")

    def _read_window(self, width: int) -> None:
        """Reads the rows of one window by the scan, up to the first that it cannot prove."""
        cursor, size = self._cursor, self.pace.window
        cursor.fill(size)
        stop = min(cursor.at + size, len(cursor.data))
        dialect, limits = self._dialect, self._limits
        literal = dialect.bare_quotes == "Literal"
        found = scan(
            cursor.data,
            cursor.at,
            stop,
            at_end=cursor.at_end and stop == len(cursor.data),
            delimiter=ord(dialect.delimiter),
            quote=ord(dialect.quote) if dialect.quote else None,
            max_row_lines=limits.max_row_lines,
            max_lines=self._most_lines,
            max_faulty=0 if literal else size,
            expected=Expected(width, ord(dialect.comment) if dialect.comment else None, limits.max_row_bytes),
        )
        rows = found.starts.size
        if not rows and not found.broken and size < self._careful.sight:
            self.pace.widen()
            return
        if rows:
            self._take(found, width)
        good = rows - int(np.count_nonzero(found.faulty))
        if not rows or (literal and found.broken):
            self.pace.stopped(good)
        else:
            self.pace.scanned(good)

    def _take(self, rows: Structure, width: int) -> None:
        """Takes over the good rows of a window, leaves out comments, and refuses the others."""
        cursor = self._cursor
        source = cursor.data[cursor.at : cursor.at + rows.used]
        lines = np.cumsum(np.concatenate(([cursor.line], rows.lines)))
        blank = rows.ends == rows.starts
        comments = np.zeros(rows.starts.size, np.bool_)
        if self._dialect.comment:
            octets = np.frombuffer(source, np.uint8)
            comments = octets[np.minimum(rows.starts, octets.size - 1)] == ord(self._dialect.comment)
            cursor.comment_lines += int(np.count_nonzero(comments))
        refused = refused_rows(rows, source, comments | blank, width, self._limits, self._read_at)
        if refused.rows.size:
            reasons = [self._reason(fault) for fault in refused.faults]
            starts = rows.starts[refused.rows]
            raw = self.text.show_all(source, starts, refused.ends, RAW_LIMIT_BYTES, refused.is_bad)
            self._batch.refuse(Rejects(lines[refused.rows], refused.numbers, reasons, raw))
        left_out = comments
        left_out[refused.rows] = True
        good = ~left_out & ~blank
        proven = rows.without(np.flatnonzero(left_out), source) if left_out.any() else None
        self._batch.add(source, rows.starts[good], rows.ends[good], lines[:-1][good], proven)
        cursor.blank_lines += int(np.count_nonzero(blank))
        cursor.move(cursor.at + rows.used, int(lines[-1]) - cursor.line)

    def _read_stretch(self, width: int) -> None:
        """Reads rows with the careful reader: so many as a fault calls for, or about a window full."""
        source: list[bytes] = []
        proven: list[bytes] = []
        places: list[tuple[int, int, int]] = []
        size = passed = 0
        refused: list[Reject] = []
        while (
            passed < self._window
            and len(places) + len(refused) < LONG_STRETCH
            and (row := self._next_row(width)) is not None
        ):
            start = self._cursor.at
            if row.fault is not None:
                refused.append(self._reject(row.fault, row.end))
            else:
                text = self._cursor.data[start : row.after]
                source.append(text)
                proven.append(self._for_engine(text, row))
                places.append((size, size + row.end - start, self._cursor.line))
                size += len(text)
            passed += row.after - start
            self._pass(row)
            if self.pace.read_carefully() and self._splitter.plain:
                break
        starts, ends, lines = np.array(places, np.int64).reshape(-1, 3).T
        self._batch.add(b"".join(source), starts, ends, lines, proven)
        if refused:
            self._batch.refuse(Rejects.of(refused))

    def _for_engine(self, text: bytes, row: RowRead) -> bytes:
        literal = self._dialect.bare_quotes == "Literal" and self._dialect.quote.encode() in text
        return text if self._splitter.plain and not literal else self._splitter.canonical(row.cells)

    def _next_row(self, width: int | None) -> RowRead | None:
        """Reads the next row with the careful reader, without passing it; None at the end of the file."""
        cursor = self._cursor
        if not cursor.skip_to_row():
            return None
        while (row := self._careful.read(cursor.data, cursor.at, cursor.at_end, width)) is None:
            cursor.fill_more()
        return row

    def _pass(self, row: RowRead) -> None:
        self._cursor.move(row.after, row.lines)
        if row.unfinished:
            self._cursor.skip_rest_of_line()

    def _read_at(self, offset: int) -> RowRead | None:
        """What the careful reader makes of the row so many bytes further on; offsets in it count from here."""
        cursor = self._cursor
        read = self._careful.read(cursor.data, cursor.at + offset, cursor.at_end, len(self._header or []))
        return read and replace(read, end=read.end - cursor.at, after=read.after - cursor.at)

    def _reject(self, fault: RowFault, end: int) -> Reject:
        """The row at which reading stands, as refused."""
        start = self._cursor.at
        # One byte over the limit and the four of a character: enough to cut the text where a character ends.
        raw = self.text.show(self._cursor.data[start : min(end, start + RAW_LIMIT_BYTES + 5)], RAW_LIMIT_BYTES)
        return Reject(self._cursor.line, *self._reason(fault), raw)

    def _reason(self, fault: RowFault) -> Reason:
        header = self._header
        column = None
        if fault.cell is not None and header is None:
            column = f"column{fault.cell + 1}"
        elif fault.cell is not None and header is not None and fault.cell < len(header):
            column = header[fault.cell]
        return Reason(column, fault.code, fault.message)


def _refuse_width(fault: RowFault) -> None:
    if fault.is_of_file:
        raise TooManyColumnsError(fault.code, fault.message)
