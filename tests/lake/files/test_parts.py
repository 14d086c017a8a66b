"""Parts on the local disk: whole, in order, with bounds that hold; and keys that repeat."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.lake.changes.number_repeats import number_repeats
from shared.lake.files.parts import Layout, PartWriter, lower_bound, upper_bound
from shared.lake.log.part import Part
from shared.lake.schema import changes_schema
from shared.settings import Settings
from tests.lake.given import profile_type, typed
from tests.thorough import examples

CUSTOMER = profile_type()


def rows(parts: list[Part]) -> list[dict[str, Any]]:
    return [row for part in parts for row in pq.read_table(part.path).to_pylist()]


@settings(deadline=None)
@given(key=st.text() | st.text(alphabet="\U0010ffffx", min_size=60, max_size=80))
def test_bounds_hold_however_long_the_key(key: str) -> None:
    assert lower_bound(key) <= key <= upper_bound(key)


@pytest.mark.lengthy
def test_parts_hold_every_row_in_its_order(tmp_path: Path) -> None:
    writer = PartWriter(changes_schema(CUSTOMER), tmp_path, Layout(part_bytes=100_000))
    line = 2
    for size in (1, 70_000, 0, 65_536, 100, 70_000, 49):
        lines = range(line, line + size)
        table = typed(CUSTOMER, [{"_key": "", "Name": "x"}] * size, line=line)
        writer.write(table.set_column(0, "_key", [[f"{number * 7919 % 1_000_003:x}" for number in lines]]))
        line += size
    parts = writer.close()

    assert len(parts) > 2
    assert [row["_line"] for row in rows(parts)] == list(range(2, line))
    for part in parts:
        found = pq.read_table(part.path)
        assert (part.rows, part.size) == (found.num_rows, part.path.stat().st_size)
        keys = found["_key"].to_pylist()
        assert part.low == min(keys)
        assert part.high == max(keys)


def test_no_rows_make_no_part(tmp_path: Path) -> None:
    writer = PartWriter(changes_schema(CUSTOMER), tmp_path)
    writer.write(pa.Table.from_pylist([], schema=changes_schema(CUSTOMER)))
    assert writer.close() == []


def parts_of(folder: Path, keys: list[list[str]]) -> list[Part]:
    parts: list[Part] = []
    line = 2
    for index, some in enumerate(keys):
        (folder / str(index)).mkdir(parents=True)
        writer = PartWriter(changes_schema(CUSTOMER), folder / str(index))
        writer.write(typed(CUSTOMER, [{"_key": key, "Name": key} for key in some], line=line))
        line += len(some)
        parts += writer.close()
    return parts


@settings(deadline=None, max_examples=examples(30))
@given(keys=st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), min_size=1, max_size=3))
def test_equal_rows_of_a_file_are_numbered_by_line(
    tmp_path_factory: pytest.TempPathFactory, keys: list[list[str]]
) -> None:
    parts = number_repeats(Settings(), parts_of(tmp_path_factory.mktemp("parts"), keys))

    seen: dict[str, int] = {}
    expected = []
    for key in [key for some in keys for key in some]:
        seen[key] = seen.get(key, 0) + 1
        expected.append(key if seen[key] == 1 else f"{key}#{seen[key]}")
    found = rows(parts)
    assert [row["_key"] for row in found] == expected
    assert [row["_line"] for row in found] == list(range(2, 2 + len(expected)))
    for part in parts:
        inside = pq.read_table(part.path)["_key"].to_pylist()
        assert (part.rows, part.low, part.high) == (len(inside), min(inside), max(inside))
        assert part.size == part.path.stat().st_size


def test_parts_without_repeats_are_left_as_they_are(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, [["a", "b"], ["c", "c"]])
    before = (parts[0].path.stat().st_ino, parts[0].path.stat().st_mtime_ns)

    done = number_repeats(Settings(), parts)
    assert done[0] == parts[0]
    assert (parts[0].path.stat().st_ino, parts[0].path.stat().st_mtime_ns) == before
    assert done[1].rows == 2
    assert (done[1].low, done[1].high) == ("c", "c#2")
