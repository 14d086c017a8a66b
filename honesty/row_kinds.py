"""Kinds of pollution that spoil one row: the dirty line, where it must be refused, or what it says all the same."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from honesty.draft import Piece, Spot
from honesty.table import COLUMNS, MAX_NAME, Record, Style

type Spoil = Callable[[Record, Style], list[Piece]]


@dataclass(frozen=True, slots=True)
class RowKind:
    """A kind of fault of one row.

    Attributes:
        spoil: what stands in place of a record's row; where lines that are no row were put in, these and the row.
        form: what the mapping declares; empty for a plain format.
        style: how the whole file is written.
        at_end_only: whether it is this kind only where the file ends with it, without line end.
    """

    name: str
    spoil: Spoil
    form: dict[str, Any] = field(default_factory=dict)
    style: Style = field(default_factory=Style)
    at_end_only: bool = False


def _refused(change: Callable[[list[bytes]], bytes], *spots: Spot) -> Spoil:
    """A row that must be refused; `change` makes its text from its cells."""

    def spoil(record: Record, style: Style) -> list[Piece]:
        cells = [style.join([cell]) for cell in style.cells(replace(record, name="Ada", city="Paris"))]
        return [Piece(change(cells), record.values, spots or (Spot(0),))]

    return spoil


def _cell(column: int, text: bytes) -> Spoil:
    """A row that must be refused for one cell, which stands in the file as `text`."""
    return _refused(lambda cells: b",".join([*cells[:column], text, *cells[column + 1 :]]), Spot(0, COLUMNS[column]))


def _kept(text: Callable[[Record, Style], bytes] | None = None, **changes: Any) -> Spoil:
    """A row that looks odd and must be kept: `changes` say what it means, `text` how it is written."""

    def spoil(record: Record, style: Style) -> list[Piece]:
        meant = replace(record, **changes)
        return [Piece(text(meant, style) if text else style.row(meant), meant.values)]

    return spoil


def _as_cell(column: int, text: str) -> Callable[[Record, Style], bytes]:
    """The row with `text` as it stands in one cell."""

    def write(record: Record, style: Style) -> bytes:
        cells = [style.join([cell]) for cell in style.cells(record)]
        cells[column] = text.encode()
        return style.delimiter.encode().join(cells)

    return write


def _foreign(*lines: tuple[bytes, str | None]) -> Spoil:
    """Lines that are no row of the table, each with the column of its fault, and the record's row behind them."""
    pieces = [Piece(text, None, (Spot(0, column),) if text else ()) for text, column in lines]
    return lambda record, style: [*pieces, Piece(style.row(record), record.values)]


def _join(*parts: int | bytes) -> Callable[[list[bytes]], bytes]:
    """Writes cells by number and other bytes as they are, with delimiters between."""
    return lambda cells: b",".join(cells[part] if isinstance(part, int) else part for part in parts)


def _runaway(cells: list[bytes]) -> bytes:
    return b",".join([cells[0], b'"Ada' + b"\nx" * 110 + b'"', *cells[2:]])


LITERAL = {"bareQuotes": "Literal"}
SINGLE = Style(quote="'", escape="'")
BACKSLASH = Style(escape="\\")
GERMAN = Style(decimal_comma=True)
ENGLISH_DAY = Style(date_format="%d/%m/%Y")
NAME = Spot(0, "name")
_TOO_LONG = "A" * (MAX_NAME + 1)

