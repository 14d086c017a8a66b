"""The CSV that we write, read by three readers that are not ours, and by ours."""

import csv
import hashlib
import io
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow.csv
import pytest
from hypothesis import HealthCheck, given, settings

from shared.csv.read_csv import read_csv
from shared.domain.csv_dialect import CsvDialect
from shared.domain.documents.fields import FieldType
from shared.domain.errors import FatalError
from shared.engine.workspace import Workspace, workspace
from shared.outbound.columns import Column
from shared.outbound.write_csv import CsvStream, csv_query
from shared.settings import Settings
from tests.outbound.rows import FIELDS, cell, rows_of_every_type, split_items, table_of, text
from tests.thorough import examples

COLUMNS = [Column(field.field_name, field.field_type, field.is_array) for field in FIELDS]


@pytest.fixture(scope="module")
def work() -> Iterator[Workspace]:
    with workspace(Settings(engine_memory_mb=64)) as made:
        yield made


def written(work: Workspace, rows: list[dict[str, Any]]) -> bytes:
    work.connection.register("arrived", table_of(rows))
    stream = CsvStream(work, csv_query(COLUMNS, "FROM arrived ORDER BY _key"))
    data = b"".join(stream.pieces())
    assert (stream.rows, stream.size) == (len(rows), len(data))
    assert stream.sha256 == hashlib.sha256(data).hexdigest()
    return data


@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(rows=rows_of_every_type())
@pytest.mark.lengthy
def test_every_reader_reads_what_was_written(work: Workspace, rows: list[dict[str, Any]]) -> None:
    data = written(work, rows)
    header = [field.field_name for field in FIELDS]
    expected = [[cell(field, row[field.field_name]) for field in FIELDS] for row in rows]
    for name, reader in READERS.items():
        assert reader(data) == [header, *expected], name
    for row, cells in zip(rows, expected, strict=True):
        for field, joined in zip(FIELDS, cells, strict=True):
            if field.is_array and row[field.field_name]:
                assert split_items(joined or "") == [text(field.field_type, item) for item in row[field.field_name]]


def read_with_python(data: bytes) -> list[list[str | None]]:
    """QUOTE_NOTNULL tells an empty cell from an empty string."""
    return [
        list(row) for row in csv.reader(io.StringIO(data.decode(), newline=""), strict=True, quoting=csv.QUOTE_NOTNULL)
    ]


def read_with_pyarrow(data: bytes) -> list[list[str | None]]:
    names = data.split(b"\n", maxsplit=1)[0].decode().split(",")
    table = pyarrow.csv.read_csv(
        io.BytesIO(data),
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, "string"),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return [list(table.column_names), *([row[name] for name in table.column_names] for row in table.to_pylist())]


def read_with_duckdb(data: bytes) -> list[list[str | None]]:
    names = data.split(b"\n", maxsplit=1)[0].decode().split(",")
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    with tempfile.NamedTemporaryFile(suffix=".csv") as file, duckdb.connect() as connection:
        file.write(data)
        file.flush()
        found = connection.execute(
            f"FROM read_csv('{file.name}', auto_detect = false, header = true, delim = ',', quote = '\"',"
            f" escape = '\"', nullstr = '', allow_quoted_nulls = false, new_line = '\\n', columns = {{{columns}}})"
        )
        return [[column[0] for column in found.description], *map(list, found.fetchall())]


def read_with_ours(data: bytes) -> list[list[str | None]]:
    reader = read_csv([data], CsvDialect())
    header = reader.read_header()
    rows = [list(row.values()) for batch in reader for row in batch.cells.to_pylist()]
    assert reader.rejected == 0
    return [list(header or []), *rows]


READERS = {"csv": read_with_python, "pyarrow": read_with_pyarrow, "duckdb": read_with_duckdb}


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(rows=rows_of_every_type())
@pytest.mark.lengthy
def test_our_own_reader_takes_it_back(work: Workspace, rows: list[dict[str, Any]]) -> None:
    expected = [[cell(field, row[field.field_name]) or None for field in FIELDS] for row in rows]
    assert read_with_ours(written(work, rows))[1:] == expected


