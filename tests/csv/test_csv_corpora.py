"""Public corpora, where they lie beside the project: legal files are read exactly, broken ones as the oracle reads."""

import json
from pathlib import Path

import pytest

from honesty.corpora import BESIDE, corpora_folder
from shared.csv.decode import TextStream
from shared.domain.csv_dialect import CsvDialect, CsvLimits
from tests.csv import oracle
from tests.csv.csv_cases import assert_said, read_fast

CORPORA = corpora_folder() or BESIDE

pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not there")

FUZZED = sorted(path for path in CORPORA.glob("*-fuzz/**/*") if path.is_file() and path.suffix != ".md")


@pytest.mark.parametrize("path", sorted(CORPORA.glob("csv-spectrum/csvs/*.csv")), ids=lambda path: path.stem)
def test_legal_files_are_read_exactly(path: Path) -> None:
    seen = read_fast(path.read_bytes(), CsvDialect(), window_bytes=64)
    expected = json.loads((path.parents[1] / "json" / f"{path.stem}.json").read_text(encoding="utf-8"))
    assert seen.header is not None
    # The stored files have LF where some of their JSON still says CRLF.
    assert [dict(zip(seen.header, cells, strict=True)) for _, cells in seen.rows] == [
        {name: value.replace("\r\n", "\n") or None for name, value in row.items()} for row in expected
    ]
    assert not seen.rejects


@pytest.mark.parametrize(
    ("name", "dialect", "rows", "width", "rejects"),
    [
        ("smallpop", CsvDialect(), 10, 4, []),
        ("smallpop-colon", CsvDialect(delimiter=":"), 10, 4, []),
        ("smallpop-no-headers", CsvDialect(has_header=False), 10, 4, []),
        ("strange", CsvDialect(delimiter=";", escape="\\", has_header=False), 5, 2, [3, 4]),
        ("uspop-null", CsvDialect(), 100, 5, []),
        ("uspop-latin1", CsvDialect(encoding="latin-1"), 100, 5, []),
        ("uspop-latin1", CsvDialect(), 99, 5, [4]),
    ],
)
def test_declared_dialects_are_read(name: str, dialect: CsvDialect, rows: int, width: int, rejects: list[int]) -> None:
    seen = read_fast((CORPORA / "rust-csv" / f"{name}.csv").read_bytes(), dialect)
    assert (len(seen.rows), len(seen.header or [])) == (rows, width)
    assert [reject.line for reject in seen.rejects] == rejects


@pytest.mark.parametrize("path", FUZZED, ids=lambda path: f"{path.parent.name}-{path.name}")
@pytest.mark.lengthy
def test_fuzzed_files_are_read_as_the_oracle_reads_them(path: Path) -> None:
    data = path.read_bytes()
    for dialect in (CsvDialect(), CsvDialect(delimiter=";", bare_quotes="Literal", has_header=False)):
        text = b"".join(TextStream([data], dialect.encoding))
        seen = read_fast(data, dialect, window_bytes=256)
        assert_said(seen, oracle.read(text, dialect, CsvLimits()))
