"""Interactions: the last row of a key counts, however files were committed and merged."""

from pathlib import Path
from typing import Any

import pytest

from shared.engine.workspace import workspace
from shared.lake.container.store import Lake
from shared.lake.log.tables import open_snapshot
from shared.lake.read.instances import instance, instances
from shared.lake.read.present import present_relation
from shared.lake.upkeep.maintain import maintain
from tests.lake.given import INGESTED_AT, changes_of, ingest, interaction_type, profile_type

VISIT = interaction_type()


def visits(lake: Lake) -> dict[str, Any]:
    return {row["CustomerId"]: row["Age"] for row in instances(lake, VISIT).rows}


def visit(key: str, **fields: Any) -> dict[str, Any]:
    return {"_key": key, "CustomerId": key, **fields}


def test_the_last_row_of_a_key_counts_before_and_after_upkeep(lake: Lake, tmp_path: Path) -> None:
    for age in range(12):
        ingest(lake, VISIT, [visit("a", Age=age), visit("a", Age=100 + age), visit(f"k{age:02d}", Age=age)], tmp_path)
    ingest(lake, VISIT, [visit("k00"), {"_key": "k01", "_deleted": True}], tmp_path)
    expected = {"a": 111, "k00": None, **{f"k{age:02d}": age for age in range(2, 12)}}

    assert visits(lake) == expected
    maintain(lake, VISIT, INGESTED_AT, 21)
    snapshot = open_snapshot(lake, changes_of(lake, VISIT).table)
    assert snapshot is not None
    assert len(snapshot.files) == 1
    assert visits(lake) == expected
    assert instance(lake, VISIT, "k01") is None

    for age in range(12):
        ingest(lake, VISIT, [visit("a", Age=-age)], tmp_path)
    assert visits(lake) == {**expected, "a": -11}
    maintain(lake, VISIT, INGESTED_AT, 21)
    assert visits(lake) == {**expected, "a": -11}


def test_a_new_field_is_null_in_old_rows(lake: Lake, tmp_path: Path) -> None:
    newer = interaction_type({"fieldName": "Score", "fieldType": "Edm.Double"})
    ingest(lake, VISIT, [visit("a", Age=1)], tmp_path)
    assert [row["Score"] for row in instances(lake, newer).rows] == [None]
    ingest(lake, newer, [visit("b", Score=0.5)], tmp_path)
    assert [row["Score"] for row in instances(lake, newer).rows] == [None, 0.5]
    assert "Score" not in instances(lake, VISIT).rows[0]


def test_pages_follow_the_keys(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, VISIT, [visit(f"k{index}", Age=index) for index in range(7)], tmp_path)
    first = instances(lake, VISIT, None, 4)
    second = instances(lake, VISIT, None, 4, first.next_key)

    assert [row["Age"] for row in first.rows + second.rows] == list(range(7))
    assert second.next_key is None


@pytest.mark.parametrize("entity_type", [VISIT, profile_type()], ids=["interactions", "profiles"])
def test_the_relation_of_present_rows_has_fields_and_stamps(lake: Lake, tmp_path: Path, entity_type: Any) -> None:
    with workspace(lake.settings) as work:
        relation = present_relation(lake, work, entity_type)
        assert work.connection.execute(f"SELECT count(*) FROM ({relation})").fetchone() == (0,)
    ingest(lake, entity_type, [visit("a", Age=1), visit("a", Age=2), visit("b", Tags=["x"])], tmp_path)
    with workspace(lake.settings) as work:
        relation = present_relation(lake, work, entity_type)
        found = work.connection.execute(f"SELECT * FROM ({relation}) ORDER BY _key")
        names = [column[0] for column in found.description or []]
        rows = found.fetchall()
    assert names[:7] == ["_key", "CustomerId", "Name", "Age", "Spend", "Tags", "SeenAt"]
    assert [row[3] for row in rows] == [2, None]
    if entity_type is VISIT:
        assert names[7:] == ["_ingested_at", "_line"]
        assert [row[8] for row in rows] == [3, 4]
    else:
        assert names[7:] == ["System_ProcessingTime"]