SCENARIOS: dict[str, tuple[FieldType, bool, Any, bytes]] = {
    "null": (FieldType.STRING, False, None, b""),
    "empty string": (FieldType.STRING, False, "", b'""'),
    "plain": (FieldType.STRING, False, " a#b'c ", b" a#b'c "),
    "comma": (FieldType.STRING, False, "a,b", b'"a,b"'),
    "quote": (FieldType.STRING, False, 'say "hi"', b'"say ""hi"""'),
    "line ends": (FieldType.STRING, False, "a\nb\rc", b'"a\nb\rc"'),
    "true": (FieldType.BOOLEAN, False, True, b"true"),
    "time": (
        FieldType.DATE_TIME_OFFSET,
        False,
        datetime(2026, 11, 22, 14, 15, tzinfo=UTC),
        b"2026-11-22T14:15:00.000000Z",
    ),
    "early time": (
        FieldType.DATE_TIME_OFFSET,
        False,
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        b"0001-01-01T00:00:00.000001Z",
    ),
    "date": (FieldType.DATE, False, date(987, 2, 3), b"0987-02-03"),
    "decimal": (FieldType.DECIMAL, False, Decimal("1234.500"), b"1234.5"),
    "round decimal": (FieldType.DECIMAL, False, Decimal(1200), b"1200"),
    "small decimal": (FieldType.DECIMAL, False, Decimal("-1E-18"), b"-0.000000000000000001"),
    "double": (FieldType.DOUBLE, False, 0.1, b"0.1"),
    "whole double": (FieldType.DOUBLE, False, 3.0, b"3.0"),
    "large double": (FieldType.DOUBLE, False, 1e16, b"1e+16"),
    "array": (FieldType.STRING, True, ["a", "b;c", "d\\e"], b"a;b\\;c;d\\\\e"),
    "array with a comma": (FieldType.STRING, True, ["a,b"], b'"a,b"'),
    "array with nulls": (FieldType.STRING, True, ["a", None, "", "b"], b"a;;;b"),
    "empty array": (FieldType.STRING, True, [], b'""'),
    "array of times": (FieldType.DATE, True, [date(2026, 1, 2), date(2026, 1, 3)], b"2026-01-02;2026-01-03"),
    "array of booleans": (FieldType.BOOLEAN, True, [True, False], b"true;false"),
}


@pytest.mark.parametrize(("kind", "is_array", "value", "expected"), SCENARIOS.values(), ids=SCENARIOS)
def test_a_cell(work: Workspace, kind: FieldType, is_array: bool, value: Any, expected: bytes) -> None:
    name = f"{kind.name.title()}{'_list' if is_array else ''}"
    row = {"_key": "k", **{field.field_name: None for field in FIELDS}, name: value}
    work.connection.register("arrived", table_of([row]))
    columns = [Column("_key", FieldType.STRING), Column(name, kind, is_array)]
    data = b"".join(CsvStream(work, csv_query(columns, "FROM arrived")).pieces())
    assert data == b"_key," + name.encode() + b"\nk," + expected + b"\n"


def test_no_rows_are_a_header(work: Workspace) -> None:
    assert written(work, []) == ",".join(column.name for column in COLUMNS).encode() + b"\n"


def test_whoever_stops_early_stops_the_engine(work: Workspace) -> None:
    stream = CsvStream(work, "SELECT range FROM range(10_000_000_000)")
    pieces = stream.pieces()
    seen = b""
    while len(seen) < 1000:
        seen += next(pieces)
    assert seen.startswith(b"range\n0\n1\n")
    pieces.close()
    assert "csv" not in {thread.name for thread in threading.enumerate()}
    assert b"".join(CsvStream(work, "SELECT 1 AS one").pieces()) == b"one\n1\n"


def test_a_failure_of_the_engine_ends_the_bytes_with_an_error() -> None:
    # The first rows come out before the one that fails: whoever uploads must not take them for a whole.
    query = "SELECT CASE WHEN range < 3_000_000 THEN range ELSE error('at last') END AS n FROM range(3_000_001)"
    seen = 0

    def read_on() -> None:
        nonlocal seen
        with workspace(Settings(engine_threads=1)) as work:
            for piece in CsvStream(work, query).pieces():
                seen += len(piece)

    with pytest.raises(FatalError, match="EngineFailed"):
        read_on()
    assert seen > 0


def test_several_queries_are_one_file_with_one_header(work: Workspace) -> None:
    queries = ["SELECT 1 AS one", "SELECT 1 AS one WHERE false", "SELECT range AS one FROM range(2, 4)"]
    stream = CsvStream(work, *queries)
    data = b"".join(stream.pieces())
    assert data == b"one\n1\n2\n3\n"
    assert (stream.rows, stream.sha256) == (3, hashlib.sha256(data).hexdigest())


def test_whoever_stops_early_stops_the_queries_to_come(work: Workspace) -> None:
    endless = "SELECT range FROM range(10_000_000_000)"
    pieces = CsvStream(work, *[endless] * 100).pieces()
    assert next(pieces).startswith(b"range\n0\n1\n")
    pieces.close()
    assert "csv" not in {thread.name for thread in threading.enumerate()}
