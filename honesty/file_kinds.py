"""Kinds of pollution that are in a whole file: what is done to it, and whether it can be read as it is declared."""

import codecs
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from honesty.draft import Draft, Piece
from honesty.table import COLUMNS, JAPANESE_NAMES, LATIN_NAMES, NAMES, Style

type Change = Callable[[Draft], None]


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of fault of a whole file.

    Attributes:
        change: what is done to the clean file.
        form: what the mapping declares.
        refusal: code of the refusal where the file cannot be read as declared.
        spoil_bytes: last change, made to the finished bytes.
        at_most: rows of the file; None as many as usual.
    """

    name: str
    change: Change = lambda _: None
    form: dict[str, Any] = field(default_factory=dict)
    style: Style = field(default_factory=Style)
    names: Sequence[str] = NAMES
    refusal: str | None = None
    spoil_bytes: Callable[[bytes], bytes] = lambda data: data
    at_most: int | None = None


def _set(**facts: Any) -> Change:
    """Sets attributes of the draft."""

    def change(draft: Draft) -> None:
        for name, value in facts.items():
            setattr(draft, name, value)

    return change


def _trailing_delimiter(draft: Draft) -> None:
    draft.header = [*COLUMNS, ""]
    draft.pieces = [Piece(piece.text + b",", piece.values) for piece in draft.pieces]


def _doubled_column(name: str, *, mapped: bool) -> Change:
    """Puts a second column of that name into the file."""

    def change(draft: Draft) -> None:
        draft.header = [*COLUMNS, name, *([] if mapped else [name])]
        more = b",x" if mapped else b",x,"
        draft.pieces = [Piece(piece.text + more, piece.values) for piece in draft.pieces]

    return change


def _other_order(draft: Draft) -> None:
    # The columns that need no quotes change places with the key: they stand at the end of each row.
    draft.header = [*COLUMNS[3:], *COLUMNS[:3]]
    pieces = []
    for piece in draft.pieces:
        first, *last = piece.text.rsplit(b",", 3)
        pieces.append(Piece(b",".join([*last, first]), piece.values))
    draft.pieces = pieces


def _no_header(draft: Draft) -> None:
    draft.header, draft.declares_header = None, False
    draft.columns = [f"column{number}" for number in range(1, len(COLUMNS) + 1)]


def _blank_lines(draft: Draft) -> None:
    pieces = []
    for number, piece in enumerate(draft.pieces):
        pieces += [Piece(b""), Piece(b"")] if number % 7 == 0 else []
        pieces.append(piece)
    draft.pieces = [*pieces, Piece(b""), Piece(b""), Piece(b"")]


def _comments(draft: Draft) -> None:
    notes = (b"# a note", b'# "quoted', b'#,"opens', b"#,,,,,", b'#"', b"#", b"# \xc3\xa9\0")
    pieces = []
    for number, piece in enumerate(draft.pieces):
        pieces += [Piece(notes[number % len(notes)])] if number % 5 == 0 else []
        pieces.append(piece)
    draft.before = [Piece(b'# made by "hand')]
    draft.pieces = [*pieces, Piece(b'# the "end')]


def _preamble(draft: Draft) -> None:
    draft.before = [Piece(b'Export of 31 Jan, "all"'), Piece(b'page "1'), Piece(b"")]


def _plain_preamble(draft: Draft) -> None:
    draft.before = [Piece(b"Export of 31 Jan"), Piece(b"")]


def _header(*names: str) -> Change:
    return _set(header=list(names))


def _wide(draft: Draft) -> None:
    draft.header = [*COLUMNS, *(f"c{number}" for number in range(100_000))]


def _empty(draft: Draft) -> None:
    draft.pieces, draft.header, draft.before = [], None, []


SEMICOLONS, PIPES, TABS, LONG = (Style(delimiter=mark) for mark in (";", "||", "\t", "<=>"))
GERMAN = Style(delimiter=";", decimal_comma=True)
ENGLISH_DAY = Style(date_format="%d/%m/%Y")

DECLARED = [
    FileKind("00 clean"),
    FileKind("05 trailing delimiter everywhere", _trailing_delimiter),
    FileKind("18 semicolons declared", form={"columnDelimiter": ";"}, style=SEMICOLONS),
    FileKind("18 tabs declared", form={"columnDelimiter": "\\t"}, style=TABS),
    FileKind("19 long delimiter declared", form={"columnDelimiter": "||"}, style=PIPES),
    FileKind("19 longer delimiter declared", form={"columnDelimiter": "<=>"}, style=LONG),
    FileKind("20 mixed line ends", _set(line_ends=(b"\n", b"\r\n", b"\r", b"\r\n"))),
    FileKind("20 CR before CRLF", _set(line_ends=(b"\r\r\n",))),
    FileKind("21 blank lines", _blank_lines),
    FileKind("23 no last line end", _set(ends=False)),
    FileKind("25 preamble, skipRows declared", _preamble, {"skipRows": 3}),
    FileKind("27 no header, declared", _no_header),
    FileKind("28 doubled column that is not mapped", _doubled_column("note", mapped=False)),
    FileKind("30 columns in another order", _other_order),
    FileKind("31 byte order mark", _set(mark=codecs.BOM_UTF8)),
    FileKind("33 UTF-16 LE", _set(encoding="utf-16-le", mark=codecs.BOM_UTF16_LE)),
    FileKind("33 UTF-16 BE", _set(encoding="utf-16-be", mark=codecs.BOM_UTF16_BE)),
    FileKind("33 UTF-32", _set(encoding="utf-32-le", mark=codecs.BOM_UTF32_LE)),
    FileKind("33 UTF-16 without mark, declared", _set(encoding="utf-16-le"), {"encoding": "utf-16"}),
    FileKind("33 Windows-1252 declared", _set(encoding="cp1252"), {"encoding": "windows-1252"}, names=LATIN_NAMES),
    FileKind("33 Shift-JIS declared", _set(encoding="shift_jis"), {"encoding": "shift_jis"}, names=JAPANESE_NAMES),
    FileKind("37 German numbers declared", form={"columnDelimiter": ";", "acceptLanguage": "de-DE"}, style=GERMAN),
    FileKind("40 order of days declared", style=ENGLISH_DAY),
    FileKind("49 header only", _set(pieces=[])),
    FileKind("49 header only, no line end", _set(pieces=[], ends=False)),
    FileKind("52 gzip", _set(gzipped=True)),
    FileKind("55 comments declared", _comments, {"commentCharacter": "#"}),
]
REFUSED = [
    FileKind("18 semicolons, not declared", style=SEMICOLONS, refusal="MissingColumns"),
    FileKind("19 long delimiter, not declared", style=PIPES, refusal="MissingColumns"),
    FileKind("25 preamble, not declared", _plain_preamble, refusal="MissingColumns"),
    FileKind("25 preamble with quotes, not declared", _preamble, refusal="UnreadableHeader"),
    FileKind("27 no header, not declared", _set(header=None), refusal="MissingColumns"),
    FileKind("28 doubled column that is mapped", _doubled_column("name", mapped=True), refusal="DuplicateColumn"),
    FileKind("29 header in other case", _header(*map(str.upper, COLUMNS)), refusal="MissingColumns"),
    FileKind("29 header with blanks", _header(*(f" {name} " for name in COLUMNS)), refusal="MissingColumns"),
    FileKind("33 UTF-16, neither marked nor declared", _set(encoding="utf-16-le"), refusal="UnreadableHeader"),
    FileKind("48 100,000 columns", _wide, refusal="TooManyColumns", at_most=2),
    FileKind("48 gzip over the ratio", _set(gzipped=True, tail=b" " * 20_000_000), refusal="TooLarge"),
    FileKind("49 empty file", _empty, refusal="EmptyBlob"),
    FileKind("49 byte order mark only", _empty, refusal="EmptyBlob", spoil_bytes=lambda _: codecs.BOM_UTF8),
    FileKind("49 blank lines only", _empty, refusal="EmptyBlob", spoil_bytes=lambda _: b"\n\r\n\n"),
    FileKind("52 gzip cut off", _set(gzipped=True), refusal="BadGzip", spoil_bytes=lambda data: data[:-30]),
    FileKind(
        "52 gzip with a bad byte", _set(gzipped=True), refusal="BadGzip", spoil_bytes=lambda d: d[:-5] + b"?" + d[-4:]
    ),
    FileKind("52 gzip that is none", _set(gzipped=True), refusal="NotGzip", spoil_bytes=gzip.decompress),
]
FILE_KINDS = [*DECLARED, *REFUSED]
