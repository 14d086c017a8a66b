"""Readers under the measure: the product meets the bars, and readers that are known to be careless do not."""

import csv
import io
from contextlib import suppress
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from honesty import corpora, generate
from honesty.draft import DirtyFile, Piece, Spot, truth
from honesty.file_kinds import FILE_KINDS
from honesty.measure import score, total
from honesty.reading import Outcome, ingest, physical_lines
from honesty.row_kinds import ROW_KINDS
from honesty.run import Job, jobs, run_job
from honesty.table import mapping_of
from shared.domain.errors import HubError
from shared.settings import Settings

SETTINGS = Settings()


@cache
def sample() -> list[DirtyFile]:
    """One small file of each kind."""
    files = [next(generate.row_files(kind, 3)) for kind in ROW_KINDS]
    return files + [next(generate.file_files(kind, 3)) for kind in FILE_KINDS]


@pytest.mark.lengthy
def test_the_product_meets_the_bars_on_a_file_of_each_kind() -> None:
    scores = [score(file, ingest(file, SETTINGS)) for file in sample()]
    assert [each for each in scores if not each.is_honest or each.missed or each.attributed != each.rejects] == []
    assert total(scores).meets_the_bars


def csv_module(file: DirtyFile, *, strict: bool = False) -> Outcome:
    """What a script of ten lines makes of a file: no rejects, values read as far as they can be."""
    outcome = Outcome()
    text = file.data.decode("utf-8", "replace").replace("\0", "")
    with suppress(csv.Error, StopIteration):
        rows = csv.reader(io.StringIO(text, newline=""), strict=strict)
        next(rows)
        for row in rows:
            if not row or (strict and len(row) != 6):
                continue
            id_, name, city, amount, joined, tags = (row + [""] * 6)[:6]
            found = tuple(tags.replace("\\;", "\0").replace("\\\\", "\\").split(";")) if tags else None
            tagged = found and tuple(tag.replace("\0", ";") for tag in found)
            number = day = None
            with suppress(ArithmeticError):
                number = Decimal(amount) if amount else None
            with suppress(ValueError):
                day = date.fromisoformat(joined) if joined else None
            outcome.rows.append((id_, name or None, city or None, number, day, tagged))
    return outcome


@pytest.mark.parametrize("strict", [False, True])
def test_a_careless_reader_misses_the_bars(strict: bool) -> None:
    legal = [file for file in sample() if file.kind in {"00 clean", "14 quoted LF", "23 no last line end"}]
    assert total(score(file, csv_module(file, strict=strict)) for file in legal).honesty == 1.0
    dirty = [score(file, csv_module(file, strict=strict)) for file in sample()]
    assert total(dirty).honesty < 0.5
    assert not total(dirty).meets_the_bars


def test_a_reader_that_refuses_everything_is_honest_and_misses_the_bars() -> None:
    scores = [score(file, Outcome(refusal="Never")) for file in sample()]
    assert total(scores).honesty == 1.0
    assert total(scores).yield_ == 0.0
    assert not total(scores).meets_the_bars


def one(data: bytes, pieces: list[Piece]) -> DirtyFile:
    rows, spots = truth(pieces)
    return DirtyFile("kind", "place", data, mapping_of({}), rows, spots)


def test_a_file_goes_through_the_code_that_stages_blobs() -> None:
    header, row, bad = b"id,name,city,amount,joined,tags", b"1,Ada,,1.50,2026-01-31,a;b", b"2,Ada,,x,,"
    values = ("1", "Ada", None, Decimal("1.5"), date(2026, 1, 31), ("a", "b"))
    file = one(
        b"\n".join((header, row, bad, b"")),
        [Piece(header), Piece(row, values), Piece(bad, ("2", "Ada", None, None, None, None), (Spot(0, "amount"),))],
    )
    outcome = ingest(file, SETTINGS, piece_bytes=7)
    assert outcome.rows == [values]
    assert [(reject.line, reject.column, reject.code) for reject in outcome.rejects] == [(3, "amount", "NotADecimal")]
    assert (outcome.refusal, outcome.trouble) == (None, None)
    assert ingest(one(b"", []), SETTINGS).refusal == "EmptyBlob"
    assert ingest(one(b"a,b\n", []), SETTINGS).refusal == "MissingColumns"


def test_lines_are_counted_apart_from_the_reader() -> None:
    for data, lines in ((b"", 0), (b"a", 1), (b"a\n", 1), (b"a\r\nb\rc\n\n", 4), (b"\xef\xbb\xbfa\n", 1)):
        assert physical_lines(one(data, []), "utf-8") == lines
    assert physical_lines(one("a\r\nb".encode("utf-16-le"), []), "utf-16-le") == 2


def test_a_crash_is_a_finding() -> None:
    broken = DirtyFile("kind", "place", b"a\n", mapping_of({}), [], [], entity_type=None)  # type: ignore[arg-type]
    outcome = ingest(broken, SETTINGS)
    assert not issubclass(AttributeError, HubError)
    assert outcome.trouble is not None
    assert outcome.trouble.startswith("AttributeError")


def test_the_corpora_are_left_out_where_they_are_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CORPORA", str(tmp_path / "none"))
    assert corpora.corpora_folder() is None
    assert {job.group for job in jobs(1, None)} == {"rows", "files", "pairs"}


def test_corpora_are_read_with_their_truth_and_with_closed_accounts(tmp_path: Path) -> None:
    legal, fuzzed = tmp_path / "csv-spectrum", tmp_path / "duckdb-fuzz"
    for folder in (legal / "csvs", legal / "json", fuzzed):
        folder.mkdir(parents=True)
    (legal / "csvs" / "a.csv").write_bytes(b'first name,b\n"x\ny",\n')
    (legal / "json" / "a.json").write_bytes(b'[{"first name": "x\\r\\ny", "b": ""}]')
    (fuzzed / "1.csv").write_bytes(b'a,"b\n"\n\x00"\xff,,\r\r\n"')
    (fuzzed / "SOURCE.md").write_bytes(b"not a CSV")
    done = run_job(Job("legal", 0, folder=tmp_path))
    assert [(each.clean, each.right, each.is_honest) for each in done.scores] == [(1, 1, True)]
    others = [each for number in range(8) for each in run_job(Job("others", number, folder=tmp_path)).scores]
    assert [(each.place, each.trouble) for each in others] == [("1.csv", None)] * 2
