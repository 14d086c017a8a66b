"""Types of more fields than the 32 columns whose bounds a Delta table looks at unless it is told otherwise."""

from datetime import UTC, datetime
from pathlib import Path

from shared.lake.container.store import Lake
from shared.lake.paths import states_path
from shared.lake.read.instances import instances
from shared.lake.states.refresh import refresh
from shared.lake.states.slot_rows import changed_rows, slot_rows
from tests.lake.given import ingest, profile_type

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
NAMES = [f"Field{number}" for number in range(60)]
WIDE = profile_type(*({"fieldName": name, "fieldType": "Edm.String"} for name in NAMES))


def test_types_of_many_fields_are_merged_and_exported(lake: Lake, tmp_path: Path) -> None:
    expected = {}
    for name in ("Field0", "Field59"):
        ingest(lake, WIDE, [{"_key": "k", name: "text"}], tmp_path)
        done = refresh(lake, WIDE, NOW)
        expected[name] = "text"
        (found,) = instances(lake, WIDE).rows
        assert {key: value for key, value in found.items() if key in NAMES and value} == expected
        slot = (done.from_version, done.to_version, done.table_version)
        assert changed_rows(lake, WIDE, *slot) == 1
        with slot_rows(lake, WIDE, *slot, is_first=False) as rows:
            assert rows.connection.execute(f"SELECT Field0 FROM ({rows.sql})").fetchall() == [("text",)]
        as_of_an_earlier_release(lake)


def as_of_an_earlier_release(lake: Lake) -> None:
    """The table says no more which bounds count, and its log is a checkpoint."""
    handle = lake.open(states_path(WIDE))
    assert handle is not None
    handle.alter.set_table_properties({"delta.dataSkippingStatsColumns": ""})
    handle.create_checkpoint()
