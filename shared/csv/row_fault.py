"""What can be wrong with the text of a row, and how it is told. One wording for every way of reading."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from shared.domain.csv_dialect import CsvLimits


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with a row.

    Attributes:
        code: stable name.
        cell: number of the cell, from 0; None where the whole row is meant.
        message: what is wrong and what to do.
        first_line_only: True where the row cannot be trusted beyond its first physical line: that line is
            refused, and reading starts again on the next one.
        is_of_file: whether no row of the file can be read for it.
    """

    code: str
    cell: int | None
    message: str
    first_line_only: bool = True
    is_of_file: bool = False


class FaultKind(IntEnum):
    """The faults that are found in bulk."""

    BARE_QUOTE = 0
    TEXT_AFTER_QUOTE = 1
    UNCLOSED_QUOTE = 2
    QUOTED_CELL_TOO_LONG = 3
    ROW_WIDTH = 4
    NUL_BYTE = 5
    BAD_BYTES = 6


def fault_of(kind: FaultKind, cell: int, lines: int, width: int, limits: CsvLimits) -> RowFault:
    """The fault of a kind.

    Args:
        cell: number of the cell, from 0; of `ROW_WIDTH` how many cells there are.
        lines: physical lines from the start of the row to the fault.
        width: columns of the file.
    """
    made: dict[FaultKind, Callable[[], RowFault]] = {
        FaultKind.BARE_QUOTE: lambda: bare_quote(cell, lines),
        FaultKind.TEXT_AFTER_QUOTE: lambda: text_after_quote(cell, lines),
        FaultKind.UNCLOSED_QUOTE: lambda: unclosed_quote(cell),
        FaultKind.QUOTED_CELL_TOO_LONG: lambda: quoted_cell_too_long(cell, limits),
        FaultKind.ROW_WIDTH: lambda: row_width(cell, width, lines),
        FaultKind.NUL_BYTE: lambda: nul_byte(cell),
        FaultKind.BAD_BYTES: lambda: undecodable(cell),
    }
    return made[kind]()


def row_width(found: int, wanted: int, lines: int) -> RowFault:
    """The row has more or fewer cells than the header."""
    return RowFault(
        "RowWidth",
        None,
        f"The row has {found} cell{'s' * (found != 1)}, but the file has {wanted} "
        f"column{'s' * (wanted != 1)}. Add or remove cells, or quote the value that holds a delimiter or a "
        f"line end.{_further_down(lines)}",
    )


def bare_quote(cell: int, lines: int) -> RowFault:
    """A quote stands in a cell that does not begin with one."""
    return RowFault(
        "BareQuote",
        cell,
        "A quote stands inside a cell that does not start with a quote. Quote the whole cell and double the "
        'quotes inside, or declare bareQuotes "Literal" if quotes are plain text in this file.'
        f"{_further_down(lines)}",
    )


def text_after_quote(cell: int, lines: int) -> RowFault:
    """A quoted cell goes on behind its closing quote."""
    return RowFault(
        "TextAfterQuote",
        cell,
        "Text follows a closing quote. Double each quote inside the cell, or remove what stands between the "
        f"closing quote and the next delimiter.{_further_down(lines)}",
    )


def unclosed_quote(cell: int) -> RowFault:
    """The file ends inside a quoted cell."""
    return RowFault(
        "UnclosedQuote",
        cell,
        "The quote that opens here is never closed. Close it, or double it if it is part of the text.",
    )


def quoted_cell_too_long(cell: int, limits: CsvLimits) -> RowFault:
    """Quoted line ends carry the row too far."""
    return RowFault(
        "QuotedCellTooLong",
        cell,
        f"Quoted cells carry the row over more than {limits.max_row_lines} lines. Close the quote that opens "
        "on this line, or double it if it is part of the text.",
    )


def row_too_long(limits: CsvLimits) -> RowFault:
    """The row's text is longer than allowed."""
    return RowFault(
        "RowTooLong",
        None,
        f"The row is longer than the {limits.max_row_bytes} bytes that are allowed. Shorten it, or close the "
        "quote that opens on this line.",
    )


def too_many_columns(found: int, limits: CsvLimits) -> RowFault:
    """The header, or the row that stands for it, is wider than allowed."""
    return RowFault(
        "TooManyColumns",
        None,
        f"The file has {found} columns, more than the {limits.max_columns} that are allowed. Split it, and "
        "see that the declared delimiter is that of the file.",
        is_of_file=True,
    )


def nul_byte(cell: int | None) -> RowFault:
    """The row holds a NUL byte."""
    return RowFault("NulByte", cell, "The cell holds a NUL byte. Remove it.", first_line_only=False)


def undecodable(cell: int | None) -> RowFault:
    """The row holds bytes that are no text."""
    return RowFault(
        "BadBytes",
        cell,
        "The cell holds bytes that are no text in the file's encoding. Save the file as UTF-8, or declare "
        "its encoding in the mapping's format.",
        first_line_only=False,
    )


def field_too_long(cell: int, size: int, limits: CsvLimits) -> RowFault:
    """A cell's content is longer than allowed."""
    return RowFault(
        "FieldTooLong",
        cell,
        f"The cell holds {size} bytes, more than the {limits.max_field_bytes} that are allowed. Shorten it.",
        first_line_only=False,
    )


def _further_down(lines: int) -> str:
    if lines == 1:
        return ""
    return f" A quote that opens on this line is closed {lines - 1} line{'s' * (lines > 2)} further down."
