"""From rows and faults to the bytes of a file, and to the truth: which row stands on which physical line."""

import gzip
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from honesty.table import COLUMNS, CUSTOMER, Style, Values, mapping_of
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping

LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a fault stands: physical line, from 1 (in a `Piece`: from 0), and column if it has one."""

    line: int
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of a file, with what they mean.

    Attributes:
        text: UTF-8, or bytes that are none; without the last line end.
        values: the row of the clean table that they are, or should be; None where they are none.
        spots: where something must be refused.
    """

    text: bytes
    values: Values | None = None
    spots: tuple[Spot, ...] = ()

    @property
    def lines(self) -> int:
        """Physical lines."""
        return line_ends(self.text) + 1


@dataclass(frozen=True, slots=True)
class TrueRow:
    """A row of the clean table: values, and the physical lines of the file on which it stands."""

    values: Values
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class DirtyFile:
    """A file, how it is declared, and what is true about it.

    Attributes:
        rows: the clean table. A file that must be refused as a whole has none.
        spots: every place that must be rejected.
        refusal: code with which the whole file must be refused.
    """

    kind: str
    place: str
    data: bytes
    mapping: Mapping
    rows: list[TrueRow]
    spots: list[Spot]
    refusal: str | None = None
    gzipped: bool = False
    entity_type: EntityType = CUSTOMER


@dataclass(slots=True)
class Draft:
    """A file in the making.

    Attributes:
        header: names of the columns; None where the file has no header.
        declares_header: whether the mapping says that it has one.
        before: pieces before the header.
        line_ends: used in turn.
        ends: whether the last row has a line end.
        tail: bytes behind everything.
        columns, fields: the mapping's structure.
    """

    style: Style
    pieces: list[Piece]
    header: list[str] | None = field(default_factory=lambda: list(COLUMNS))
    declares_header: bool = True
    before: list[Piece] = field(default_factory=list)
    line_ends: Sequence[bytes] = (b"\n",)
    ends: bool = True
    encoding: str = "utf-8"
    mark: bytes = b""
    tail: bytes = b""
    gzipped: bool = False
    form: dict[str, Any] = field(default_factory=dict)
    columns: Sequence[str] = COLUMNS
    fields: Sequence[str] = COLUMNS
    joined_format: str | None = None

    @property
    def head(self) -> list[Piece]:
        """What stands before the rows."""
        return [*self.before, *([Piece(self.style.join(self.header))] if self.header is not None else [])]

    def text(self, pieces: Sequence[Piece], start: int = 0) -> bytes:
        """The pieces with their line ends, the first of which is number `start` of the file."""
        ends = self.line_ends
        return b"".join(piece.text + ends[(start + number) % len(ends)] for number, piece in enumerate(pieces))

    def finish(
        self, kind: str, place: str, refusal: str | None = None, spoil: Callable[[bytes], bytes] = bytes
    ) -> DirtyFile:
        """The file; `spoil` is the last change made to its bytes."""
        pieces = [*self.head, *self.pieces]
        text = self.text(pieces)
        if not self.ends and pieces:
            text = text[: -len(self.line_ends[(len(pieces) - 1) % len(self.line_ends)])]
        text += self.tail
        if self.encoding != "utf-8":
            text = text.decode().encode(self.encoding)
        data = self.mark + text
        rows, spots = truth(pieces)
        return DirtyFile(
            kind,
            place,
            spoil(gzip.compress(data, 6, mtime=0) if self.gzipped else data),
            mapping_of(
                self.form,
                has_header=self.declares_header,
                columns=self.columns,
                fields=self.fields,
                joined_format=self.joined_format,
            ),
            [] if refusal else rows,
            [] if refusal else spots,
            refusal,
            self.gzipped,
        )


def truth(pieces: Sequence[Piece]) -> tuple[list[TrueRow], list[Spot]]:
    """The rows and the faults of a file of these pieces, with their physical lines."""
    rows, spots = [], []
    line = 1
    for piece in pieces:
        if piece.values is not None:
            rows.append(TrueRow(piece.values, line, line + piece.lines - 1))
        spots += [Spot(line + spot.line, spot.column) for spot in piece.spots]
        line += piece.lines
    return rows, spots


def line_ends(text: bytes) -> int:
    """How many line ends the text holds."""
    return len(LINE_END.findall(text))
