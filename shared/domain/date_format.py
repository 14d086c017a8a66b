"""Formats of dates and times that a mapping declares: strptime patterns, and .NET-style ones as the old product took.

A format is read once, when a mapping is stored or a file is begun; what is not understood is refused there, so that
no cell is ever read by half a format. Names of months and weekdays are the English ones, in any case. A two-digit
year is 1969 to 2068 (POSIX). A weekday is read but not compared with the date.
"""

import re
from dataclasses import dataclass
from enum import Enum

from shared.domain.shown import shown

_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Part(Enum):
    """What a directive says about the time."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    SECOND = "second"
    FRACTION = "fraction of a second"
    HALF = "half of the day"
    OFFSET = "offset from UTC"
    WEEKDAY = "weekday"


class Zone(Enum):
    """How a cell may write the offset where its format has `%z`."""

    OFFSET = r"[+-](?:(?:0[0-9]|1[0-3])(?::?[0-5][0-9])?|14(?::?00)?)"
    UTC = "Z"
    NONE = ""


@dataclass(frozen=True, slots=True)
class _Directive:
    """A directive of strptime.

    Attributes:
        loose: regular expression of what it reads.
        exact: the same where a digit stands right beside it; None for what is no number of fixed width.
    """

    part: Part
    loose: str
    exact: str | None = None


def _any_of(names: tuple[str, ...], length: int | None = None) -> str:
    return f"(?i:{'|'.join(name[:length] for name in names)})"


_DIRECTIVES = {
    "Y": _Directive(Part.YEAR, "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"),
    "y": _Directive(Part.YEAR, "[0-9]{2}"),
    "m": _Directive(Part.MONTH, "(?:0?[1-9]|1[0-2])", "(?:0[1-9]|1[0-2])"),
    "b": _Directive(Part.MONTH, _any_of(_MONTHS, 3)),
    "B": _Directive(Part.MONTH, _any_of(_MONTHS)),
    "d": _Directive(Part.DAY, "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|[12][0-9]|3[01])"),
    "H": _Directive(Part.HOUR, "(?:[01]?[0-9]|2[0-3])", "(?:[01][0-9]|2[0-3])"),
    "I": _Directive(Part.HOUR, "(?:0?[1-9]|1[0-2])", "(?:0[1-9]|1[0-2])"),
    "M": _Directive(Part.MINUTE, "[0-5]?[0-9]", "[0-5][0-9]"),
    "S": _Directive(Part.SECOND, "[0-5]?[0-9]", "[0-5][0-9]"),
    "f": _Directive(Part.FRACTION, "[0-9]{1,6}"),
    "n": _Directive(Part.FRACTION, "[0-9]{1,9}"),
    "p": _Directive(Part.HALF, "(?i:am|pm)"),
    "z": _Directive(Part.OFFSET, ""),
    "a": _Directive(Part.WEEKDAY, _any_of(_WEEKDAYS, 3)),
    "A": _Directive(Part.WEEKDAY, _any_of(_WEEKDAYS)),
}
_DIGITS = frozenset("YymdHIMSfn")
_FIGURES = frozenset("0123456789")
_SHORTHANDS = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y", "%h": "%b", "%e": "%d"}
_NEEDED_BY = {
    Part.MINUTE: Part.HOUR,
    Part.SECOND: Part.MINUTE,
    Part.FRACTION: Part.SECOND,
    Part.OFFSET: Part.HOUR,
}

# https://learn.microsoft.com/dotnet/standard/base-types/custom-date-and-time-format-strings
_DOTNET = {
    "yy": "%y",
    "yyyy": "%Y",
    "M": "%m",
    "MM": "%m",
    "MMM": "%b",
    "MMMM": "%B",
    "d": "%d",
    "dd": "%d",
    "ddd": "%a",
    "dddd": "%A",
    "H": "%H",
    "HH": "%H",
    "h": "%I",
    "hh": "%I",
    "m": "%M",
    "mm": "%M",
    "s": "%S",
    "ss": "%S",
    **{"f" * count: "%f" for count in range(1, 7)},
    "fffffff": "%n",
    "tt": "%p",
    "zzz": "%z",
    "K": "%z",
}
# The standard formats of one letter that do not depend on a culture.
_DOTNET_STANDARD = {
    "o": "%Y-%m-%dT%H:%M:%S.%n%z",
    "O": "%Y-%m-%dT%H:%M:%S.%n%z",
    "s": "%Y-%m-%dT%H:%M:%S",
    "u": "%Y-%m-%d %H:%M:%SZ",
    "r": "%a, %d %b %Y %H:%M:%S GMT",
    "R": "%a, %d %b %Y %H:%M:%S GMT",
}
_HINTS = {
    "Y": "a year is yyyy",
    "D": "a day is dd",
    "S": "a second is ss, a fraction of it f to fffffff",
    "F": "write a fraction as f to fffffff",
    "a": "AM and PM are tt",
    "t": "AM and PM are tt",
    "g": "eras are not read",
    "z": "an offset is zzz",
    "X": "an offset is zzz",
    "x": "an offset is zzz",
}


def to_strptime(specifier: str) -> str:
    """The strptime pattern of a format.

    Directives: `%Y %y %m %b %B %d %H %I %M %S %f %p %z %a %A %%`, with `%F %T %R %D %h %e` and the form `%-d` written
    out, and `%n`: a fraction of up to nine digits, of which six are kept (.NET's `fffffff`).

    Args:
        specifier: a strptime pattern (it holds `%`), or a .NET-style custom format such as `dd/MM/yyyy` or
            `M/d/yyyy h:mm tt`, where `'...'`, `"..."` and `\\x` are literal; or one of .NET's `o`, `s`, `u`, `r`.

    Raises:
        ValueError: it is not understood, or does not make a whole date.
    """
    text = specifier.strip()
    if not text or "\0" in text:
        raise ValueError("the format is empty or holds NUL; leave it out, or write one such as yyyy-MM-dd")
    pattern = _of_strptime(text) if re.search(r"%[-A-Za-z%]", text) else _of_dotnet(text)
    _check(pattern)
    return pattern


def cell_pattern(pattern: str, zone: Zone = Zone.OFFSET) -> str:
    """The regular expression (RE2 and Python) of the whole cells that a pattern of `to_strptime` reads.

    Engines read more than a format says: `26` as a four-digit year, blanks before a number, offsets of 99 minutes.

    Args:
        zone: how the offset is written, where the pattern has one.
    """
    return "".join(pieces(pattern, zone))


def pieces(pattern: str, zone: Zone = Zone.OFFSET) -> list[str]:
    """`cell_pattern` in pieces, one for each element of `elements`; none has a capturing group."""
    found = elements(pattern)
    return [_piece(found, number, zone) for number in range(len(found))]


def elements(pattern: str) -> list[str]:
    """A pattern of `to_strptime` as directives (`%d`) and single characters (`%%` for a percent sign)."""
    return re.findall(r"%.|.", pattern, re.DOTALL)


def _piece(found: list[str], number: int, zone: Zone) -> str:
    element = found[number]
    if len(element) == 1:
        return re.escape(element)
    if element == "%%":
        return "%"
    if element == "%z":
        return zone.value
    directive = _DIRECTIVES[element[1]]
    beside = any(_is_digit(found, at) for at in (number - 1, number + 1))
    return directive.exact if beside and directive.exact else directive.loose


def _is_digit(found: list[str], at: int) -> bool:
    element = found[at] if 0 <= at < len(found) else ""
    return element[1] in _DIGITS if len(element) > 1 else element in _FIGURES


def _of_strptime(text: str) -> str:
    for short, long in _SHORTHANDS.items():
        text = re.sub(rf"(?<!%)((?:%%)*){short}", rf"\g<1>{long}", text)
    out = ""
    for element in re.findall(r"%-?.?|.", text, re.DOTALL):
        letter = element.removeprefix("%").removeprefix("-")
        if element == "%%" or (len(element) == 1 and element != "%"):
            out += element
        elif letter in _DIRECTIVES and (len(element) == 2 or letter in _DIGITS):
            out += f"%{letter}"
        else:
            known = " ".join(f"%{name}" for name in _DIRECTIVES)
            raise ValueError(f"{shown(element)} is not understood in a date format; known are {known} %%")
    return out


def _of_dotnet(text: str) -> str:
    if len(text) == 1:
        if text not in _DOTNET_STANDARD:
            raise ValueError(
                f"the standard format {shown(text)} depends on a culture; write it out, such as yyyy-MM-dd"
            )
        return _DOTNET_STANDARD[text]
    out = ""
    end = 0
    for found in re.finditer(r"'([^']*)'|\"([^\"]*)\"|\\(.)|(([A-Za-z])\5*+)|([^A-Za-z'\"\\])", text, re.DOTALL):
        if found.start() != end:
            break
        end = found.end()
        run = found.group(4)
        if run is None:
            literal = next(group for group in (*found.group(1, 2, 3), found.group(6)) if group is not None)
            out += literal.replace("%", "%%")
        elif run in _DOTNET:
            _check_width(text, found.start(), end, run)
            out += _DOTNET[run]
        elif run in {"T", "Z"}:
            out += run
        else:
            hint = _HINTS.get(run[0], f"put text between quotes, such as {shown(run)}")
            raise ValueError(f"{shown(run)} is not understood in a date format: {hint}")
    if end != len(text):
        raise ValueError("a quote or a backslash of the date format is not closed")
    return out


def _check_width(text: str, start: int, end: int, run: str) -> None:
    """Refuses `dMyyyy`: a number of one or two digits right beside another one has no end."""
    digits = "yMdHhmsf"
    beside = text[max(start - 1, 0) : start] + text[end : end + 1]
    if run in {"d", "M", "H", "h", "m", "s"} and any(letter in digits for letter in beside):
        raise ValueError(f"{shown(run)} stands right beside another number; write {shown(run * 2)}")


def _check(pattern: str) -> None:
    found = elements(pattern)
    parts: dict[Part, str] = {}
    for element, following in zip(found, [*found[1:], ""], strict=True):
        if len(element) == 1 or element == "%%":
            continue
        part = _DIRECTIVES[element[1]].part
        if part in parts:
            raise ValueError(f"the date format names the {part.value} more than once")
        parts[part] = element
        if part in {Part.FRACTION, Part.OFFSET} and _is_digit([following], 0):
            raise ValueError(f"a digit right behind the {part.value} could belong to either; put a mark between")
    for part in (Part.YEAR, Part.MONTH, Part.DAY):
        if part not in parts:
            hint = " (MM is the month, mm the minute)" if part is Part.MONTH else ""
            raise ValueError(f"the date format names no {part.value}{hint}")
    for part, needed in _NEEDED_BY.items():
        if part in parts and needed not in parts:
            raise ValueError(f"the date format names the {part.value}, but no {needed.value}")
    if (parts.get(Part.HOUR) == "%I") != (Part.HALF in parts):
        raise ValueError("a 12-hour clock (hh, %I) needs AM or PM (tt, %p), and these need it")
