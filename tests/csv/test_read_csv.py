"""The reader says what the oracle says, however the file is cut into windows and chunks."""

import tracemalloc
from codecs import BOM_UTF8
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.csv.read_csv import read_csv
from shared.csv.rows import CellSplitter
from shared.domain.csv_dialect import CsvDialect, CsvLimits
from shared.domain.errors import AccountingError, DataError
from shared.domain.reject import RAW_LIMIT_BYTES
from tests.csv import oracle
from tests.csv.csv_cases import (
    CHUNKS,
    LIMITS,
    WINDOWS,
    assert_said,
    clean_files,
    dirty_files,
    read_carefully,
    read_fast,
)
from tests.thorough import examples

SLOW_DRAWS = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=examples(300), deadline=None, suppress_health_check=SLOW_DRAWS)
@given(clean_files(), WINDOWS, CHUNKS, st.sampled_from([1, 7, 1 << 16]))
@pytest.mark.lengthy
def test_clean_files_are_read_exactly(
    case: tuple[CsvDialect, bytes, list[list[str]]], window: int, chunk: int, batch_rows: int
) -> None:
    dialect, data, rows = case
    seen = read_fast(data, dialect, chunk=chunk, window_bytes=window, batch_rows=batch_rows)
    assert not seen.faults
    # A row of one empty cell that is not quoted is a blank line to everybody.
    assert [cells for _, cells in seen.rows] == [[cell or None for cell in row] for row in rows]
    assert_said(seen, oracle.read(data, dialect, CsvLimits()))


@settings(max_examples=examples(1000), deadline=None, suppress_health_check=SLOW_DRAWS)
@given(dirty_files(), LIMITS, WINDOWS, CHUNKS, st.sampled_from([1, 1 << 16]))
@pytest.mark.lengthy
def test_dirty_files_are_read_as_the_oracle_reads_them(
    case: tuple[CsvDialect, bytes], limits: CsvLimits, window: int, chunk: int, batch_rows: int
) -> None:
    dialect, data = case
    text = data.removeprefix(BOM_UTF8)
    said = oracle.read(text, dialect, limits)
    seen = read_fast(data, dialect, limits, chunk=chunk, window_bytes=window, batch_rows=batch_rows)
    assert_said(seen, said)
    if seen.header_fault is None:
        assert_said(read_carefully(text, dialect, limits), said)


def test_the_header_is_known_before_the_file_is_read() -> None:
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for chunk in (b"id,na", b"me\n", *[b"1,a\n" * (1 << 16)] * 5):
            taken += 1
            yield chunk

    reader = read_csv(chunks(), CsvDialect())
    assert reader.header == ["id", "name"]
    assert reader.read_header() == ["id", "name"]
    assert taken == 3
    assert sum(batch.cells.num_rows for batch in reader) == 5 << 16
    assert (reader.rows, reader.rejected, reader.blank_lines, reader.bytes_read) == (5 << 16, 0, 0, 8 + (20 << 16))


def test_batches_have_the_size_asked_for() -> None:
    data = b"id,name\n" + b"".join(b"%d,abc\n" % number for number in range(10_000))
    reader = read_csv([data], CsvDialect(), window_bytes=1 << 12, batch_rows=1000)
    sizes = [batch.cells.num_rows for batch in reader]
    assert sum(sizes) == 10_000
    assert all(1000 <= size < 2000 for size in sizes[:-1])
    assert len(list(read_csv([data], CsvDialect(), window_bytes=1 << 12, batch_bytes=20_000))) == 5


def test_columns_are_strings_whatever_they_hold_and_are_called() -> None:
    reader = read_csv([b"a,a,,b\n1,true,,2026-01-31\n"], CsvDialect())
    (batch,) = reader
    assert batch.cells.schema == pa.schema(
        [("a", pa.string()), ("a", pa.string()), ("", pa.string()), ("b", pa.string())]
    )
    assert [column.to_pylist() for column in batch.cells.columns] == [["1"], ["true"], [None], ["2026-01-31"]]
    assert batch.lines.dtype == np.int64


def test_a_batch_of_rejects_has_the_columns_too() -> None:
    (batch,) = read_csv([b"a,b\n1\n"], CsvDialect())
    assert batch.cells.schema == pa.schema([("a", pa.string()), ("b", pa.string())])
    assert (batch.cells.num_rows, batch.lines.size, len(batch.rejects)) == (0, 0, 1)


def test_rows_keep_their_text_after_rejects_and_in_every_dialect() -> None:
    data = b'a||b\r\n1||"x\ny"\r\n2\r\n\r\n3||z"z\n4||"q""q"'
    seen = read_fast(data, CsvDialect(delimiter="||", bare_quotes="Literal"))
    assert seen.raw == ['1||"x\ny"', '3||z"z', '4||"q""q"']
    data = b"a,b\n" + b'1,"x\ny"\n2\n\n3,zz\n4,"q""q"\n5,x"\n6,y' + b"\n7,z" * 50
    seen = read_fast(data, CsvDialect())
    assert seen.raw == ['1,"x\ny"', "3,zz", '4,"q""q"', "6,y", *["7,z"] * 50]


