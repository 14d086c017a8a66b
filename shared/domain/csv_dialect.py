"""How one CSV file is written, and how much of it is taken in at most."""

import codecs
from dataclasses import dataclass
from typing import Literal

from shared.domain.shown import shown

# Python calls these text encodings, but they interpret what they read or cannot be read in pieces. The decoder of UTF-7
# keeps all since a shift began, and starts anew behind each fault in it: its time grows with the square of the file.
_NO_FILE_ENCODINGS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"})


def check_encoding(name: str) -> None:
    """Refuses an encoding that no file is written in.

    Raises:
        ValueError: the name is unknown, or not a text encoding.
    """
    try:
        known = codecs.lookup(name).name not in _NO_FILE_ENCODINGS and "a".encode(name) != b""
    except (LookupError, UnicodeError, ValueError):
        known = False
    if not known:
        raise ValueError(
            f"the encoding {shown(name)} is not known; use the name of a text encoding, such as utf-8, cp1252 or utf-16"
        )


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """The dialect that a mapping declares; nothing of it is guessed from the file.

    Attributes:
        delimiter: one character or more, without quote, line end or NUL.
        quote: one character; empty where cells are never quoted.
        escape: what stands before a quote inside a quoted cell. The quote itself (or nothing) means
            doubling. Another character escapes the quote and itself; before anything else it is text.
        has_header: whether the first row holds the names of the columns.
        encoding: encoding of a file that has no byte order mark; whoever reads it refuses one that no file has.
        bare_quotes: whether a quote inside an unquoted cell rejects the row or is text.
        skip_rows: physical lines before the header (or the first row) that are no part of the table.
        comment: a line that starts with this character where a row could start is skipped; empty for none.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    has_header: bool = True
    encoding: str = "utf-8"
    bare_quotes: Literal["Reject", "Literal"] = "Reject"
    skip_rows: int = 0
    comment: str = ""

    def __post_init__(self) -> None:
        if not self.delimiter:
            raise ValueError("the delimiter is empty; name the character between two cells")
        if max(map(len, (self.quote, self.escape, self.comment))) > 1:
            raise ValueError("quote, escape and comment are one character each, or empty")
        if any(mark in self.delimiter + self.quote + self.escape + self.comment for mark in "\r\n\0"):
            raise ValueError("delimiter, quote, escape and comment must not hold a line end or NUL")
        if self.quote and self.quote in self.delimiter:
            raise ValueError("the quote is part of the delimiter; choose another quote or delimiter")
        if self.quote and self.escape and self.escape in self.delimiter:
            raise ValueError("the escape is part of the delimiter; choose another escape or delimiter")
        if self.comment and self.comment in self.delimiter + self.quote + self.escape:
            raise ValueError("the comment character is delimiter, quote or escape as well; choose another")
        if self.skip_rows < 0:
            raise ValueError("the number of lines to skip is negative; 0 skips none")


@dataclass(frozen=True, slots=True)
class CsvLimits:
    """What a file may have at most; more rejects the row or refuses the file.

    Attributes:
        max_field_bytes: content of one cell, in UTF-8.
        max_row_bytes: text of one row without its line end, in UTF-8.
        max_row_lines: physical lines that one row may run over by its quoted cells. It bounds what a quote
            that is never closed can cost.
        max_columns: cells of the header.
        max_blob_bytes: the whole file, packed and unpacked.
        max_gzip_ratio: unpacked to packed size of a gzip file.
        max_seconds: from when the first byte is asked for until the last one is taken, whatever is done or waited for
            meanwhile; without limit where it is None.
    """

    max_field_bytes: int = 4 * 1024**2
    max_row_bytes: int = 16 * 1024**2
    max_row_lines: int = 100
    max_columns: int = 4096
    max_blob_bytes: int = 10 * 1024**3
    max_gzip_ratio: int = 500
    max_seconds: float | None = None
