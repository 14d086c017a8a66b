"""Rejects in bulk: each says what the careful reader says of it, and a file of nothing else is read in linear time."""

import csv
import io
import multiprocessing
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.csv.bad_bytes import invalid_utf8
from shared.csv.explain_row import LINE_END, CarefulReader
from shared.csv.read_csv import read_csv
from shared.csv.rejects import Rejects
from shared.domain.csv_dialect import CsvDialect, CsvLimits
from shared.domain.documents.mappings import ErrorManagement
from shared.domain.errors import DataError
from shared.domain.reject import Reject
from shared.ingest.reject_file import RejectFile
from tests.csv.csv_cases import column_of, in_chunks, next_line
from tests.thorough import THOROUGH, examples

CONTINUE = ErrorManagement.model_validate({"errorManagementType": "RejectAndContinue"})
PIECES = [
    *[b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"x", b"yz" * 9, b"\xc3\xa9", b"\xff", b"\xe2\x82", b"\0", b"#"],
    *[b',"', b'",', b'\n"', b"a,b\n", b'a,"b\nc"\n', b'"a"x,b\n', b"1,2,3\n", b'#,"', b"\n\n"],
]
# As few as would show it, if they were held.
VERY_MANY = 1_000_000 if THOROUGH else 400_000
# One of each kind that UTF-8 tells apart.
OCTETS = b'\0\n,"Az\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff'
LIMITS = [
    CsvLimits(),
    CsvLimits(max_row_lines=3),
    CsvLimits(max_field_bytes=6),
    CsvLimits(max_row_bytes=20, max_row_lines=4),
    CsvLimits(max_row_bytes=30, max_field_bytes=10),
]


def refused_carefully(data: bytes, dialect: CsvDialect, limits: CsvLimits) -> list[Reject]:
    """What the careful reader alone says of a file with two columns whose header is in order."""
    careful = CarefulReader(dialect, limits)
    rejects = []
    at, line = next_line(data, 0), 2
    while at < len(data):
        blank = LINE_END.match(data, at)
        if blank or (dialect.comment and data.startswith(dialect.comment.encode(), at)):
            at, line = next_line(data, at), line + 1
            continue
        row = careful.read(data, at, at_end=True, width=2)
        assert row is not None
        if row.fault is not None:
            raw = data[at : row.end].decode("utf-8", "backslashreplace").replace("\0", "\\x00")
            column = column_of(["id", "name"], row.fault.cell)
            rejects.append(Reject(line, column, row.fault.code, row.fault.message, raw))
        at, line = next_line(data, row.after) if row.unfinished else row.after, line + row.lines
    return rejects


@settings(max_examples=examples(2000), deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=120),
    st.sampled_from(["", "#"]),
    st.sampled_from(LIMITS),
    st.sampled_from([64, 100, 1 << 20]),
    st.integers(1, 300),
)
@pytest.mark.lengthy
def test_a_reject_says_what_the_careful_reader_says(
    pieces: list[bytes], comment: str, limits: CsvLimits, window: int, chunk: int
) -> None:
    data = b"id,name\n" + b"".join(pieces)
    dialect = CsvDialect(comment=comment)
    reader = read_csv(in_chunks(data, chunk), dialect, limits, window_bytes=window)
    assert reader.read_header() == ["id", "name"]
    found = [reject for batch in reader for reject in batch.rejects]
    assert found == refused_carefully(data, dialect, limits)


@settings(max_examples=examples(2000), deadline=None)
@given(st.lists(st.sampled_from([*OCTETS])))
def test_bad_bytes_are_found_in_their_cells(octets: list[int]) -> None:
    text = bytes(octets)
    cells = text.replace(b"\n", b",").split(b",")
    bad = [number for number, cell in enumerate(cells) if cell.decode("utf-8", "replace").encode() != cell]
    told = {text[:at].replace(b"\n", b",").count(b",") for at in invalid_utf8(text).tolist()}
    assert sorted(told) == bad


REJECTS = st.builds(
    Reject,
    line=st.integers(1, 2**40),
    column=st.sampled_from([None, "", "a", 'a "b"', "a,b", "a\r\nb"]),
    code=st.sampled_from(["RowWidth", "NotAnInteger"]),
    message=st.text(st.sampled_from('ab,"\r\n é'), max_size=9),
    raw=st.text(st.one_of(st.sampled_from(',"\r\n\t ab\0'), st.characters(exclude_categories=["Cs"])), max_size=30),
)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(st.lists(REJECTS, max_size=5), max_size=4))
def test_rejects_are_written_as_the_csv_module_writes_them(batches: list[list[Reject]]) -> None:
    wanted = io.StringIO(newline="")
    writer = csv.writer(wanted, lineterminator="\n")
    writer.writerow(("line", "column", "code", "message", "raw"))
    for batch in batches:
        for reject in sorted(batch, key=lambda reject: reject.line):
            writer.writerow((reject.line, reject.column or "", reject.code, reject.message, reject.raw))
    with TemporaryDirectory() as folder, RejectFile(Path(folder, "rejects.csv"), CONTINUE) as file:
        for batch in batches:
            file.add(batch)
        file.close()
        assert file.path.read_bytes().decode() == wanted.getvalue()


