"""Formats of dates: what is understood, what is refused, and that they read the cells that Python reads."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.date_format import Zone, cell_pattern, elements, pieces, to_strptime


@pytest.mark.parametrize(
    ("specifier", "pattern"),
    [
        ("dd/MM/yyyy", "%d/%m/%Y"),
        ("d/M/yyyy", "%d/%m/%Y"),
        ("M/d/yyyy h:mm tt", "%m/%d/%Y %I:%M %p"),
        ("yyyy-MM-ddTHH:mm:ss.fffK", "%Y-%m-%dT%H:%M:%S.%f%z"),
        ("yyyy-MM-ddTHH:mm:ss.fffffffzzz", "%Y-%m-%dT%H:%M:%S.%n%z"),
        ("yyyy-MM-dd HH:mm:ssZ", "%Y-%m-%d %H:%M:%SZ"),
        ("yyyyMMdd", "%Y%m%d"),
        ("dd.MM.yy", "%d.%m.%y"),
        ("ddd, dd MMM yyyy", "%a, %d %b %Y"),
        ("dddd d MMMM yyyy", "%A %d %B %Y"),
        ("d MMM yyyy 'at' HH:mm", "%d %b %Y at %H:%M"),
        ('d MMM yyyy "o\'clock" HH', "%d %b %Y o'clock %H"),
        (r"yyyy\yMM\Mdd\d", "%Yy%mM%dd"),
        ("yyyy'%'MM'%'dd", "%Y%%%m%%%d"),
        ("yyyy年M月d日", "%Y年%m月%d日"),
        ("  dd/MM/yyyy ", "%d/%m/%Y"),
        ("o", "%Y-%m-%dT%H:%M:%S.%n%z"),
        ("s", "%Y-%m-%dT%H:%M:%S"),
        ("u", "%Y-%m-%d %H:%M:%SZ"),
        ("R", "%a, %d %b %Y %H:%M:%S GMT"),
        ("%d/%m/%Y", "%d/%m/%Y"),
        ("%-d/%-m/%Y", "%d/%m/%Y"),
        ("%F %T", "%Y-%m-%d %H:%M:%S"),
        ("%D %R", "%m/%d/%y %H:%M"),
        ("%e %h %Y", "%d %b %Y"),
        ("%%F %F", "%%F %Y-%m-%d"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S.%f%z"),
    ],
)
def test_a_format_becomes_a_strptime_pattern(specifier: str, pattern: str) -> None:
    assert to_strptime(specifier) == pattern
    assert to_strptime(pattern) == pattern


@pytest.mark.parametrize(
    ("specifier", "part"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("yyyy-MM-dd\0", "NUL"),
        ("YYYY-MM-DD", "a year is yyyy"),
        ("yyyy-MM-DD", "a day is dd"),
        ("dd/mm/yyyy", "no month (MM is the month"),
        ("yyyy-MM", "no day"),
        ("HH:mm", "no year"),
        ("%H:%M", "no year"),
        ("d", "depends on a culture"),
        ("D", "depends on a culture"),
        ("yyyy", "no month"),
        ("yyy-MM-dd", "'yyy' is not understood"),
        ("ddMMyyyyHHmmssSSS", "a fraction of it f"),
        ("dMyyyy", "write 'dd'"),
        ("ddMMyyyyHm", "write 'HH'"),
        ("dd MM yyyy hh:mm", "12-hour clock"),
        ("dd MM yyyy HH:mm tt", "12-hour clock"),
        ("%d %m %Y %I:%M", "12-hour clock"),
        ("dd MM yyyy mm", "but no hour"),
        ("dd MM yyyy HH ss", "but no minute"),
        ("dd MM yyyy HH:mm.fff", "but no second"),
        ("dd MM yyyy zzz", "but no hour"),
        ("dd MM yyyy HH z", "an offset is zzz"),
        ("dd MM yyyy HH:mm:ss.FFF", "write a fraction as f"),
        ("dd MM yyyy h t", "AM and PM are tt"),
        ("yyyy dd MM yyyy", "the year more than once"),
        ("dd MM MMM yyyy", "the month more than once"),
        ("%Y %y %m %d", "the year more than once"),
        ("fffHHmmss dd MM yyyy", "the fraction of a second could belong"),
        ("HH:mm:sszzz1 dd MM yyyy", "the offset from UTC could belong"),
        ("yyyy-MM-dd UTC", "between quotes, such as 'U'"),
        ("yyyy-MM-dd'", "not closed"),
        ('yyyy-MM-dd"x', "not closed"),
        ("yyyy-MM-dd\\", "not closed"),
        ("%Y-%j", "'%j' is not understood"),
        ("%Y-%m-%d %Z", "'%Z' is not understood"),
        ("%s", "'%s' is not understood"),
        ("%Y-%m-%d %-p", "'%-p' is not understood"),
        ("%Y-%m-%d%", "'%' is not understood"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_reason(specifier: str, part: str) -> None:
    with pytest.raises(ValueError, match=re.escape(part)):
        to_strptime(specifier)


@pytest.mark.parametrize(
    ("specifier", "read", "refused"),
    [
        ("dd/MM/yyyy", ["31/01/2026", "1/2/2026"], ["1/2/26", "32/01/2026", "01/13/2026", "0/1/2026"]),
        ("d/M/yyyy", ["31/01/2026", "1/2/2026"], ["1/2/0000", "1/2/2026 ", "1-2-2026", "1/2/02026"]),
        ("yyyyMMdd", ["20260131"], ["2026131", "202601311", "00000131"]),
        ("d MMM yyyy", ["3 JAN 2026", "31 dec 2026"], ["3 January 2026", "3 Jän 2026", "3  Jan 2026"]),
        ("HH:mm d.M.yyyy", ["23:59 1.1.2026", "7:5 1.1.2026"], ["24:00 1.1.2026", "7:60 1.1.2026"]),
        ("h tt d.M.yyyy", ["12 AM 1.1.2026", "1 pm 1.1.2026"], ["0 AM 1.1.2026", "13 PM 1.1.2026", "1 A 1.1.2026"]),
        ("d.M.yyyy HH:mm:ss.f", ["1.1.2026 00:00:00.123456"], ["1.1.2026 00:00:00.1234567", "1.1.2026 00:00:00."]),
        ("yyyy.MM.dd('x')*", ["2026.01.31(x)*"], ["2026-01-31(x)*", "2026.01.31x"]),
        ("yyyy-MM-dd", ["2026-01-31"], ["２０２６-01-31", "٢٠٢٦-01-31", "-026-01-31", "+026-01-31"]),
    ],
)  # fmt: skip
def test_cells_are_read_in_their_format_and_no_other(specifier: str, read: list[str], refused: list[str]) -> None:
    pattern = re.compile(cell_pattern(to_strptime(specifier), Zone.NONE))
    assert [cell for cell in [*read, *refused] if pattern.fullmatch(cell)] == read


@pytest.mark.parametrize(
    ("zone", "read", "refused"),
    [
        (Zone.OFFSET, ["+02:00", "-0530", "+14", "+14:00", "-13:59"], ["+2", "+14:01", "+15:00", "02:00", "Z", ""]),
        (Zone.UTC, ["Z"], ["z", "", "+00:00"]),
        (Zone.NONE, [""], ["Z", "+00:00"]),
    ],
)  # fmt: skip
def test_an_offset_is_written_in_three_ways(zone: Zone, read: list[str], refused: list[str]) -> None:
    pattern = re.compile(cell_pattern(to_strptime("yyyy-MM-dd HH:mmzzz"), zone))
    assert [offset for offset in [*read, *refused] if pattern.fullmatch(f"2026-01-31 10:30{offset}")] == read


def test_pieces_stand_beside_elements() -> None:
    pattern = to_strptime("dd'%'MM yyyy")
    assert elements(pattern) == ["%d", "%%", "%m", " ", "%Y"]
    assert len(pieces(pattern)) == 5
    assert "".join(pieces(pattern)) == cell_pattern(pattern)


DIRECTIVES = st.permutations(["%Y", "%m", "%d", "%H", "%M", "%S"])
MARKS = st.lists(st.sampled_from([" ", "-", "/", ".", "T", "年", "", "(", "%%", "\\"]), min_size=5, max_size=5)


@given(DIRECTIVES, MARKS, st.datetimes())
def test_what_python_writes_in_a_pattern_is_read_back(found: list[str], marks: list[str], moment: datetime) -> None:
    pattern = "".join(part for pair in zip(found, [*marks, ""], strict=True) for part in pair)
    assert to_strptime(pattern) == pattern
    written = moment.strftime(pattern.replace("%Y", f"{moment.year:04d}"))
    assert re.fullmatch(cell_pattern(pattern), written)
    # Python's strptime takes any run of white space for a blank, but there is one of each here.
    assert datetime.strptime(written, pattern).replace(tzinfo=UTC) == moment.replace(microsecond=0, tzinfo=UTC)


@given(st.text(max_size=20) | st.text("yMdHhmsftzK%'\"\\ /:-TZ", max_size=20))
def test_any_text_is_understood_or_refused(specifier: str) -> None:
    try:
        pattern = to_strptime(specifier)
    except ValueError:
        return
    assert to_strptime(pattern) == pattern
    for zone in Zone:
        re.compile(cell_pattern(pattern, zone))
