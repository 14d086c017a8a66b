"""What a CSV file says, read one character at a time by a state machine; no code and no method of the reader's."""

from dataclasses import dataclass, field
from enum import Enum, auto

from shared.domain.csv_dialect import CsvDialect, CsvLimits


class State(Enum):
    CELL_START = auto()
    BARE = auto()
    QUOTED = auto()
    CLOSED = auto()


@dataclass
class Said:
    """What the file says. Cells: '' is None. Faults: (line, code, number of the cell or None).

    `header_line` is the line of the row that named or numbered the columns.
    """

    header: list[str] | None = None
    rows: list[tuple[int, list[str | None]]] = field(default_factory=list)
    comments: int = 0
    skipped: int = 0
    faults: list[tuple[int, str, int | None]] = field(default_factory=list)
    blank_lines: int = 0
    header_fault: str | None = None
    header_line: int = 0


@dataclass
class Attempt:
    at: int
    line_ends: int = 0
    cells: list[str] = field(default_factory=list)
    fault: str | None = None
    cell: int | None = None


def read(data: bytes, dialect: CsvDialect, limits: CsvLimits) -> Said:
    """Reads UTF-8 text without byte order mark."""
    # Latin-1 gives every byte a character of its own, whatever it means.
    text = data.decode("latin-1")
    said = Said()
    width: int | None = None
    at, line = 0, 1
    while at < len(text) and said.skipped < dialect.skip_rows:
        at, line, said.skipped = next_line(text, at), line + 1, said.skipped + 1
    while at < len(text):
        if dialect.comment and text.startswith(dialect.comment.encode().decode("latin-1"), at):
            at, line, said.comments = next_line(text, at), line + 1, said.comments + 1
            continue
        if step := line_end(text, at):
            at, line, said.blank_lines = at + step, line + 1, said.blank_lines + 1
            continue
        attempt = try_row(text, at, dialect, limits)
        spoilt = attempt.fault or content_fault(attempt, limits)
        header_row = width is None and dialect.has_header
        if width is None and attempt.fault is None:
            width = len(attempt.cells)
            said.header_line = line
            said.header = [utf8(c) for c in attempt.cells] if header_row and not spoilt else None
            said.header = said.header or [f"column{n + 1}" for n in range(width)]
            if width > limits.max_columns:
                said.header_fault = "TooManyColumns"
                return said
        if header_row and spoilt:
            said.header_fault = spoilt
            return said
        if attempt.fault is None and len(attempt.cells) != width:
            attempt.fault, attempt.cell, spoilt = "RowWidth", None, "RowWidth"
        if attempt.fault is not None:
            said.faults.append((line, attempt.fault, attempt.cell))
            at, line = next_line(text, at), line + 1
            continue
        if spoilt:
            said.faults.append((line, spoilt, attempt.cell))
        elif not header_row:
            said.rows.append((line, [utf8(c) or None for c in attempt.cells]))
        line += attempt.line_ends + 1
        at = attempt.at + line_end(text, attempt.at)
    return said


def line_end(text: str, at: int) -> int:
    """How many characters of a line end stand at `at`."""
    if text[at : at + 2] == "\r\n":
        return 2
    return int(text[at : at + 1] in ("\r", "\n"))


def next_line(text: str, at: int) -> int:
    """Where the line behind the one that holds `at` starts."""
    while at < len(text) and not line_end(text, at):
        at += 1
    return at + line_end(text, at)


def utf8(cell: str) -> str:
    return cell.encode("latin-1").decode()


def content_fault(attempt: Attempt, limits: CsvLimits) -> str | None:
    """NUL goes before bad bytes, and these before length; the first such cell is named."""
    for number, cell in enumerate(attempt.cells):
        if "\0" in cell:
            attempt.cell = number
            return "NulByte"
    for number, cell in enumerate(attempt.cells):
        try:
            utf8(cell)
        except UnicodeDecodeError:
            attempt.cell = number
            return "BadBytes"
    for number, cell in enumerate(attempt.cells):
        if len(cell) > limits.max_field_bytes:
            attempt.cell = number
            return "FieldTooLong"
    return None


def length_of_line(text: str, start: int) -> int:
    at = start
    while at < len(text) and not line_end(text, at):
        at += 1
    return at - start


def escaped(text: str, at: int, quote: str, escape: str) -> tuple[str, int]:
    """What an escape in a quoted cell means, and where the cell goes on."""
    behind = at + len(escape)
    if text.startswith(quote, behind):
        return quote, behind + len(quote)
    # Before anything else it is text; before itself, the one that it escapes.
    return escape, behind + len(escape) * text.startswith(escape, behind)


def try_row(text: str, start: int, dialect: CsvDialect, limits: CsvLimits) -> Attempt:
    delimiter, quote, escape = (
        token.encode().decode("latin-1") for token in (dialect.delimiter, dialect.quote, dialect.escape)
    )
    escape = escape or quote
    attempt = Attempt(start)
    if length_of_line(text, start) > limits.max_row_bytes:
        attempt.fault = "RowTooLong"
        return attempt
    state = State.CELL_START
    cell = ""
    at = start

    def here(token: str, where: int) -> bool:
        return token != "" and text.startswith(token, where)

    while True:
        attempt.at = at
        if at - start > limits.max_row_bytes:
            attempt.fault, attempt.cell = "RowTooLong", None
            return attempt
        end = at >= len(text)
        step = 0 if end else line_end(text, at)
        if state is State.CELL_START:
            cell = ""
            if here(quote, at):
                state, at = State.QUOTED, at + len(quote)
                continue
            state = State.BARE
        if state is State.QUOTED:
            if end:
                attempt.fault, attempt.cell = "UnclosedQuote", len(attempt.cells)
                return attempt
            if step:
                attempt.line_ends += 1
                if attempt.line_ends >= limits.max_row_lines:
                    attempt.fault, attempt.cell = "QuotedCellTooLong", len(attempt.cells)
                    return attempt
                cell, at = cell + text[at : at + step], at + step
            elif here(escape, at) and (here(quote, at + len(escape)) or escape != quote):
                said, at = escaped(text, at, quote, escape)
                cell += said
            elif here(quote, at):
                state, at = State.CLOSED, at + len(quote)
            else:
                cell, at = cell + text[at], at + 1
            continue
        if end or step or here(delimiter, at):
            attempt.cells.append(cell)
            if end or step:
                return attempt
            state, at = State.CELL_START, at + len(delimiter)
        elif state is State.CLOSED:
            attempt.fault, attempt.cell = "TextAfterQuote", len(attempt.cells)
            return attempt
        elif here(quote, at) and dialect.bare_quotes == "Reject":
            attempt.fault, attempt.cell = "BareQuote", len(attempt.cells)
            return attempt
        else:
            cell, at = cell + text[at], at + 1
