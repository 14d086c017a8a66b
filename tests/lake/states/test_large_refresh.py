"""A refresh of more rows than fit into memory is made range by range, and comes out the same."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from shared.engine.workspace import workspace
from shared.lake.container.store import Lake
from shared.lake.files.parts import PartWriter
from shared.lake.files.ranges import ranges
from shared.lake.read.instances import instances
from shared.lake.read.present import present_relation
from shared.lake.schema import changes_schema
from shared.lake.states.refresh import refresh
from shared.lake.states.slot_rows import slot_rows
from shared.lake.upkeep.maintain import maintain
from shared.settings import Settings
from tests.lake.given import INGESTED_AT, changes_of, profile_type
from tests.thorough import only_thorough

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
CUSTOMER = profile_type()
ROWS = 120_000


@pytest.fixture
def small(lake: Lake, settings: Settings) -> Lake:
    """The same lake with the least memory."""
    return Lake(lake._account, settings.model_copy(update={"engine_memory_mb": 64}), container=lake._container)


def bring(lake: Lake, folder: Path, numbers: Sequence[int], *, deleted: bool = False, **fields: pa.Array) -> None:
    """Commits one blob of many rows; the key of number 7 is `k0000049...`, so keys come in no order."""
    schema = changes_schema(CUSTOMER)
    count = len(numbers)
    columns = {
        **{name: pa.nulls(count, schema.field(name).type) for name in schema.names},
        "_key": pa.array([key(number) for number in numbers]),
        "_set": pa.array([",".join(fields)] * count),
        "_deleted": pa.array([deleted] * count),
        "_run": pa.array(["run"] * count),
        "_line": pa.array(range(2, count + 2)),
        "_ingested_at": pa.array([INGESTED_AT] * count, schema.field("_ingested_at").type),
        **fields,
    }
    (folder / uuid.uuid4().hex).mkdir()
    writer = PartWriter(schema, folder)
    writer.write(pa.table(columns, schema=schema))
    changes = changes_of(lake, CUSTOMER)
    changes.commit(changes.upload(writer.close(), "run"), uuid.uuid4().hex, 1)


def key(number: int) -> str:
    return f"k{number * 7919 % 1_000_003:07d}"


@only_thorough
def test_ranges_of_keys_give_every_row_once(small: Lake, tmp_path: Path) -> None:
    numbers = range(ROWS)
    text = pa.array([f"{number:06d}" + "x" * 900 for number in numbers])
    bring(
        small, tmp_path, numbers, CustomerId=pa.array(map(key, numbers)), Name=text, Age=pa.array(numbers, pa.int32())
    )
    evens = numbers[::2]
    bring(small, tmp_path, evens, Age=pa.array([-number for number in evens], pa.int32()))
    bring(small, tmp_path, numbers[::5], deleted=True)
    bring(small, tmp_path, numbers[::10], Age=pa.array([1] * (ROWS // 10), pa.int32()))

    def look() -> tuple[int, int, int, int]:
        with workspace(small.settings) as work:
            relation = present_relation(small, work, CUSTOMER)
            sql = f"SELECT count(*), sum(Age), count(Name), sum(length(Name)) FROM ({relation})"
            return tuple(work.connection.execute(sql).fetchall()[0])

    left = [number for number in numbers if number % 5]
    ages = sum(-number if number % 2 == 0 else number for number in left) + ROWS // 10
    expected = (len(left) + ROWS // 10, ages, len(left), len(left) * 906)
    assert look() == expected
    done = refresh(small, CUSTOMER, NOW)
    assert done.rows == expected[0]
    assert look() == expected

    thirds = numbers[::3]
    bring(small, tmp_path, thirds, Name=pa.array(["new"] * len(thirds)), Age=pa.array([3] * len(thirds), pa.int32()))
    second = refresh(small, CUSTOMER, NOW)
    assert second.rows == len(thirds)
    with slot_rows(small, CUSTOMER, done.to_version, second.to_version, second.table_version, is_first=False) as slot:
        keys = [row[0] for row in slot.connection.execute(f"SELECT _key FROM ({slot.sql})").fetchall()]
    assert keys == sorted(key(number) for number in thirds)
    before = look()
    maintain(small, CUSTOMER, NOW, 21)
    assert look() == before
    page = instances(small, CUSTOMER, None, 3)
    present = {*left, *numbers[::10], *thirds}
    assert [row["ProfileId"] for row in page.rows] == sorted(map(key, present))[:3]


def test_ranges_are_as_many_as_the_memory_asks_for(lake: Lake, small: Lake, tmp_path: Path) -> None:
    writer = PartWriter(pa.schema([("_key", pa.string()), ("text", pa.string())]), tmp_path)
    numbers = range(40_000)
    writer.write(
        pa.table({"_key": [key(number) for number in numbers], "text": [str(number) * 100 for number in numbers]})
    )
    part = writer.close()[0].path
    with workspace(small.settings) as work:
        local = work.folder / "part.parquet"
        local.write_bytes(part.read_bytes())
        keys = f"SELECT _key FROM read_parquet('{local}')"
        found = ranges(work.connection, small.settings, keys, [local])
        counts = [
            work.connection.execute(
                f"SELECT count(*) FROM ({keys}) WHERE (? IS NULL OR _key > ?) AND (? IS NULL OR _key <= ?)",
                [low, low, high, high],
            ).fetchall()[0][0]
            for low, high in found
        ]
        assert ranges(work.connection, lake.settings, keys, [local], ("k05", "k05")) == []
        few = ranges(work.connection, lake.settings, keys, [local], ("k0500000", "k0500100"))
    assert len(found) >= 3
    assert (found[0][0], found[-1][1]) == (None, None)
    assert [high for _, high in found[:-1]] == [low for low, _ in found[1:]]
    assert sum(counts) == len(numbers)
    assert max(counts) < 1.3 * len(numbers) / len(found)
    assert few == [("k0500000", "k0500100")]
