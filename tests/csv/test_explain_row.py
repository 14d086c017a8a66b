"""The careful reader alone: what it makes of single rows, and that it never decides too early."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.csv.explain_row import CarefulReader, RowRead
from shared.domain.csv_dialect import CsvDialect, CsvLimits
from tests.csv.csv_cases import dirty_files
from tests.thorough import examples


def read(
    row: bytes, dialect: CsvDialect | None = None, limits: CsvLimits | None = None, *, width: int | None = None
) -> RowRead:
    found = CarefulReader(dialect or CsvDialect(), limits or CsvLimits()).read(row, 0, at_end=True, width=width)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("row", "dialect", "cells"),
    [
        (b'a,"b","","c""d"', CsvDialect(), [b"a", b"b", b"", b'c"d']),
        (b'"a""","""a","\n\r\n"', CsvDialect(), [b'a"', b'"a', b"\n\r\n"]),
        (b",", CsvDialect(), [b"", b""]),
        (b'a||"b||""c"||', CsvDialect(delimiter="||"), [b"a", b'b||"c', b""]),
        (b"a|||b", CsvDialect(delimiter="||"), [b"a", b"|b"]),
        # An escape is one inside quotes only, and only before a quote or an escape.
        (rb'a\,"b\"c\\","\n\,"', CsvDialect(escape="\\"), [b"a\\", b'b"c\\', b"\\n\\,"]),
        (b"'a\"'b','c\"\"'", CsvDialect(quote="'", escape='"'), [b"a'b", b'c"']),
        (b'a"b,c"", "d",""', CsvDialect(bare_quotes="Literal"), [b'a"b', b'c""', b' "d"', b""]),
        (b'"a,b"', CsvDialect(quote=""), [b'"a', b'b"']),
        ("“a“““§b".encode(), CsvDialect(quote="“", delimiter="§"), ["a“".encode(), b"b"]),
    ],
)
def test_a_row_is_split_as_declared(row: bytes, dialect: CsvDialect, cells: list[bytes]) -> None:
    assert read(row, dialect) == RowRead(len(row), len(row), 1 + row.replace(b"\r\n", b"\n").count(b"\n"), cells)


@pytest.mark.parametrize(
    ("row", "code", "cell", "words"),
    [
        (b"1,2", "RowWidth", None, "has 2 cells, but the file has 3 columns"),
        (b"1", "RowWidth", None, "has 1 cell, but"),
        (b'1,"2\n\n",3,4', "RowWidth", None, "closed 2 lines further down"),
        (b'1,"2\n"3', "TextAfterQuote", 1, "closed 1 line further down"),
        (b'1,2"', "BareQuote", 1, "bareQuotes"),
        (b'1,"2', "UnclosedQuote", 1, "never closed"),
        (b'1,2,"' + b"\n" * 200, "QuotedCellTooLong", 2, "more than 100 lines"),
        (b"1,2,\0", "NulByte", 2, "NUL"),
        (b"1,\xff,\xff", "BadBytes", 1, "encoding"),
        (b"1,2," + b"x" * 51, "FieldTooLong", 2, "51 bytes, more than the 50"),
        (b"1,2," + b"x" * 300, "RowTooLong", None, "200 bytes"),
        # Where the line alone is too long, nothing else is said.
        (b'1,2",' + b"x" * 196, "RowTooLong", None, "200 bytes"),
        # Else the fault that stands first is told.
        (b'1,2",3,4\0', "BareQuote", 1, ""),
        (b'1,2,3,"4"x', "TextAfterQuote", 3, ""),
        (b"1,2,3,\0", "RowWidth", None, ""),
        (b"\xff,\0,3", "NulByte", 1, ""),
    ],
)
def test_a_fault_is_named_with_its_cell(row: bytes, code: str, cell: int | None, words: str) -> None:
    fault = read(row, limits=CsvLimits(max_field_bytes=50, max_row_bytes=200), width=3).fault
    assert fault is not None
    assert (fault.code, fault.cell) == (code, cell)
    assert words in fault.message


def test_a_header_that_is_too_wide_is_counted_and_not_kept() -> None:
    for row in (b"a" + b",a" * 9, b'"a"' + b",a" * 9):
        found = read(row, limits=CsvLimits(max_columns=9))
        assert found.fault is not None
        assert found.fault.code == "TooManyColumns"
        assert "10 columns" in found.fault.message
        assert len(found.cells) <= 9


@settings(max_examples=examples(300), deadline=None)
@given(
    dirty_files(),
    st.sampled_from([CsvLimits(), CsvLimits(max_row_lines=2), CsvLimits(max_row_bytes=9), CsvLimits(max_row_bytes=30)]),
    st.sampled_from([None, 2]),
)
def test_a_row_is_decided_once(case: tuple[CsvDialect, bytes], limits: CsvLimits, width: int | None) -> None:
    """However little of the file is in sight, the answer is that of the whole file, or none yet."""
    dialect, data = case
    data = data.lstrip(b"\r\n")[:200] + b"\n1,2\n3,4\n"
    careful = CarefulReader(dialect, limits)
    whole = careful.read(data, 0, at_end=True, width=width)
    decided = False
    for size in range(1, len(data) + 1):
        found = careful.read(data[:size], 0, at_end=False, width=width)
        assert found is None or found == whole
        assert found is not None or not decided
        assert found is not None or size < careful.sight
        decided = found is not None


def test_a_cut_token_is_waited_for() -> None:
    dialect = CsvDialect(delimiter="<==>", quote="“", escape="\\")
    row = "“a\nb“<==>“c\n\\“d\n“<==>e\n".encode()
    careful = CarefulReader(dialect, CsvLimits())
    for size in range(1, len(row)):
        assert careful.read(row[:size], 0, at_end=False, width=None) is None
    found = careful.read(row, 0, at_end=False, width=None)
    assert found is not None
    assert found.fault is None
