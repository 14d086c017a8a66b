"""How large rows are: noted in the files that we write, measured once in others, and only large ones wait in line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.domain.documents.entity_types import EntityType
from shared.engine.workspace import workspace
from shared.expressions.odata_filter import MOST_CELLS, condition
from shared.lake.container.store import Lake
from shared.lake.files import widest
from shared.lake.files.parts import PartWriter
from shared.lake.files.row_sizes import NARROW_BYTES, VALUE_BYTES, row_bytes
from shared.lake.files.widest import widest_in, widest_merged
from shared.lake.read import large_row_permits
from shared.lake.read.instances import instances
from shared.permits import Permits
from shared.settings import Settings
from tests.lake.given import changes_of, interaction_type, profile_type, written

TABLES: dict[str, dict[str, Any]] = {
    "texts": {"a": pa.array(["x", None, "ü" * 10]), "n": pa.array([1, 2, 3])},
    "long cells in several rows": {"a": pa.array(["x" * 99, "", None]), "b": pa.array(["", "x" * 98, None])},
    "lists of texts": {"a": pa.array([["xx", "y"], None, [], ["z" * 50, None]])},
    "one item very often": {"a": pa.array([["x"] * 5000, ["y"], []])},
    "a slice": {"a": pa.array([["x" * 99], ["y"], ["z", "zz"]]).slice(1)},
    "a slice of texts": {"a": pa.array(["x" * 99, "y", None, "zz"]).slice(1)},
    "several pieces": {"a": pa.chunked_array([["x"], [], ["y" * 99, None]]), "b": pa.array(["", "z" * 50, "z"])},
    "empty lists": {"a": pa.array([[], None], pa.list_(pa.string()))},
    "lists of numbers": {"a": pa.array([[1, 2, 3], [], None], pa.list_(pa.int64()))},
    "nothing but null": {"a": pa.array([None, None], pa.string())},
}


def without_note(part: Path) -> Path:
    """The file as an earlier release wrote it."""
    rows = pq.read_table(part).replace_schema_metadata()
    pq.write_table(rows, part, compression="zstd", use_dictionary=["_set", "_run"])
    assert widest.WIDEST_ROW.encode() not in (pq.read_metadata(part).metadata or {})
    return part


@pytest.mark.parametrize("is_noted", [True, False])
@pytest.mark.parametrize("columns", TABLES.values(), ids=TABLES)
def test_the_size_of_the_widest_row_is_known(tmp_path: Path, columns: dict[str, Any], is_noted: bool) -> None:
    rows = len(next(iter(columns.values())))
    table = pa.table({"_key": pa.array([f"k{n}" for n in range(rows)], pa.string()), **columns})
    writer = PartWriter(table.schema, tmp_path)
    writer.write(table)
    (part,) = (part.path for part in writer.close())
    with workspace(Settings()) as work:
        work.connection.register("rows_given", table)
        sizes = work.connection.execute(f"SELECT {row_bytes(table.schema)} FROM rows_given").fetchall()
    found = widest_in([part if is_noted else without_note(part)])
    exact = max(size for (size,) in sizes)
    assert found.row == exact or exact < found.row <= NARROW_BYTES
    assert found.cell <= found.row - 16 * len(table.column_names)


def test_a_file_is_measured_once_whatever_it_is_called(tmp_path: Path) -> None:
    part = without_note(written(CUSTOMER, [{"_key": "measured-once", "Name": "x" * 77}], tmp_path)[0].path)
    before = widest._measured.cache_info().misses
    for name in "abc":
        link = tmp_path / name
        link.hardlink_to(part)
        assert widest_in([link, link]).cell == 77
    assert widest._measured.cache_info().misses == before + 1


@pytest.mark.parametrize("size", [NARROW_BYTES, 4 * 1024**2])
def test_wide_rows_are_found_in_a_file_that_says_nothing(tmp_path: Path, size: int) -> None:
    few = [{"_key": f"k{n}", "Name": "x" * size if n == 7 else "x"} for n in range(20_000 if size < 10**6 else 9)]
    part = without_note(written(CUSTOMER, few, tmp_path)[0].path)
    assert widest.may_be_wide([part])


def test_a_merged_row_has_one_change_of_each_set_of_columns(tmp_path: Path) -> None:
    long, short = {"_key": "k", "Name": "x" * 9000}, {"_key": "k", "Name": "x" * 8000}
    tags = {"_key": "k", "Tags": ["y" * 9000]}
    several, again, other = (written(CUSTOMER, rows, tmp_path)[0].path for rows in ([long, short], [long], [tags]))
    both = written(CUSTOMER, [short, tags], tmp_path)[0].path

    assert 9000 < widest_merged([several, again], []).row < 10_000 + VALUE_BYTES * len(MANY)
    assert 18_000 < widest_merged([several, other], []).row < 19_000 + VALUE_BYTES * len(MANY)
    assert 18_000 < widest_merged([again], [other]).row < 19_000 + VALUE_BYTES * len(MANY)
    assert not widest_merged([both], []).is_narrow
    assert widest_merged([], []).row == 0


MANY = [{"fieldName": f"Field{number}", "fieldType": "Edm.String"} for number in range(80)]
CUSTOMER, VISIT = profile_type(*MANY), interaction_type(*MANY)
FILTERS = {
    "none": None,
    "one text": "contains(tolower(Field3), 'c')",
    "the most texts": " or ".join(f"startswith(tolower(Field{number}), 'c')" for number in range(MOST_CELLS)),
}


@pytest.mark.parametrize("is_noted", [True, False])
@pytest.mark.parametrize("where", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("entity_type", [CUSTOMER, VISIT], ids=["profiles", "interactions"])
def test_ordinary_rows_never_wait_in_line(
    lake: Lake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entity_type: EntityType,
    where: str | None,
    is_noted: bool,
) -> None:
    """Eighty fields of 12 characters, and one note of 200 in each column, every time of another row."""
    rows = [
        {"_key": f"k{n:02d}", **{f"Field{f}": "c" * (200 if n == f else 12) for f in range(len(MANY))}}
        for n in range(len(MANY))
    ]
    parts = written(entity_type, rows, tmp_path)
    if not is_noted:
        parts = [replace(part, size=without_note(part.path).stat().st_size) for part in parts]
    changes = changes_of(lake, entity_type)
    changes.commit(changes.upload(parts, "run"), "blob", 1)

    monkeypatch.setattr(large_row_permits, "_LARGE_ROWS", Permits(most_of_one=0, most=0, within_s=0))
    page = instances(lake, entity_type, condition(where, entity_type) if where else None, 1000)
    assert len(page.rows) == len(rows)
