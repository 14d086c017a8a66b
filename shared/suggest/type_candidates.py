"""The types that may be proposed for a column, each by the very cast that ingestion reads its cells with.

A cast reads more than a type should be proposed for. So each candidate has a shape besides that all cells have: `1` is
no Boolean here, and `007` and `+49` are text, since a number would lose what may tell two of them apart.
"""

import re
from dataclasses import dataclass

from shared.casts.cast_sql import BLANKS, Cast, Sql, matches
from shared.casts.column_sql import cast_of
from shared.casts.match_columns import MappedColumn
from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.fields import Field, FieldType

CULTURES = ("en-US", "de-DE", "de-CH")
"""One for each way to write numbers that `MappingFormat` knows."""
_CLOCKS = (" HH:mm", " HH:mm:ss", " h:mm tt", " h:mm:ss tt")
# Each with the format that has day and month the other way round.
_DAYS = (
    ("dd/MM/yyyy", "MM/dd/yyyy"),
    ("MM/dd/yyyy", "dd/MM/yyyy"),
    ("dd.MM.yyyy", "MM.dd.yyyy"),
    ("dd-MM-yyyy", "MM-dd-yyyy"),
    ("MM-dd-yyyy", "dd-MM-yyyy"),
    ("yyyy/MM/dd", "yyyy/dd/MM"),
)
_EIGHT_DIGITS = ("yyyyMMdd", "yyyyddMM")
_PLAIN = "-?(?:0|[1-9][0-9]*)"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A type that may be proposed.

    Attributes:
        kind: the type.
        form: the format of the file, for its culture.
        specifier: the format of dates or times.
        twin: the specifier that must not read all cells as well.
        shape: regular expression that all cells have; None for any.
        seen: regular expression that at least one cell has; None for no such thing.
    """

    kind: FieldType
    form: MappingFormat
    specifier: str | None = None
    twin: str | None = None
    shape: str | None = None
    seen: str | None = None

    @property
    def cast(self) -> Cast:
        """How ingestion reads a cell."""
        return cast_of(MappedColumn(0, "", Field(field_name="Cell", field_type=self.kind), self.specifier), self.form)

    def reads(self, text: Sql) -> Sql:
        """Whether it reads a cell, which has no blanks round it."""
        shape = matches(text, self.shape) if self.shape else "true"
        return f"CASE WHEN {shape} THEN {self.cast.value(text)} IS NOT NULL ELSE false END"

    @property
    def with_twin(self) -> "list[Candidate]":
        """The candidate, and the one that makes it ambiguous."""
        return [self, Candidate(self.kind, self.form, self.twin)] if self.twin else [self]


def numbers(form: MappingFormat) -> list[Candidate]:
    """Types of numbers in the order in which they are proposed, as the culture of the format writes them."""
    mark = re.escape(form.decimal_mark)
    tight = _grouped(form.group_marks.strip(BLANKS))
    loose = _grouped(form.group_marks)
    decimal = rf"-?(?:(?:0|[1-9][0-9]*{loose})(?:{mark}[0-9]+)?|{mark}[0-9]+)"
    # A column of digits and blanks is a telephone number sooner than an amount.
    whole = rf"{_PLAIN}{tight}"
    return [
        Candidate(FieldType.INT32, form, shape=whole),
        Candidate(FieldType.INT64, form, shape=whole),
        # Digits alone that no integer holds name something and count nothing.
        Candidate(FieldType.DECIMAL, form, shape=decimal, seen=rf".*{mark}.*"),
        Candidate(FieldType.DOUBLE, form, shape=rf"{decimal}(?:[eE][+-]?[0-9]+)?", seen=rf".*(?:{mark}|[eE]).*"),
    ]


def digits(form: MappingFormat) -> Candidate:
    """Not to be proposed: tells of a column of text that it holds whole numbers to look at."""
    return Candidate(FieldType.STRING, form, shape="[+-]?[0-9]+")


def candidates(form: MappingFormat) -> list[Candidate]:
    """All types but text, in the order in which they are proposed."""
    date, time = FieldType.DATE, FieldType.DATE_TIME_OFFSET
    return [
        Candidate(FieldType.BOOLEAN, form, shape="(?i:true|false)"),
        Candidate(date, form, *_EIGHT_DIGITS, shape="(?:19|20)[0-9]{6}"),
        *numbers(form),
        Candidate(FieldType.GUID, form, shape=".*-.*"),
        Candidate(date, form),
        Candidate(time, form),
        *(Candidate(date, form, day, twin) for day, twin in _DAYS),
        *(Candidate(time, form, day + clock, twin + clock) for clock in _CLOCKS for day, twin in _DAYS),
        Candidate(time, form, "o"),
    ]


def _grouped(marks: str) -> str:
    """Groups of three digits behind the first, all with one mark, or none."""
    groups = "|".join(f"(?:{re.escape(mark)}[0-9]{{3}})+" for mark in marks)
    return f"(?:{groups})?" if groups else ""
