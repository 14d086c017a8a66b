"""`changes`: appended exactly once, whatever races and whatever repeats."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import obstore
import pytest

from shared.domain.errors import ClaimLostError, ConflictError, FatalError, SkippedError, SupersededError
from shared.lake.changes.append import Changes
from shared.lake.container.store import Lake
from shared.lake.log.commits import read_commits
from shared.lake.log.tables import open_snapshot
from shared.lake.read.instances import instances
from shared.lake.upkeep.delete_tables import delete_tables
from tests.lake.given import changes_of, ingest, interaction_type, profile_type, version_of, written


def rows_in(lake: Lake, changes: Changes) -> int:
    snapshot = open_snapshot(lake, changes.table)
    return 0 if snapshot is None else sum(file.rows for file in snapshot.files)


def another_process(lake: Lake) -> Lake:
    """The same lake without what this process shares between its threads."""
    return Lake(lake._account, lake.settings, lake._container)


def test_a_version_is_committed_once(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    changes = changes_of(lake, customer)
    assert changes.committed_by("blob") is None

    assert ingest(lake, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "blob", 1)
    assert not ingest(lake, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "blob", 1)

    assert changes.committed_by("blob") == 1
    assert changes.committed_by("other") is None
    assert rows_in(lake, changes) == 1


def test_a_table_made_anew_takes_what_comes_after(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    ingest(lake, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "first", 1)
    ingest(lake, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "second", 1)
    delete_tables(lake, [customer.lake_path])
    # Another process makes it anew, and this one still knows the old one.
    other = another_process(lake)
    ingest(other, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "third", 1)

    assert ingest(lake, customer, [{"_key": "b", "Name": "Ada"}], tmp_path, "fourth", 1)
    assert rows_in(lake, changes_of(lake, customer)) == 2


def test_rows_of_a_table_that_went_do_not_come_into_the_next_one(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    changes = changes_of(lake, customer)
    ingest(lake, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "first", 1)
    late = changes.upload(written(customer, [{"_key": "b", "Name": "Late"}], tmp_path), "late")
    delete_tables(lake, [customer.lake_path])
    ingest(lake, customer, [{"_key": "c", "Name": "New"}], tmp_path, "second", 1)

    with pytest.raises(SkippedError):
        changes.commit(late, "late", 1)
    assert rows_in(lake, changes) == 1


def test_a_field_that_the_type_gains_becomes_a_column(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    ingest(lake, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "first", 1)
    ingest(lake, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "second", 1)
    wider = profile_type({"fieldName": "Extra", "fieldType": "Edm.Int64"})

    assert ingest(lake, wider, [{"_key": "b", "Name": "Ada", "Extra": 1}], tmp_path, "third", 1)
    snapshot = open_snapshot(lake, changes_of(lake, customer).table)
    assert snapshot is not None
    assert "extra" in snapshot.columns


def test_a_newer_version_stops_an_older_one(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    ingest(lake, customer, [{"_key": "a", "Name": "new"}], tmp_path, "blob", 2)

    with pytest.raises(SupersededError):
        ingest(lake, customer, [{"_key": "a", "Name": "old"}], tmp_path, "blob", 1)

    assert rows_in(lake, changes_of(lake, customer)) == 1


def test_what_another_process_commits_in_between_counts(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    wider = profile_type({"fieldName": "Extra", "fieldType": "Edm.Int64"})
    other = another_process(lake)
    for number in (1, 2):  # the second reads on from the first
        assert ingest(lake, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "ours", number)
    # More than one checkpoint, and a column.
    for number in range(1, 24):
        assert ingest(other, wider, [{"_key": f"{number}", "Extra": number}], tmp_path, "theirs", number)
    assert ingest(other, wider, [{"_key": "a"}], tmp_path, "ours", 3)

    assert not ingest(lake, customer, [{"_key": "23"}], tmp_path, "theirs", 23)
    for blob, number in (("ours", 2), ("theirs", 22)):
        with pytest.raises(SupersededError):
            ingest(lake, customer, [{"_key": "a", "Name": "old"}], tmp_path, blob, number)
    assert ingest(lake, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "ours", 4)
    snapshot = open_snapshot(lake, changes_of(lake, customer).table)
    assert snapshot is not None
    assert "extra" in snapshot.columns
    assert sum(file.rows for file in snapshot.files) == 27
    orders = [file.order for file in snapshot.files]
    assert len(set(orders)) == 27
    assert snapshot.last_order == max(orders)


def test_an_empty_table_has_no_last_order(lake: Lake) -> None:
    changes = changes_of(lake, profile_type())
    changes.upload([], "nothing")
    snapshot = open_snapshot(lake, changes.table)
    assert snapshot is not None
    assert (snapshot.last_order, snapshot.files) == (0, [])


def test_what_was_committed_is_known_when_a_later_version_is_in(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    changes = changes_of(lake, customer)
    for number in (1, 2):
        ready = changes.upload(written(customer, [{"_key": "a", "Age": number}], tmp_path), f"run{number}")
        assert changes.commit(ready, "blob", number, number + 4, f"once{number}")
    assert [changes.committed_by(f"once{number}") for number in (1, 2, 3)] == [5, 6, None]


def test_what_is_closed_lets_no_earlier_attempt_in(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    changes = changes_of(lake, customer)
    assert changes.fence("blob", 1, 1, "once") is None, "there is no table yet"
    ready = changes.upload(written(customer, [{"_key": "a", "Age": 1}], tmp_path), "run")
    assert changes.fence("blob", 1, 2, "once") is None
    assert changes.fence("blob", 1, 1, "once") is None
    for attempt in (1, 2):
        with pytest.raises(ClaimLostError):
            changes.commit(ready, "blob", 1, attempt, "once")
    assert rows_in(lake, changes) == 0
    assert changes.commit(ready, "blob", 1, 3, "once")
    assert changes.fence("blob", 1, 4, "once") == 3
    assert not changes.commit(ready, "blob", 1, 5, "once")
    newer = changes.upload(written(customer, [{"_key": "a", "Age": 2}], tmp_path), "newer")
    assert changes.commit(newer, "blob", 2, 1, "newer")
    assert changes.fence("blob", 1, 6, "once") == 3, "whatever comes later"
    with pytest.raises(SupersededError):
        changes.commit(ready, "blob", 1, 7, "once")
    assert rows_in(lake, changes) == 2


@pytest.mark.parametrize("processes", ["one", "many"])
@pytest.mark.parametrize("blob", ["first", "second", "third", "fourth"])
def test_a_racing_commit_and_close_agree(lake: Lake, tmp_path: Path, processes: str, blob: str) -> None:
    customer = profile_type()
    other = another_process(lake) if processes == "many" else lake
    changes, start = changes_of(lake, customer), threading.Barrier(2)
    ready = changes.upload(written(customer, [{"_key": blob}], tmp_path), blob)

    def commit() -> bool:
        start.wait()
        try:
            return changes.commit(ready, blob, 1, 1)
        except ClaimLostError:
            return False

    def close() -> int | None:
        start.wait()
        return changes_of(other, customer).fence(blob, 1, 2)

    with ThreadPoolExecutor(2) as pool:
        committed, closed = pool.submit(commit), pool.submit(close)
        assert committed.result() == (closed.result() == 1)
    assert rows_in(lake, changes) == committed.result()


def test_racing_attempts_at_one_version_commit_it_once(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    start = threading.Barrier(6)

    def attempt(_: int) -> bool:
        process = another_process(lake)
        start.wait()
        return ingest(process, customer, [{"_key": "a", "Name": "Ada"}], tmp_path, "blob", 1)

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(attempt, range(6)))

    assert outcomes.count(True) == 1
    assert rows_in(lake, changes_of(lake, customer)) == 1


@pytest.mark.parametrize("processes", ["one", "many"])
def test_racing_blobs_all_land_in_a_table_that_none_had_made(lake: Lake, tmp_path: Path, processes: str) -> None:
    customer = profile_type()
    start = threading.Barrier(6)

    def attempt(index: int) -> bool:
        process = lake if processes == "one" else another_process(lake)
        start.wait()
        return ingest(process, customer, [{"_key": f"{index}", "Name": "Ada"}], tmp_path)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(attempt, range(6)))

    snapshot = open_snapshot(lake, changes_of(lake, customer).table)
    assert snapshot is not None
    assert sum(file.rows for file in snapshot.files) == 6
    if processes == "one":
        assert len({file.order for file in snapshot.files}) == 6
    assert len({(file.order, file.path) for file in snapshot.files}) == 6
    assert read_commits(lake, snapshot.table, -1, 0)[0].added == []


def test_racing_writers_with_newer_and_older_types_lose_no_column(lake: Lake, tmp_path: Path) -> None:
    types = [profile_type({"fieldName": f"More{index}", "fieldType": "Edm.Int64"}) for index in range(4)]
    types += [profile_type()] * 2
    start = threading.Barrier(6)

    def attempt(index: int) -> bool:
        process = another_process(lake)
        start.wait()
        return ingest(process, types[index], [{"_key": f"{index}", "Name": "Ada"}], tmp_path)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(attempt, range(6)))

    snapshot = open_snapshot(lake, changes_of(lake, types[0]).table)
    assert snapshot is not None
    assert {"more0", "more1", "more2", "more3", "name"} <= snapshot.columns.keys()
    assert sum(file.rows for file in snapshot.files) == 6


def test_blobs_that_are_ready_together_share_commits(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    ingest(lake, customer, [{"_key": "first"}], tmp_path)
    changes = changes_of(lake, customer)
    brought = [(f"blob{index % 20}", index // 20) for index in range(40)]
    ready = [
        changes.upload(written(customer, [{"_key": blob, "Age": number}], tmp_path), blob) for blob, number in brought
    ]
    start = threading.Barrier(40)

    def attempt(index: int) -> bool | type[Exception]:
        start.wait()
        blob, number = brought[index]
        try:
            return changes.commit(ready[index], blob, number + 1)
        except SupersededError as error:
            return type(error)

    with ThreadPoolExecutor(40) as pool:
        outcomes = list(pool.map(attempt, range(40)))

    assert outcomes[20:] == [True] * 20
    committed = outcomes.count(True)
    assert committed + outcomes.count(SupersededError) == 40
    newest = open_snapshot(lake, changes.table)
    assert newest is not None
    kept = newest.transactions([blob for blob, _ in brought])
    assert {version_of(transaction) for transaction in kept.values()} == {2}
    assert rows_in(lake, changes) == committed + 1
    snapshot = open_snapshot(lake, changes.table)
    assert snapshot is not None
    assert snapshot.version < 15
    found = {row["ProfileId"]: row["Age"] for row in instances(lake, customer, None, 100).rows}
    assert found == {"first": None, **{f"blob{index}": 1 for index in range(20)}}


def test_an_error_of_a_shared_commit_reaches_everyone(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    ingest(lake, customer, [{"_key": "first"}], tmp_path)
    changes = changes_of(lake, customer)
    ready = changes.upload(written(customer, [{"_key": "a"}], tmp_path), "run")
    obstore.put(lake.store, f"{changes.table}/_delta_log/{2:020d}.json", b"garbage\n")

    with ThreadPoolExecutor(4) as pool:
        tried = [pool.submit(changes.commit, ready, f"blob{index}", 1) for index in range(4)]
    assert [type(one.exception()) for one in tried] == [FatalError] * 4


def test_a_field_that_changed_its_type_is_refused(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, profile_type({"fieldName": "Score", "fieldType": "Edm.Int64"}), [{"_key": "a", "Score": 1}], tmp_path)

    with pytest.raises(ConflictError, match="Score"):
        ingest(lake, profile_type({"fieldName": "Score", "fieldType": "Edm.String"}), [{"_key": "a"}], tmp_path)


def test_a_new_spelling_of_a_field_is_the_same_column(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, profile_type({"fieldName": "Score", "fieldType": "Edm.Int64"}), [{"_key": "a", "Score": 1}], tmp_path)
    ingest(lake, profile_type({"fieldName": "SCORE", "fieldType": "Edm.Int64"}), [{"_key": "b", "SCORE": 2}], tmp_path)

    assert rows_in(lake, changes_of(lake, profile_type())) == 2


def test_files_lie_where_the_documents_say(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, profile_type(), [{"_key": "a"}], tmp_path)
    ingest(lake, interaction_type(), [{"_key": "a"}], tmp_path)

    tables = {blob["path"].split("/_delta_log")[0] for blobs in obstore.list(lake.store) for blob in blobs}
    assert {"contoso/profiles/customer/changes", "contoso/interactions/visit/changes"} <= tables


def test_uploads_of_two_attempts_do_not_overwrite_each_other(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    changes = changes_of(lake, customer)
    first = changes.upload(written(customer, [{"_key": "a"}], tmp_path), "run")
    second = changes.upload(written(customer, [{"_key": "a"}], tmp_path), "run")

    assert {part.path for part in first}.isdisjoint(part.path for part in second)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("_delta_log/00000000000000000000.json", b"garbage\n"),
        ("_delta_log/00000000000000000004.json", b'{"commitInfo":{}}\n'),
        ("part-00000.parquet", b"PAR1"),
    ],
)
def test_a_table_that_is_damaged_or_foreign_is_never_taken_for_an_empty_one(
    lake: Lake, tmp_path: Path, path: str, content: bytes
) -> None:
    customer = profile_type()
    changes = changes_of(lake, customer)
    obstore.put(lake.store, f"{changes.table}/{path}", content)

    with pytest.raises(FatalError, match=changes.table):
        changes.upload(written(customer, [{"_key": "a"}], tmp_path), "run")

    assert [blob["path"] for blobs in obstore.list(lake.store) for blob in blobs] == [f"{changes.table}/{path}"]


def test_other_readers_find_the_rows(lake: Lake, tmp_path: Path) -> None:
    customer = profile_type()
    ingest(lake, customer, [{"_key": "a", "Name": "Ada", "Age": None, "Tags": ["x", None]}], tmp_path)

    handle = lake.open(changes_of(lake, customer).table)
    assert handle is not None
    with duckdb.connect() as connection:
        connection.register("changes", handle.to_pyarrow_table())
        found = connection.sql("SELECT _key, Name, Age, Tags, _set, _deleted, _line FROM changes").fetchall()
    assert found == [("a", "Ada", None, ["x", None], "Name,Age,Tags", False, 2)]
