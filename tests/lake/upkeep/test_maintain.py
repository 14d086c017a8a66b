"""Upkeep: less files, the same rows; and tables that go with their definition."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest

from shared.domain.errors import CommitConflictError, SkippedError
from shared.lake.container.store import Lake
from shared.lake.log.actions import commit
from shared.lake.log.tables import Snapshot, open_snapshot
from shared.lake.paths import states_path
from shared.lake.read.instances import instances
from shared.lake.states.refresh import refresh
from shared.lake.states.slot_rows import slot_rows
from shared.lake.states.state_rows import layers
from shared.lake.upkeep.compact import compact
from shared.lake.upkeep.delete_tables import delete_tables, remaining
from shared.lake.upkeep.maintain import maintain
from shared.lake.upkeep.rebase import expire_slots
from tests.lake.given import changes_of, ingest, interaction_type, profile_type, version_of, written

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
CUSTOMER = profile_type()


def person(key: str, **fields: Any) -> dict[str, Any]:
    return {"_key": key, "CustomerId": key, **fields}


def snapshot(lake: Lake, table: str) -> Snapshot:
    found = open_snapshot(lake, table)
    assert found is not None
    return found


def kinds(lake: Lake) -> list[str]:
    return sorted(file.kind or "" for file in snapshot(lake, states_path(CUSTOMER)).files)


def test_refreshes_fold_into_the_base_and_expire_later(lake: Lake, tmp_path: Path) -> None:
    for age in range(4):
        ingest(lake, CUSTOMER, [person("a", Age=age), person(f"b{age}")], tmp_path)
        last = refresh(lake, CUSTOMER, NOW)
    ingest(lake, CUSTOMER, [{"_key": "b0", "_deleted": True}], tmp_path)
    expected = instances(lake, CUSTOMER).rows
    assert [row["CustomerId"] for row in expected] == ["a", "b1", "b2", "b3"]

    maintain(lake, CUSTOMER, NOW, 21)
    assert kinds(lake) == ["base", "slot", "slot", "slot", "slot", "slot"]
    present = layers(snapshot(lake, states_path(CUSTOMER)))
    assert ([file.kind for file in present.bottom], present.above) == (["base"], [])
    assert sum(file.rows for file in present.bottom) == len(expected)
    assert instances(lake, CUSTOMER).rows == expected
    maintain(lake, CUSTOMER, NOW + timedelta(days=27), 21)
    assert len(kinds(lake)) == 6
    with slot_rows(lake, CUSTOMER, 2, last.to_version, last.table_version, is_first=False) as slot:
        before = slot.connection.execute(slot.sql).fetchall()
    maintain(lake, CUSTOMER, NOW + timedelta(days=29), 21)
    assert kinds(lake) == ["base"]
    assert instances(lake, CUSTOMER).rows == expected
    with slot_rows(lake, CUSTOMER, 2, last.to_version, last.table_version, is_first=False) as slot:
        assert slot.connection.execute(slot.sql).fetchall() == before


def test_a_refresh_that_nothing_followed_is_folded_in_the_end(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a")], tmp_path)
    maintain(lake, CUSTOMER, NOW, 21)
    assert kinds(lake) == ["slot"]
    maintain(lake, CUSTOMER, NOW + timedelta(days=8), 21)
    assert kinds(lake) == ["base", "slot"]


def test_small_files_of_changes_are_merged_and_the_ids_of_blobs_kept(lake: Lake, tmp_path: Path) -> None:
    for age in range(10):
        ingest(lake, CUSTOMER, [person("a", Age=age)], tmp_path, blob=f"blob{age}", number=3)
    changes = changes_of(lake, CUSTOMER)
    maintain(lake, CUSTOMER, NOW, 21)

    files = snapshot(lake, changes.table).files
    assert [file.rows for file in files] == [10]
    kept = snapshot(lake, changes.table).transactions([f"blob{age}" for age in range(10)])
    assert {version_of(transaction) for transaction in kept.values()} == {3}
    assert refresh(lake, CUSTOMER, NOW).rows == 0
    assert [row["Age"] for row in instances(lake, CUSTOMER).rows] == [9]


def test_mergers_at_once_double_nothing(lake: Lake, tmp_path: Path) -> None:
    table = changes_of(lake, CUSTOMER).table
    for round_ in range(3):
        for age in range(9):
            ingest(lake, CUSTOMER, [person("a", Age=age)], tmp_path)
        start = threading.Barrier(4)

        def attempt(_: int, start: threading.Barrier = start) -> int:
            start.wait()
            return compact(lake, table, lambda _: True)

        with ThreadPoolExecutor(4) as pool:
            merged = list(pool.map(attempt, range(4)))
        assert sorted(merged)[:3] == [0, 0, 0]
        assert sum(file.rows for file in snapshot(lake, table).files) == 9 * (round_ + 1)


def test_a_refresh_that_is_not_folded_never_expires(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a")], tmp_path)
    refresh(lake, CUSTOMER, NOW)
    assert expire_slots(lake, states_path(CUSTOMER), NOW + timedelta(days=99), timedelta(days=1)) == 0
    assert len(instances(lake, CUSTOMER).rows) == 1


def test_upkeep_beside_writers_and_refreshes_loses_and_doubles_nothing(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a", Age=-1)], tmp_path)
    is_done = threading.Event()
    refreshed: list[int] = []

    def write(worker: int) -> None:
        for index in range(12):
            ingest(lake, CUSTOMER, [person(f"{worker}-{index}", Age=index), person("a", Age=index)], tmp_path)

    def keep_refreshing() -> None:
        while not is_done.is_set():
            refreshed.append(refresh(lake, CUSTOMER, NOW).rows)

    def keep_up() -> None:
        while not is_done.is_set():
            maintain(lake, CUSTOMER, NOW, 21)

    with ThreadPoolExecutor(6) as pool:
        others = [pool.submit(keep_refreshing), pool.submit(keep_up), pool.submit(keep_up)]
        writers = [pool.submit(write, worker) for worker in range(3)]
        try:
            for writer in writers:
                writer.result()
        finally:
            is_done.set()
        for other in others:
            other.result()

    refresh(lake, CUSTOMER, NOW)
    found = {row["CustomerId"]: row["Age"] for row in instances(lake, CUSTOMER, None, 100).rows}
    assert found == {"a": 11, **{f"{worker}-{index}": index for worker in range(3) for index in range(12)}}
    states = snapshot(lake, states_path(CUSTOMER))
    slots = [file for file in states.files if file.kind == "slot"]
    assert sum(file.rows for file in slots) >= 37
    assert sum(file.rows for file in snapshot(lake, changes_of(lake, CUSTOMER).table).files) == 73


def test_the_log_keeps_what_exports_need(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a")], tmp_path)
    refresh(lake, CUSTOMER, NOW)
    for table in (changes_of(lake, CUSTOMER).table, states_path(CUSTOMER)):
        configuration = snapshot(lake, table).handle.metadata().configuration
        assert configuration["delta.checkpointInterval"] == "10"
        assert configuration["delta.logRetentionDuration"] == "interval 29 days"
        assert configuration["delta.deletedFileRetentionDuration"] == "interval 29 days"
    # The watermarks of refreshes and rebases must outlive every retention.
    assert "delta.setTransactionRetentionDuration" not in configuration


def test_a_new_retention_reaches_tables_that_are_there(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a")], tmp_path)
    longer = Lake(
        lake._account, lake.settings.model_copy(update={"export_retention_days": 60}), container=lake._container
    )
    ingest(longer, CUSTOMER, [person("b")], tmp_path)
    table = snapshot(lake, changes_of(lake, CUSTOMER).table)
    assert table.handle.metadata().configuration["delta.deletedFileRetentionDuration"] == "interval 68 days"
    assert refresh(lake, CUSTOMER, NOW).rows == 2


def test_files_that_no_commit_names_are_left_for_whoever_is_about_to_commit_them(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a")], tmp_path)
    table = changes_of(lake, CUSTOMER).table
    obstore.put(lake.store, f"{table}/run-attempt-00000.parquet", b"soon")
    maintain(lake, CUSTOMER, NOW, 21)
    assert obstore.head(lake.store, f"{table}/run-attempt-00000.parquet")["size"] == 4


def test_tables_go_with_their_definition(lake: Lake, tmp_path: Path) -> None:
    other = profile_type(name="Customer2")
    later = CUSTOMER.model_copy(update={"lake_path": f"{CUSTOMER.lake_path}-0123456789ab"})
    for entity_type in (CUSTOMER, other, later, interaction_type()):
        ingest(lake, entity_type, [person("a")], tmp_path)
    refresh(lake, CUSTOMER, NOW)
    obstore.put(lake.store, "contoso/kpis/buyers/x.parquet", b"x")
    gone = ["contoso/kpis/buyers", "contoso/kpis/other", CUSTOMER.lake_path, "fabrikam/profiles/customer"]

    assert remaining(lake, gone) == [gone[0], gone[2]]
    for _ in range(2):
        delete_tables(lake, gone)

    assert remaining(lake, gone) == []
    assert instances(lake, CUSTOMER).rows == []
    assert len(instances(lake, other).rows) == len(instances(lake, later).rows) == 1
    tables = {blob["path"].split("/")[2] for blobs in obstore.list(lake.store) for blob in blobs}
    assert tables == {"customer2", "customer-0123456789ab", "visit"}


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_commit_that_outlives_its_table_is_skipped(lake: Lake, tmp_path: Path, comes_back: bool) -> None:
    changes = changes_of(lake, CUSTOMER)
    ready = changes.upload(written(CUSTOMER, [person("a")], tmp_path), "run")
    delete_tables(lake, [CUSTOMER.lake_path])
    if comes_back:
        ingest(lake, CUSTOMER, [person("b")], tmp_path)

    with pytest.raises(SkippedError, match="EntityTypeGone"):
        changes.commit(ready, "blob", 1)
    assert [row["ProfileId"] for row in instances(lake, CUSTOMER).rows] == (["b"] if comes_back else [])


@pytest.mark.parametrize("comes_back", [False, True])
def test_nothing_is_committed_for_a_table_that_went(lake: Lake, tmp_path: Path, comes_back: bool) -> None:
    """The library would write an entry that no log precedes, or take the next table for the one that it knows."""
    table = changes_of(lake, CUSTOMER).table
    ingest(lake, CUSTOMER, [person("a")], tmp_path)
    known = snapshot(lake, table)
    commit(lake, known, [], {"somebody": 1})
    delete_tables(lake, [CUSTOMER.lake_path])
    if comes_back:
        ingest(lake, CUSTOMER, [person("b")], tmp_path)

    with pytest.raises(CommitConflictError, match="TableGone"):
        commit(lake, known, [], {"somebody": 2})
    if comes_back:
        assert snapshot(lake, table).transaction("somebody") is None
    else:
        assert remaining(lake, [CUSTOMER.lake_path]) == []