WIDTH = [
    RowKind("01 cell too few", _refused(lambda cells: b",".join(cells[:-1]))),
    RowKind("01 cell too few, in the middle", _refused(_join(0, 1, 3, 4, 5))),
    RowKind("02 cell too many", _refused(_join(0, 1, 2, 3, 4, 5, b"x"))),
    RowKind("03 unquoted delimiter", _refused(_join(0, 1, b"Paris, France", 3, 4, 5))),
    RowKind("04 trailing delimiter", _refused(_join(0, 1, 2, 3, 4, 5, b""))),
    RowKind("15 bare line end in a value", _refused(_join(0, b"Ada\nB", 2, 3, 4, 5), Spot(0), Spot(1))),
    RowKind("15 bare line end, other than the file's", _refused(_join(0, b"Ada\rB", 2, 3, 4, 5), Spot(0), Spot(1))),
    RowKind("17 another delimiter on one row", _refused(b"|".join)),
    RowKind("17 tabs on one row", _refused(b"\t".join)),
    RowKind("24 file cut in a row", _refused(lambda cells: b",".join(cells[:2]) + b",Par"), at_end_only=True),
    RowKind("50 second table", _foreign((b"", None), (b"sku,price", None), (b"A1,3.00", None))),
    RowKind("50 total of fewer cells", _foreign((b"Total,,12.50", None))),
    RowKind("51 line of blanks", _foreign((b"   ", None))),
    RowKind("52 end-of-file mark of DOS", _foreign((b"\x1a", None)), at_end_only=True),
    RowKind("55 comment, not declared", _foreign((b"# made by hand", None))),
]
QUOTES = [
    RowKind("06 stray opening quote", _cell(1, b'"Ada')),
    RowKind("06 stray opening quote, first cell", _cell(0, b'"17')),
    RowKind("06 stray opening quote, last cell", _cell(5, b'"news')),
    RowKind("07 quote inside a bare value", _cell(1, b'A"da')),
    RowKind("07 quote at the end of a bare value", _cell(5, b'news"')),
    RowKind("07 quote at the end of a bare name", _cell(1, b'Ada"')),
    RowKind("07 quote inside a bare value, literal", _kept(_as_cell(1, 'A"da'), name='A"da'), LITERAL),
    RowKind("08 text after a closing quote", _cell(1, b'"Ada"x')),
    RowKind("08 blank after a closing quote", _cell(5, b'"news" ')),
    RowKind("09 undoubled quote in a quoted value", _cell(1, b'"Ada "the" B"')),
    RowKind("10 backslash, doubling declared", _cell(1, b'"A\\"da"')),
    RowKind(
        "10 backslash declared",
        _kept(_as_cell(1, '"A\\"d\\\\a, \\n"'), name='A"d\\a, \\n'),
        {"quoteEscapeCharacter": "\\"},
        BACKSLASH,
    ),
    RowKind("11 another quote", _refused(_join(0, b"'Lovelace, Ada'", 2, 3, 4, 5))),
    RowKind("11 another quote declared", _kept(name="O'Ada, \n'x'"), {"quoteCharacter": "'"}, SINGLE),
    RowKind("12 typographic quotes", _kept(name="“Ada” „B‟")),
    RowKind("13 blank before a quote", _cell(1, b' "Ada"')),
    RowKind("13 blank before a quote, literal", _kept(_as_cell(1, ' "Ada"'), name=' "Ada"'), LITERAL),
    RowKind("13 blank before a quoted delimiter, literal", _refused(_join(0, b' "A,da"', 2, 3, 4, 5)), LITERAL),
    RowKind("14 quoted LF", _kept(name="Ada\nB")),
    RowKind("14 quoted CRLF and CR", _kept(name="Ada\r\n\rB")),
    RowKind("14 quoted blank lines and delimiters", _kept(name='\n\n,"\n,,,,,\n')),
    RowKind("16 quote never closed", _cell(1, b'"Ada'), at_end_only=True),
    RowKind("24 file cut in a quoted value", _refused(lambda cells: cells[0] + b',"Ad', NAME), at_end_only=True),
    RowKind("24 file cut behind an escape", _refused(lambda cells: cells[0] + b',"Ad""', NAME), at_end_only=True),
    RowKind(
        "53 quoted cell over more than 100 lines",
        _refused(_runaway, NAME, *[Spot(line) for line in range(1, 110)], Spot(110, "id")),
    ),
]
BYTES = [
    RowKind("22 line of delimiters", _foreign((b",,,,,", "id"))),
    RowKind("26 header again", _foreign((b"id,name,city,amount,joined,tags", "amount"))),
    RowKind("26 second header line", _foreign((b"key,text,,EUR,y-m-d,", "amount"))),
    RowKind("32 bad byte", _cell(1, b"Ad\xffa")),
    RowKind("32 bad byte in a quoted value", _cell(1, b'"Ad\xff,\xfea"')),
    RowKind("32 cut character before a delimiter", _cell(2, b"Malm\xc3")),
    RowKind("32 cut character before the line end", _cell(5, b"\xe2\x82")),
    RowKind("32 overlong form and surrogate", _cell(1, b"\xc0\xac\xed\xa0\x80")),
    RowKind("34 Latin-1 sent as UTF-8", _cell(1, b"Zo\xeb")),
    RowKind("35 NUL", _cell(1, b"A\0da")),
    RowKind("35 NUL in a quoted value", _cell(1, b'"A,\0da"')),
    RowKind("36 control characters", _kept(name="A\tda\x0b\x0c\x1c\x85\u2028")),
    RowKind("31 byte order mark inside", _kept(name="\ufeffAda")),
    RowKind("44 over maxLength", _cell(1, _TOO_LONG.encode())),
    RowKind("47 formula", _kept(name="=1+1", city="@SUM(A1)")),
]
VALUES = [
    RowKind("37 currency and group marks", _cell(3, b'"1.234,50 \xe2\x82\xac"')),
    RowKind("37 decimal comma", _cell(3, b'"12,50"')),
    RowKind("37 group mark, no culture declared", _cell(3, b'"1,234.50"')),
    RowKind("37 decimal comma declared", _kept(amount=Decimal("1234567.5")), {"acceptLanguage": "de-DE"}, GERMAN),
    RowKind("38 number out of range", _cell(3, b"1e400")),
    RowKind("38 more digits than fit", _cell(3, b"1" * 30)),
    RowKind("38 NaN", _cell(3, b"NaN")),
    RowKind("38 infinity", _cell(3, b"-inf")),
    RowKind("38 hexadecimal", _cell(3, b"0x1F")),
    RowKind("38 digits of a programmer", _cell(3, b"1_000")),
    RowKind("39 zeros and signs in a text key", _kept(id="+0017")),
    RowKind("40 impossible day", _cell(4, b"2026-02-31")),
    RowKind("40 day in another order", _cell(4, b"31/01/2026")),
    RowKind("40 day without zeros", _cell(4, b"2026-1-5")),
    RowKind("40 time in a day", _cell(4, b"2026-01-31 10:00:00")),
    RowKind("40 impossible day, order declared", _cell(4, b"31/02/2026"), style=ENGLISH_DAY),
    RowKind("41 null word in text", _kept(name="NULL", city="N/A")),
    RowKind("41 null word for a number", _cell(3, b"NULL")),
    RowKind("41 null word for a day", _cell(4, b"-")),
    RowKind("42 blanks round values", _kept(_as_cell(3, " 12.50\t"), name=" Ada ", amount=Decimal("12.50"))),
    RowKind("43 empty", _kept(name=None, city=None)),
    RowKind("43 quoted empty", _kept(_as_cell(1, '""'), name=None)),
    RowKind("45 empty key", _cell(0, b"")),
    RowKind("45 blank key", _cell(0, b"  ")),
    RowKind("45 repeated key", _kept(id="00002")),
    RowKind("46 escaped separator", _kept(tags=("a;b", "c", "d\\"))),
    RowKind("50 totals row that reads as a row", _kept(id="Total", name=None, city=None, joined=None, tags=None)),
]
LARGE = [
    RowKind("48 cell over MAX_FIELD_BYTES", _cell(2, b"x" * (4 * 1024**2 + 1))),
    RowKind("48 quoted cell over MAX_FIELD_BYTES", _cell(2, b'"' + b"y," * (2 * 1024**2 + 1) + b'"')),
    RowKind("48 row over 16 MiB", _refused(lambda cells: b",".join([*cells, b"x" * (16 * 1024**2)]))),
]
ROW_KINDS = [*WIDTH, *QUOTES, *BYTES, *VALUES]