def test_the_text_of_a_reject_is_cut() -> None:
    row = "é" * RAW_LIMIT_BYTES
    seen = read_fast(f"a,b\n{row}\n".encode(), CsvDialect())
    (reject,) = seen.rejects
    assert reject.raw == row[: RAW_LIMIT_BYTES // 2]


def test_a_broken_row_tells_nothing_of_its_neighbours() -> None:
    seen = read_fast(b'id,name\n1,"open\n2,secret\n3,"closed"x\n4,fine\n', CsvDialect())
    for reject in seen.rejects:
        assert "secret" not in reject.message + reject.raw
    assert [cells for _, cells in seen.rows] == [["2", "secret"], ["4", "fine"]]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [999, 1000, 1001, 1002, 5000, 500_000])
@pytest.mark.lengthy
def test_a_line_that_does_not_end_is_refused_and_skipped(size: int, line_end: bytes) -> None:
    data = line_end.join([b"id,name", b"1,a", b"2," + b"x" * (size - 2), b"", b"3,b", b'4,"' + b"y" * size, b"5,c"])
    for chunk in (7, 1001, 1 << 20):
        seen = read_fast(data, CsvDialect(), CsvLimits(max_row_bytes=1000), chunk=chunk, window_bytes=256)
        kept = [(3, ["2", "x" * (size - 2)])] if size <= 1000 else []
        assert seen.rows == [(2, ["1", "a"]), *kept, (5, ["3", "b"]), (7, ["5", "c"])]
        assert [fault[0] for fault in seen.faults] == ([6] if size <= 1000 else [3, 6])
        assert seen.blank_lines == 1


@pytest.mark.parametrize("chunk", [3, 1 << 20])
@pytest.mark.parametrize("size", [99, 100, 101, 102, 103, 140])
def test_a_row_of_several_lines_is_measured_as_a_whole(size: int, chunk: int) -> None:
    text = b'1,"' + b"x" * 40 + b"\n" + b"x" * (size - 45) + b'"'
    seen = read_fast(b"id,name\n" + text + b"\n2,b\n", CsvDialect(), CsvLimits(max_row_bytes=100), chunk=chunk)
    assert [fault[:2] for fault in seen.faults] == ([(2, "RowTooLong"), (3, "BareQuote")] if size > 100 else [])
    assert seen.rows[-1] == (4, ["2", "b"])


def peak_memory(chunks: Iterator[bytes], limits: CsvLimits) -> tuple[int, list[str]]:
    tracemalloc.start()
    try:
        codes = [reject.code for batch in read_csv(chunks, CsvDialect(), limits) for reject in batch.rejects]
        return tracemalloc.get_traced_memory()[1], codes
    finally:
        tracemalloc.stop()


@pytest.mark.lengthy
def test_memory_does_not_grow_with_a_line() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"id,name\n1,a\n2,"
        for _ in range(100):
            yield b"x" * (1 << 20)
        yield b'\n3,"'
        for _ in range(100):
            yield b"y" * (1 << 20)
        yield b'\n4,"' + b"z\n" * 200

    peak, codes = peak_memory(chunks(), CsvLimits(max_row_bytes=1 << 20))
    assert codes == ["RowTooLong", "RowTooLong", "QuotedCellTooLong", *["RowWidth"] * 199]
    assert peak < 1 << 25


def test_memory_does_not_grow_with_the_file() -> None:
    chunk = b'1,"a, ""quoted"" cell\nof two lines",some text\n' * 20_000
    peak, codes = peak_memory((chunk if number else b"a,b,c\n" for number in range(80)), CsvLimits())
    assert not codes
    assert peak < 1 << 25


def test_a_header_without_end_is_refused() -> None:
    with pytest.raises(DataError) as refused:
        read_csv([b"x" * 5000], CsvDialect(), CsvLimits(max_row_bytes=1000)).read_header()
    assert refused.value.code == "UnreadableHeader"


@pytest.mark.parametrize("line", [b'x"y,z\n', b'x"' + b"y" * 50_000 + b"\n"], ids=["short", "long"])
def test_rows_before_the_first_good_one_are_not_held_without_end(line: bytes) -> None:
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 100 * len(line)
            yield line * 100

    with pytest.raises(DataError, match="A quote stands inside") as refused:
        read_csv(chunks(), CsvDialect(has_header=False)).read_header()
    assert refused.value.code == "NoReadableRow"
    assert taken < 1 << 25


def test_an_engine_that_counts_other_rows_is_found_out() -> None:
    splitter = CellSplitter(CsvDialect())
    assert splitter.split(b"1,2\n3,4\n", 2, ["a", "b"]).num_rows == 2
    with pytest.raises(AccountingError, match="counts 3 rows, the engine 2"):
        splitter.split(b"1,2\n3,4\n", 3, ["a", "b"])
    with pytest.raises(AccountingError):
        splitter.split(b"1,2\n3\n", 2, ["a", "b"])