def test_rejects_in_columns_are_those_that_were_given() -> None:
    first = [Reject(9, "a", "X", "m", "raw"), Reject(2, None, "Y", "n", "é")]
    second = [Reject(5, "a", "X", "m", "")]
    joined = Rejects.joined([Rejects.of(first), Rejects.of([]), Rejects.of(second)])
    assert joined == first + second
    assert joined[1:] == [first[1], *second]
    assert (joined[1], len(joined)) == (first[1], 3)
    assert [reject.line for reject in joined.by_line()] == [2, 5, 9]
    assert [reject.line for reject in joined.moved(3)] == [12, 5, 8]


UGLY: dict[str, Callable[[int], bytes]] = {
    "lone quotes": lambda size: b'"\n' * (size // 2),
    "quotes closed on the next line": lambda size: b'1,"a\n' * (size // 5),
    "short rows": lambda size: b"1\n" * (size // 2),
    "quotes closed far behind": lambda size: (b'1,"' + b"\n" * 97 + b'"x\n') * (size // 103),
    "bad bytes": lambda size: b"1,\xff\n" * (size // 4),
    "an open quote and no line end": lambda size: b'1,"' + b"x" * size,
    "an open quote before rows": lambda size: b'1,"\n' + b"1,2\n" * (size // 4),
    "no line end": lambda size: b"1," + b"x" * size,
    "blank lines": lambda size: b"\n" * size,
    "comments": lambda size: b'#"\n' * (size // 3),
    "many columns": lambda size: (b",".join([b"1"] * 100_000) + b"\n") * max(1, size // 200_000),
}


@pytest.mark.parametrize(
    ("shape", "is_before_header"), [*((shape, False) for shape in UGLY), ("blank lines", True), ("comments", True)]
)
@pytest.mark.lengthy
def test_reading_time_grows_with_the_file(shape: str, is_before_header: bool) -> None:
    once, fourfold = (
        _cpu_s(UGLY[shape](size) + b"id,name\n" if is_before_header else b"id,name\n" + UGLY[shape](size))
        for size in (1 << 18, 1 << 20)
    )
    # Four times as much; it would be sixteen times as long if each line cost what those before it do.
    assert fourfold <= 7 * max(once, 0.02)


def test_rejects_are_held_in_columns() -> None:
    data = b"id,name\n" + b"1\n" * 200_000
    peak = count = 0
    before = pa.total_allocated_bytes()
    for batch in read_csv(in_chunks(data, 1 << 20), CsvDialect()):
        count += len(batch.rejects)
        held = batch.rejects.lines.nbytes + batch.rejects.numbers.nbytes + pa.total_allocated_bytes() - before
        peak = max(peak, held)
        assert len(set(batch.rejects.reasons)) == 1
        assert np.all(np.diff(batch.rejects.lines) == 1)
    assert count == 200_000
    assert peak < 40 << 20


@pytest.mark.parametrize(
    ("line", "lines", "dialect"),
    [
        (b'"\n', VERY_MANY, CsvDialect()),
        (b"1\n", VERY_MANY, CsvDialect()),
        (b'"\r', VERY_MANY, CsvDialect()),
        (b'1,"a\n', 400_000, CsvDialect()),
        (b"1\n", 60_000, CsvDialect(escape="\\")),
        (b'x"\n', 60_000, CsvDialect(has_header=False)),
    ],
    ids=["lone quotes", "short rows", "ended by CR", "glued lines", "careful reader", "no header"],
)
@pytest.mark.lengthy
def test_few_rejects_are_held_at_once(line: bytes, lines: int, dialect: CsvDialect, tmp_path: Path) -> None:
    # In a process of its own: arrow's peak is that of the process.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        peak = alone.submit(_peak_of_rejects, line, lines, dialect, tmp_path).result()
    assert peak < 40 << 20


def _peak_of_rejects(line: bytes, lines: int, dialect: CsvDialect, folder: Path) -> int:
    """Bytes that Python, numpy and arrow held at most while a file of nothing but rejects was read and written down."""
    header = b"id,name" + line[-1:] if dialect.has_header else b""
    last = b"" if dialect.has_header else b"1,2\n"
    pieces = [header, *[line * (lines // 4)] * 4, last]
    tracemalloc.start()
    with RejectFile(folder / "rejects.csv", CONTINUE) as file:
        for batch in read_csv(filter(None, pieces), dialect):
            file.add(batch.rejects)
    assert file.count >= lines // 2
    return tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory()


@pytest.mark.parametrize(
    ("accepted", "most", "words"), [(None, 3, "MAX_REJECTS_PER_RUN"), (9, 3, "MAX_REJECTS"), (3, 9, "")]
)
def test_a_run_takes_so_many_rejects(accepted: int | None, most: int, words: str, tmp_path: Path) -> None:
    kind = "RejectAndContinue" if accepted is None else "RejectUntilLimit"
    rule = ErrorManagement.model_validate({"errorManagementType": kind, "errorLimit": accepted})
    rejects = [Reject(line, None, "RowWidth", "m", "1") for line in range(2, 9)]
    with RejectFile(tmp_path / "rejects.csv", rule, most) as file:
        file.add(rejects[:3])
        with pytest.raises(DataError) as refused:
            file.add(rejects[3:])
    assert (refused.value.code, file.count) == ("TooManyRejects", 4)
    assert words in refused.value.message
    assert "line 5" in refused.value.message
    assert len((tmp_path / "rejects.csv").read_text().splitlines()) == 5


def _cpu_s(data: bytes) -> float:
    best = 1e9
    for _ in range(2):
        began = time.process_time()
        reader = read_csv(in_chunks(data, 1 << 20), CsvDialect(comment="#"))
        for _ in reader:
            pass
        best = min(best, time.process_time() - began)
    return best
