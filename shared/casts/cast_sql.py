"""How text becomes a value: SQL expressions of DuckDB for each Edm type, and which code text has that becomes none.

A pattern decides first what is read. The engine's casts alone read too much: `1.5` as the integer 2, `1_000`, `0x1F`,
`inf`, `t` as true, and more digits than a decimal has room for.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.fields import FieldType
from shared.engine.sql import literal

type Sql = str
"""An expression; what a caller gives is used more than once in the result."""

BLANKS = " \t\n\v\f\r\u00a0\u202f"
"""What is ignored round a cell that is no text."""

_SQL_TYPES = {
    FieldType.BYTE: "UTINYINT",
    FieldType.INT16: "SMALLINT",
    FieldType.INT32: "INTEGER",
    FieldType.INT64: "BIGINT",
}
RANGES = {
    FieldType.BYTE: (0, 2**8 - 1),
    FieldType.INT16: (-(2**15), 2**15 - 1),
    FieldType.INT32: (-(2**31), 2**31 - 1),
    FieldType.INT64: (-(2**63), 2**63 - 1),
}
"""Lowest and highest number of each integer type."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why text is not read.

    Attributes:
        code: stable name.
        message: what was expected; never the text itself.
        when: SQL condition over the text; None holds for whatever is left.
    """

    code: str
    message: str
    when: Callable[[Sql], Sql] | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """How the text of one cell, or of one item of an array, is read.

    Attributes:
        cases: over SQL of the text, pairs of SQL: a condition, and the value of text for which it is the first to hold.
            Text for which none holds is refused, and so is text whose value is NULL. How most text is written comes
            first, by a condition and a value that cost little; a CASE within a CASE costs more than its parts.
        refusals: the first whose condition holds says why; the last has none.
        as_text: SQL of a value's form in a key.
    """

    cases: Callable[[Sql], list[tuple[Sql, Sql]]]
    refusals: tuple[Refusal, ...]
    as_text: Callable[[Sql], Sql] = lambda value: f"CAST({value} AS VARCHAR)"

    def value(self, text: Sql) -> Sql:
        """SQL of the value; NULL for text that is refused."""
        return f"CASE{_branches(self.cases(text))} END"

    def value_in_blanks(self, text: Sql) -> Sql:
        """SQL of the value of text that may have blanks round it.

        Trimming costs more than most casts. It is put where the engine reaches it for the other rows only; in a
        coalesce it would take the trimmed text for a common subexpression and make it for each row.
        """
        return f"CASE{_branches(self.cases(text))} ELSE {self.value(trimmed(text))} END"

    def reason(self, text: Sql, number_of: Callable[[Refusal], int]) -> Sql:
        """SQL of the number of the refusal of text that was refused."""
        numbers = [(refusal, str(number_of(refusal))) for refusal in self.refusals]
        branches = _branches([(refusal.when(text), number) for refusal, number in numbers if refusal.when])
        last = numbers[-1][1]
        return f"CASE{branches} ELSE {last} END" if branches else last


def matches(text: Sql, pattern: str) -> Sql:
    """Whether the whole text matches a regular expression (RE2)."""
    return f"regexp_full_match({text}, {literal(pattern)})"


def trimmed(text: Sql) -> Sql:
    """The text without the blanks round it."""
    return f"trim({text}, {literal(BLANKS)})"


def boolean() -> Cast:
    """true or false in any case, 1 or 0."""
    return Cast(
        lambda text: [
            (f"{text} = 'true'", "true"),
            (f"{text} = 'false'", "false"),
            (f"lower({text}) IN ('true', '1')", "true"),
            (f"lower({text}) IN ('false', '0')", "false"),
        ],
        (Refusal("NotABoolean", "expected true, false, 1 or 0"),),
    )


def integer(field_type: FieldType, form: MappingFormat) -> Cast:
    """Digits with an optional sign, in the range of the type; groups of three where the culture is declared."""
    plain, grouped = "[+-]?[0-9]+", f"[+-]?{_grouped(form)}"
    target = _SQL_TYPES[field_type]

    def cases(text: Sql) -> list[tuple[Sql, Sql]]:
        cast = f"TRY_CAST({text} AS {target})"
        found = [(f"CAST({cast} AS VARCHAR) = {text}", cast), (matches(text, plain), cast)]
        if form.group_marks:
            found.append((matches(text, grouped), f"TRY_CAST({_ungrouped(text, form)} AS {target})"))
        return found

    low, high = RANGES[field_type]
    number = f"{plain}|{grouped}" if form.group_marks else plain
    return Cast(
        cases,
        (
            Refusal(
                "NotAnInteger",
                f"expected a whole number{_written(form, 'without group marks')}",
                lambda text: f"NOT {matches(text, number)}",
            ),
            Refusal("OutOfRange", f"expected a whole number from {low} to {high}"),
        ),
    )


def double(form: MappingFormat) -> Cast:
    """A finite number, with an exponent if need be; read to the nearest double."""
    number = f"{_number(form)}(?:[eE][+-]?[0-9]+)?"
    mark = re.escape(form.decimal_mark)
    surely_finite = f"[+-]?[0-9]{{1,18}}(?:{mark}[0-9]*)?"

    def cases(text: Sql) -> list[tuple[Sql, Sql]]:
        pointed = _pointed(text, form, grouped=False)
        cast = f"TRY_CAST({_pointed(text, form)} AS DOUBLE)"
        return [
            (matches(text, surely_finite), f"TRY_CAST({pointed} AS DOUBLE)"),
            (matches(text, number), f"CASE WHEN isfinite({cast}) THEN {cast} END"),
        ]

    return Cast(
        cases,
        (
            Refusal("NotANumber", f"expected a number{_written(form)}", lambda text: f"NOT {matches(text, number)}"),
            Refusal("OutOfRange", "expected a number of at most about 1.8e308"),
        ),
        lambda value: f"CAST({value} + 0.0 AS VARCHAR)",  # -0.0 is 0.0
    )


def decimal(form: MappingFormat, precision: int, scale: int) -> Cast:
    """An exact number. No exponent: what a spreadsheet writes as 1.23E+15 has lost its digits already."""
    whole, mark = precision - scale, re.escape(form.decimal_mark)
    fits = f"[+-]?(?:0*[0-9]{{1,{whole}}}(?:{mark}[0-9]{{0,{scale}}}0*)?|{mark}[0-9]{{1,{scale}}}0*)"

    def cases(text: Sql) -> list[tuple[Sql, Sql]]:
        target = f"DECIMAL({precision}, {scale})"
        found = [(matches(text, fits), f"TRY_CAST({_pointed(text, form, grouped=False)} AS {target})")]
        if form.group_marks:
            is_number = f"{matches(text, _number(form))} AND {matches(_ungrouped(text, form), fits)}"
            found.append((is_number, f"TRY_CAST({_pointed(text, form)} AS {target})"))
        return found

    return Cast(
        cases,
        (
            Refusal(
                "NotADecimal",
                f"expected a decimal number without an exponent{_written(form)}",
                lambda text: f"NOT {matches(text, _number(form))}",
            ),
            Refusal("OutOfRange", f"expected at most {whole} digits before and {scale} after the decimal mark"),
        ),
        # The engine writes all the places of the scale.
        lambda value: f"regexp_replace(CAST({value} AS VARCHAR), '\\.?0+$', '')",
    )


def guid() -> Cast:
    """32 hexadecimal digits, bare, with dashes, or these in braces or parentheses; kept in lower case with dashes."""
    digit = "[0-9a-fA-F]"
    dashed = f"{digit}{{8}}-{digit}{{4}}-{digit}{{4}}-{digit}{{4}}-{digit}{{12}}"
    bare = "".join(f"({digit}{{{length}}})" for length in (8, 4, 4, 4, 12))

    def cases(text: Sql) -> list[tuple[Sql, Sql]]:
        dashes_put_in = rf"regexp_replace({text}, {literal(f'^{bare}$')}, '\1-\2-\3-\4-\5')"
        return [
            (matches(text, dashed), f"lower({text})"),
            (matches(text, rf"\{{{dashed}\}}|\({dashed}\)"), f"lower({text}[2:-2])"),
            (matches(text, bare), f"lower({dashes_put_in})"),
        ]

    return Cast(
        cases,
        (Refusal("NotAGuid", "expected a GUID such as 01234567-89ab-cdef-0123-456789abcdef"),),
        lambda value: value,
    )


def string(longest: int | None) -> Cast:
    """Text as it stands, of at most so many characters."""
    if longest is None:
        return Cast(lambda text: [("true", text)], (), lambda value: value)
    return Cast(
        lambda text: [(f"length({text}) <= {longest}", text)],
        (Refusal("TooLong", f"expected at most {longest} characters"),),
        lambda value: value,
    )


def _branches(cases: list[tuple[Sql, Sql]]) -> Sql:
    return "".join(f" WHEN {condition} THEN {value}" for condition, value in cases)


def _number(form: MappingFormat) -> str:
    mark = re.escape(form.decimal_mark)
    whole = f"(?:[0-9]+|{_grouped(form)})" if form.group_marks else "[0-9]+"
    return f"[+-]?(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)"


def _grouped(form: MappingFormat) -> str:
    """Digits in groups of three, with one and the same mark between them."""
    marks = "|".join(f"(?:{re.escape(mark)}[0-9]{{3}})+" for mark in form.group_marks)
    return f"[0-9]{{1,3}}(?:{marks})"


def _ungrouped(text: Sql, form: MappingFormat) -> Sql:
    return f"regexp_replace({text}, {literal(f'[{re.escape(form.group_marks)}]')}, '', 'g')"


def _pointed(text: Sql, form: MappingFormat, *, grouped: bool = True) -> Sql:
    """The number with a point for its decimal mark and without group marks, as the engine reads it."""
    bare = _ungrouped(text, form) if grouped and form.group_marks else text
    return bare if form.decimal_mark == "." else f"replace({bare}, {literal(form.decimal_mark)}, '.')"


def _written(form: MappingFormat, marks: str = "with a point and without group marks") -> str:
    if form.accept_language:
        return f" as {form.accept_language} writes it"
    return f" {marks}; other ways of writing it are declared by format.acceptLanguage"
