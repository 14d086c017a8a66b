"""How text becomes a date or a time: ISO 8601, or the format that the mapping declares for the column."""

from collections.abc import Callable

from shared.casts.cast_sql import Cast, Refusal, Sql, matches
from shared.domain.date_format import Zone, cell_pattern, elements, pieces, to_strptime
from shared.domain.shown import shortened
from shared.engine.sql import literal

_DATE = cell_pattern("%Y-%m-%d").replace("0?", "0")
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_OFFSET = Zone.OFFSET.value
# What the engine casts as it stands.
_ISO = rf"{_DATE}(?:[T ]{_CLOCK}(?::[0-5][0-9](?:\.[0-9]{{1,6}}0*)?)?(?:Z|{_OFFSET})?)?"
# Other ways to write the same: t and z, and a blank before the offset, as SQL Server has it.
_LOOSE = rf"{_DATE}(?:[Tt ]{_CLOCK}(?::[0-5][0-9](?:\.[0-9]{{1,6}}0*)?)?(?: ?(?:[Zz]|{_OFFSET}))?)?"
_TOO_FINE = rf"{_DATE}[Tt ]{_CLOCK}:[0-5][0-9]\.[0-9]+(?: ?(?:[Zz]|{_OFFSET}))?"

_FIRST, _LAST = "TIMESTAMPTZ '0001-01-01 00:00:00+00'", "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"
_OUT_OF_YEARS = "expected a time in the years 0001 to 9999, in UTC"


def date(specifier: str | None) -> Cast:
    """A date in the declared format, or as ISO 8601 writes it; nothing else.

    Raises:
        ValueError: the format is not understood.
    """
    return _declared_date(specifier) if specifier else _iso_date()


def time(specifier: str | None) -> Cast:
    """A date and time in the declared format, or as ISO 8601 writes it; without an offset it is UTC.

    Raises:
        ValueError: the format is not understood.
    """
    return _declared_time(specifier) if specifier else _iso_time()


def _iso_date() -> Cast:
    """A date such as 2026-01-31, and nothing more."""
    return Cast(
        lambda text: [(matches(text, _DATE), f"TRY_CAST({text} AS DATE)")],
        (
            Refusal(
                "NotADate",
                "expected a date that exists, as 2026-01-31 (customFormatSpecifier declares other forms)",
            ),
        ),
    )


def _iso_time() -> Cast:
    """A date, or a date and a time with or without seconds, fraction and offset.

    A date alone is midnight. More than six digits after the second are refused unless they are zeros.
    """

    def usual(text: Sql) -> tuple[Sql, Sql]:
        """The years 1000 to 8999, which no offset carries out of those that are kept."""
        return f"{text} >= '1' AND {text} < '9' AND {matches(text, _ISO)}", f"TRY_CAST({text} AS TIMESTAMPTZ)"

    def cases(text: Sql, bound: Callable[[Sql], Sql]) -> list[tuple[Sql, Sql]]:
        rewritten = rf"upper(regexp_replace({text}, ' ([Zz+-])', '\1'))"
        return [
            (matches(text, _ISO), bound(f"TRY_CAST({text} AS TIMESTAMPTZ)")),
            (matches(text, _LOOSE), bound(f"TRY_CAST({rewritten} AS TIMESTAMPTZ)")),
        ]

    return Cast(
        lambda text: [usual(text), *cases(text, _in_years)],
        (
            Refusal(
                "TooPrecise",
                "expected at most six digits after the second; no more can be kept",
                lambda text: (
                    f"NOT {matches(text, _LOOSE)} AND {matches(text, _TOO_FINE)}"
                    f" AND TRY_CAST({text}[1:10] AS DATE) IS NOT NULL"
                ),
            ),
            Refusal("OutOfRange", _OUT_OF_YEARS, lambda text: _is_read(cases(text, _as_it_is))),
            Refusal(
                "NotADateTime",
                "expected a date and time that exist, as 2026-01-31T10:30:00Z (customFormatSpecifier declares others)",
            ),
        ),
        _key_text,
    )


def _declared_time(specifier: str) -> Cast:
    """A date and time in a format of `to_strptime`."""
    pattern = to_strptime(specifier)
    return Cast(
        lambda text: _cases(text, pattern, _in_years),
        (
            Refusal("OutOfRange", _OUT_OF_YEARS, lambda text: _is_read(_cases(text, pattern, _as_it_is))),
            Refusal("NotADateTime", f"expected a date and time that exist, in the format {shortened(specifier)}"),
        ),
        _key_text,
    )


def _declared_date(specifier: str) -> Cast:
    """A date in a format of `to_strptime`; a time of day in it must be midnight UTC, since a date keeps none."""
    pattern = to_strptime(specifier)

    def midnight(moment: Sql) -> Sql:
        return f"CASE WHEN {moment} = date_trunc('day', {moment}) THEN CAST({_in_years(moment)} AS DATE) END"

    return Cast(
        lambda text: _cases(text, pattern, midnight),
        (
            Refusal(
                "NotADate",
                f"expected a date that exists, in the format {shortened(specifier)}",
                lambda text: f"NOT {_is_read(_cases(text, pattern, _in_years))}",
            ),
            Refusal("TooPrecise", "expected midnight UTC: a field of type Edm.Date keeps no time of day"),
        ),
    )


def _is_read(cases: list[tuple[Sql, Sql]]) -> Sql:
    """Whether text that none or one of the cases takes has a value."""
    return "(" + " OR ".join(f"({condition} AND {value} IS NOT NULL)" for condition, value in cases) + ")"


def _as_it_is(moment: Sql) -> Sql:
    return moment


def _in_years(moment: Sql) -> Sql:
    """The moment, or NULL where its offset carries it out of the years that the lake keeps."""
    return f"CASE WHEN {moment} BETWEEN {_FIRST} AND {_LAST} THEN {moment} END"


def _cases(text: Sql, pattern: str, bound: Callable[[Sql], Sql]) -> list[tuple[Sql, Sql]]:
    """The ways to write the offset, and the moment.

    A pattern of the cell decides first: each failure of try_strptime would cost 1-2 µs.
    """
    found = elements(pattern)
    zones = {Zone.OFFSET: "%z", Zone.UTC: "Z", Zone.NONE: ""} if "%z" in found else {Zone.NONE: ""}
    cases = []
    for zone, written in zones.items():
        cell, layout = text, "".join({"%z": written, "%n": "%f"}.get(element, element) for element in found)
        if "%n" in found:
            cell = _of_six_digits(text, pieces(pattern, zone), found.index("%n"))
        moment = f"CAST(try_strptime({cell}, {literal(layout)}) AS TIMESTAMPTZ)"
        cases.append((matches(text, cell_pattern(pattern, zone)), bound(moment)))
    return cases


def _of_six_digits(text: Sql, cell: list[str], fraction: int) -> Sql:
    """The cell with its fraction cut to the six digits that can be kept, as `%n` declares."""
    head, tail = "".join(cell[:fraction]), "".join(cell[fraction + 1 :])
    return rf"regexp_replace({text}, {literal(f'^({head}[0-9]{{1,6}})[0-9]*({tail})$')}, '\1\2')"


def _key_text(moment: Sql) -> Sql:
    """ISO with `Z`, microseconds only where there are any."""
    utc = f"{moment} AT TIME ZONE 'UTC'"
    return (
        f"CASE WHEN {moment} = date_trunc('second', {moment}) THEN strftime({utc}, '%Y-%m-%dT%H:%M:%SZ')"
        f" ELSE strftime({utc}, '%Y-%m-%dT%H:%M:%S.%fZ') END"
    )
