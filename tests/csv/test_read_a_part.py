"""Reading the beginning of a file: so much of its text is looked at, whatever it holds, and rows are not cut in two."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.csv.read_csv import CsvReader, read_csv
from shared.domain.csv_dialect import CsvDialect, CsvLimits

MOST = 1 << 16
LIMITS = CsvLimits(max_row_bytes=MOST // 4)
HEAD = b"id,name\n1,a\n"
BEGINNINGS = {
    "rows": HEAD + b'2,"b\nc"\n' * MOST,
    "blank lines": HEAD + b"\n" * 8 * MOST,
    "blank lines before the header": b"\n" * 8 * MOST + HEAD,
    "comments": HEAD + b"#x\n" * 4 * MOST,
    "a comment without end": HEAD + b"#" * 8 * MOST + b"\n2,b\n",
    "a row without end": HEAD + b"x" * 8 * MOST + b"\n2,b\n",
    "a quote that is not closed": HEAD + b'2,"' + b"x" * 8 * MOST,
    "rejects": HEAD + b"x\n" * 4 * MOST,
}


def reading(text: bytes, escape: str, **options: Any) -> tuple[CsvReader, list[int]]:
    """A reader of the text in small pieces, and the bytes that were taken of it, as the last one."""
    taken = [0]

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(text), 1000):
            taken.append(min(start + 1000, len(text)))
            yield text[start : start + 1000]

    dialect = CsvDialect(escape=escape, comment="#")
    return read_csv(pieces(), dialect, LIMITS, most_bytes=MOST, window_bytes=1 << 14, **options), taken


@pytest.mark.parametrize("escape", ["", "\\"], ids=["plain", "careful"])
@pytest.mark.parametrize("text", BEGINNINGS.values(), ids=BEGINNINGS)
def test_only_a_part_is_looked_at(text: bytes, escape: str) -> None:
    reader, taken = reading(text, escape)
    header = reader.read_header()
    rows = [row for batch in reader for row in batch.cells.to_pylist()]
    assert reader.is_cut
    assert taken[-1] <= MOST + 3 * LIMITS.max_row_bytes
    assert (header, rows[:1]) == ((None, []) if text[:1] == b"\n" else (["id", "name"], [{"id": "1", "name": "a"}]))
    assert {row["name"] for row in rows[1:]} <= {"b\nc"}, "no row is cut in two"
    assert reader.rows == len(rows)


@pytest.mark.parametrize("escape", ["", "\\"], ids=["plain", "careful"])
@pytest.mark.parametrize("left", [0, 1])
def test_a_file_that_ends_there_is_read_to_its_end(escape: str, left: int) -> None:
    text = HEAD + b"2,b\n" * ((MOST - len(HEAD) - left) // 4)
    reader, _ = reading(text, escape)
    lines = sum(batch.cells.num_rows for batch in reader)
    assert (lines, reader.is_cut) == (text.count(b"\n") - 1, False)
