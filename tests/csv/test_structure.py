"""The scan alone: it proves rows as far as the grammar holds, and no further."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.csv.structure import Structure, scan
from shared.domain.csv_dialect import CsvDialect, CsvLimits
from tests.csv import oracle
from tests.thorough import examples


def scanned(text: bytes, *, at_end: bool = True, quote: int | None = ord('"'), lines: int = 100) -> Structure:
    return scan(text, 0, len(text), at_end=at_end, delimiter=ord(","), quote=quote, max_row_lines=lines)


def rows(text: bytes, found: Structure) -> list[bytes]:
    return [text[start:end] for start, end in zip(found.starts, found.ends, strict=True)]


def test_rows_end_outside_quotes_only() -> None:
    text = b'a,"b\nc\r\nd"\r\n\n"",e\rlast'
    found = scanned(text)
    assert rows(text, found) == [b'a,"b\nc\r\nd"', b"", b'"",e', b"last"]
    assert found.widths.tolist() == [2, 1, 2, 1]
    assert found.lines.tolist() == [3, 1, 1, 1]
    assert (found.used, found.broken) == (len(text), False)


def test_what_the_next_window_may_change_is_left_to_it() -> None:
    assert scanned(b"a\nb\r", at_end=False).used == 2  # a LF may follow
    assert scanned(b"a\nb\r").used == 4
    assert scanned(b'a\n"b"', at_end=False).used == 2  # a quote may follow
    assert scanned(b"a\nb", at_end=False).used == 2


@pytest.mark.parametrize("text", [b'a"b', b'"a"b', b' "a"', b'"a" ', b'"a""b" x', b'""a', b'"a"\0'])
def test_a_quote_where_none_may_stand_breaks_the_row(text: bytes) -> None:
    found = scanned(b"1,2\n" + text + b"\n3,4\n", at_end=False)
    assert (found.used, found.broken, found.starts.size) == (4, True, 1)


def test_an_open_quote_is_broken_at_the_end_or_after_too_many_lines() -> None:
    text = b'1\n"2\n3\n4\n'
    assert not scanned(text, at_end=False, lines=4).broken
    assert scanned(text, at_end=False, lines=3).broken
    assert scanned(text, at_end=True, lines=4).broken


def test_faulty_rows_are_passed_over_line_by_line() -> None:
    text = b'1\na"b\n"2\n3"\n"open\nx"y\n4\n"5\n5"\n'
    found = scan(text, 0, len(text), at_end=True, delimiter=ord(","), quote=ord('"'), max_row_lines=100, max_faulty=9)
    assert rows(text, found) == [b"1", b'a"b', b'"2\n3"', b'"open', b'x"y', b"4", b'"5\n5"']
    assert found.faulty.tolist() == [False, True, False, True, True, False, False]
    assert (found.used, found.broken) == (len(text), False)


def test_without_a_quote_character_quotes_are_text() -> None:
    found = scanned(b'1,"\n"2"3,\n', quote=None)
    assert (found.widths.tolist(), found.broken) == ([2, 2], False)


def test_rows_can_be_taken_out() -> None:
    text = b"a\nbb\n\nccc\r\nd"
    found = scanned(text)
    assert b"".join(found.without([1, 4], text)) == b"a\n\nccc\r\n"
    assert found.before(3).used == 6
    assert found.before(3).broken


@settings(max_examples=examples(500), deadline=None)
@given(
    st.lists(st.sampled_from([b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"x", b"xyz" * 21, b"\xc3\xa9"]), max_size=80),
    st.integers(0, 70),
    st.booleans(),
    st.sampled_from([0, 1, 3, 100]),
)
def test_the_scan_proves_what_the_oracle_reads(pieces: list[bytes], skipped: int, at_end: bool, passed: int) -> None:
    """Every row that the scan gives is legal and whole, and it stops nowhere but at an illegal or open row.

    What it passes over are first lines of illegal rows.
    """
    text = b"".join(pieces)
    found = scan(
        b"#" * skipped + text,
        skipped,
        skipped + len(text),
        at_end=at_end,
        delimiter=ord(","),
        quote=ord('"'),
        max_row_lines=5,
        max_faulty=passed,
    )
    at = 0
    assert np.count_nonzero(found.faulty) <= passed
    for number, (start, end) in enumerate(zip(found.starts, found.ends, strict=True)):
        assert start == at
        row = oracle.try_row(text.decode("latin-1"), at, CsvDialect(), CsvLimits())
        if found.faulty[number]:
            assert row.fault is not None
            assert not re.search(rb"[\r\n]", text[start:end])
            assert found.lines[number] == 1
        else:
            read = (row.fault, row.at, len(row.cells), row.line_ends + 1)
            assert read == (None, end, found.widths[number], found.lines[number])
        at = int(end) + oracle.line_end(text.decode("latin-1"), int(end))
    assert at == found.used
    rest = oracle.try_row(text.decode("latin-1"), at, CsvDialect(), CsvLimits(max_row_lines=5))
    if found.broken:
        assert rest.fault is not None
    elif at_end:
        assert at == len(text)
    else:
        # A row that is left for later has no end in sight: at most a CR that may be half a line end.
        assert rest.fault in {None, "UnclosedQuote", "QuotedCellTooLong"}
        whole = oracle.try_row(text.decode("latin-1"), at, CsvDialect(), CsvLimits())
        assert whole.at >= len(text) - 1
