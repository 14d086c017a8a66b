"""Refreshing and reading back, against a dictionary: whatever is committed, refreshed, exported and maintained."""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.errors import FatalError
from shared.expressions.odata_filter import condition
from shared.lake.container.store import Lake
from shared.lake.read.instances import instance, instances
from shared.lake.states.refresh import Refresh, refresh
from shared.lake.states.slot_rows import changed_rows, slot_rows
from shared.lake.upkeep.maintain import maintain
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from tests.lake.given import changes_of, ingest, profile_type
from tests.lake.oracle import EMPTY, Oracle, Row
from tests.thorough import long_examples

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
CUSTOMER = profile_type()
KEYS = "abcd"

VALUES = {
    "Name": st.sampled_from(["Ada", "Bo", "", None]),
    "Age": st.sampled_from([1, 2, None]),
    "Tags": st.sampled_from([["x"], ["x", "y"], [], None]),
}
CHANGES = st.fixed_dictionaries({"_key": st.sampled_from(KEYS)}, optional=VALUES)
DELETIONS = st.fixed_dictionaries({"_key": st.sampled_from(KEYS), "_deleted": st.just(True)})
UNIFORM = st.fixed_dictionaries({"_key": st.sampled_from(KEYS), **VALUES})
BLOBS = st.lists(CHANGES | DELETIONS, min_size=1, max_size=6) | st.lists(UNIFORM, min_size=1, max_size=6)
STEPS = st.lists(BLOBS | st.sampled_from(["refresh", "export", "export", "maintain", "many"]), min_size=4, max_size=12)


def present(lake: Lake, top: int = 1000) -> dict[str, dict[str, Any]]:
    """All instances by key, page by page."""
    found: dict[str, dict[str, Any]] = {}
    after: str | None = None
    while True:
        page = instances(lake, CUSTOMER, None, top, after)
        for row in page.rows:
            found[row.pop("ProfileId")] = row
        if page.next_key is None:
            return found
        after = page.next_key


def exported(lake: Lake, *slot: Any, is_first: bool) -> list[tuple[Any, ...]]:
    with slot_rows(lake, CUSTOMER, *slot, is_first=is_first) as found:
        return found.connection.execute(found.sql).fetchall()


@dataclass
class Partner:
    """Who receives slots: it keeps the last row of each key, and can ask for every slot again."""

    to: int | None = None
    rows: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    slots: list[tuple[tuple[Any, ...], bool, list[tuple[Any, ...]]]] = field(default_factory=list)

    def receive(self, lake: Lake, done: Refresh) -> set[str]:
        is_first = self.to is None
        slot = (self.to or 0, done.to_version, done.table_version)
        if not is_first and not changed_rows(lake, CUSTOMER, *slot):
            return set()
        rows = exported(lake, *slot, is_first=is_first)
        keys = [row[0] for row in rows]
        assert keys == sorted(set(keys))
        self.slots.append((slot, is_first, rows))
        self.to = done.to_version
        self.rows.update({row[0]: row for row in rows})
        return set(keys)


@given(steps=STEPS)
@settings(
    max_examples=long_examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_whatever_happens_the_tables_say_what_the_dictionary_says(
    account: StorageAccount, settings: Settings, tmp_path: Path, steps: list[Any]
) -> None:
    lake = Lake(account, settings, container=f"lake-{uuid.uuid4().hex[:12]}")
    oracle, partner, now = Oracle(), Partner(), NOW
    for step in [*steps, "export"]:
        if isinstance(step, list):
            commit(lake, oracle, step, tmp_path)
        elif step == "many":
            for index in range(9):
                commit(lake, oracle, [{"_key": "m", "Age": index}, {"_key": KEYS[index % 4], "Age": index}], tmp_path)
        elif step == "maintain":
            now += timedelta(days=3)
            maintain(lake, CUSTOMER, now, 21)
            oracle.refresh()
        else:
            done = refresh(lake, CUSTOMER, now)
            assert done.rows == len(oracle.refresh())
            if step == "export":
                is_first = partner.to is None
                expected = oracle.export()
                assert partner.receive(lake, done) == (oracle.rows.keys() if is_first else expected)
        assert present(lake) == oracle.rows
    assert present(lake, top=2) == oracle.rows
    for slot, is_first, rows in partner.slots:
        assert exported(lake, *slot, is_first=is_first) == rows
    assert {key: row[1:7] for key, row in partner.rows.items() if key in oracle.rows} == {
        key: tuple(row.values()) for key, row in oracle.rows.items()
    }


def commit(lake: Lake, oracle: Oracle, rows: list[Row], folder: Path) -> None:
    """Commits changes to both; `CustomerId` is set whenever something is."""
    full = [{**row, "CustomerId": row["_key"]} if not row.get("_deleted") else row for row in rows]
    ingest(lake, CUSTOMER, full, folder)
    oracle.change(full)


def rows_of(lake: Lake) -> dict[str, dict[str, Any]]:
    return present(lake)


def person(key: str, **fields: Any) -> dict[str, Any]:
    return {"_key": key, "CustomerId": key, **fields}


def state(key: str, **fields: Any) -> dict[str, Any]:
    return {**EMPTY, "CustomerId": key, **fields}


def test_every_type_of_field_comes_back_as_it_was(lake: Lake, tmp_path: Path) -> None:
    more = [
        {"fieldName": name.removeprefix("Edm."), "fieldType": name}
        for name in ("Edm.Boolean", "Edm.Byte", "Edm.Int16", "Edm.Int64", "Edm.Double", "Edm.Guid", "Edm.Date")
    ]
    arrays = [{**field, "fieldName": f"{field['fieldName']}s", "isArray": True} for field in more]
    everything = profile_type(*more, *arrays, {"fieldName": "Decimals", "fieldType": "Edm.Decimal", "isArray": True})
    values: dict[str, Any] = {
        "Boolean": True,
        "Byte": 255,
        "Int16": -32768,
        "Int64": 2**63 - 1,
        "Double": 0.1,
        "Guid": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "Date": datetime(2026, 2, 28, tzinfo=UTC).date(),
    }
    row = {
        "_key": "a",
        "Spend": Decimal("12345678901234567890.123456789012345678"),
        "SeenAt": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "Decimals": [Decimal("0.5"), None],
        **values,
        **{f"{name}s": [value, None] for name, value in values.items()},
    }
    expected = {
        "Spend": "12345678901234567890.123456789012345678",
        "SeenAt": "2026-01-02T03:04:05.678901Z",
        "Decimals": [0.5, None],
        **values,
        "Date": "2026-02-28",
        **{f"{name}s": [value, None] for name, value in values.items()},
        "Dates": ["2026-02-28", None],
    }
    ingest(lake, everything, [row], tmp_path)
    for _ in ("pending", "refreshed"):
        found = instance(lake, everything, "a")
        assert found is not None
        assert {name: found[name] for name in expected} == expected
        refresh(lake, everything, NOW)
    assert refresh(lake, everything, NOW).rows == 0


def test_an_empty_cell_sets_null_and_a_column_that_is_not_there_keeps(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a", Name="Ada", Age=3)], tmp_path)
    refresh(lake, CUSTOMER, NOW)
    ingest(lake, CUSTOMER, [person("a", Name="Bo"), person("a", Name=None)], tmp_path)

    assert rows_of(lake) == {"a": state("a", Name=None, Age=3)}
    assert refresh(lake, CUSTOMER, NOW).rows == 1
    assert rows_of(lake) == {"a": state("a", Name=None, Age=3)}


@pytest.mark.parametrize("together", [True, False], ids=["one refresh", "two refreshes"])
def test_a_deletion_forgets_what_was_there_and_later_rows_start_afresh(
    lake: Lake, tmp_path: Path, together: bool
) -> None:
    ingest(lake, CUSTOMER, [person("a", Name="Ada", Age=3), person("b", Name="Bo", Age=4)], tmp_path)
    refresh(lake, CUSTOMER, NOW)
    gone = [{"_key": key, "_deleted": True} for key in "ab"]
    ingest(lake, CUSTOMER, [person("a", Tags=["x"]), *gone], tmp_path)
    if not together:
        assert refresh(lake, CUSTOMER, NOW).rows == 2
        assert rows_of(lake) == {}
    ingest(lake, CUSTOMER, [person("a", Age=5)], tmp_path)

    assert rows_of(lake) == {"a": state("a", Age=5)}
    assert refresh(lake, CUSTOMER, NOW).rows == (2 if together else 1)
    assert rows_of(lake) == {"a": state("a", Age=5)}


def test_the_order_of_commits_counts_not_the_lines(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("x")] * 5 + [person("a", Name="first")], tmp_path)
    ingest(lake, CUSTOMER, [person("a", Name="second")], tmp_path)

    assert rows_of(lake)["a"]["Name"] == "second"
    refresh(lake, CUSTOMER, NOW)
    assert rows_of(lake)["a"]["Name"] == "second"


def test_rows_that_change_nothing_are_no_change(lake: Lake, tmp_path: Path) -> None:
    rows = [person("a", Name="Ada", Tags=["x"], Spend=Decimal("1.5")), person("b", Name=None, Tags=[])]
    ingest(lake, CUSTOMER, rows, tmp_path)
    first = refresh(lake, CUSTOMER, NOW)
    ingest(lake, CUSTOMER, rows, tmp_path)
    ingest(lake, CUSTOMER, [{"_key": "gone", "_deleted": True}], tmp_path)
    second = refresh(lake, CUSTOMER, NOW)

    assert (first.rows, second.rows) == (2, 0)
    assert second.to_version > first.to_version
    assert changed_rows(lake, CUSTOMER, first.to_version, second.to_version, second.table_version) == 0
    # The watermark has moved: nothing is looked at twice.
    assert refresh(lake, CUSTOMER, NOW) == Refresh(second.to_version, second.to_version, 0, second.table_version)


def test_refreshes_at_once_take_every_change_once(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a", Name="Ada"), person("b")], tmp_path)
    start = Barrier(4)

    def attempt(_: int) -> Refresh:
        start.wait()
        return refresh(lake, CUSTOMER, NOW)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(attempt, range(4)))

    assert sorted(one.rows for one in done) == [0, 0, 0, 2]
    assert len({(one.to_version, one.table_version) for one in done}) == 1


def test_a_refresh_does_not_lose_fields_that_only_newer_writers_know(lake: Lake, tmp_path: Path) -> None:
    newer = profile_type({"fieldName": "Score", "fieldType": "Edm.Int64"})
    ingest(lake, CUSTOMER, [person("a", Name="Ada")], tmp_path)
    refresh(lake, CUSTOMER, NOW)
    ingest(lake, newer, [person("a", Score=7), person("b", Score=8)], tmp_path)
    refresh(lake, CUSTOMER, NOW)
    ingest(lake, CUSTOMER, [person("b", Name="Bo")], tmp_path)

    assert [row["Score"] for row in instances(lake, newer).rows] == [7, 8]
    assert refresh(lake, CUSTOMER, NOW).rows == 1
    assert [row["Score"] for row in instances(lake, newer).rows] == [7, 8]
    maintain(lake, CUSTOMER, NOW, 21)
    assert [row["Score"] for row in instances(lake, newer).rows] == [7, 8]


def test_pages_and_conditions_see_pending_and_merged_rows_alike(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person(f"k{index:04d}", Age=index % 7) for index in range(3000)], tmp_path)
    refresh(lake, CUSTOMER, NOW)
    ingest(lake, CUSTOMER, [person(f"k{index:04d}", Age=99) for index in range(0, 3000, 1000)], tmp_path)

    found, after, pages = [], None, 0
    while True:
        page = instances(lake, CUSTOMER, condition("Age eq 99", CUSTOMER), 1, after)
        found += [row["CustomerId"] for row in page.rows]
        pages += 1
        if page.next_key is None:
            break
        after = page.next_key
    assert (found, pages) == (["k0000", "k1000", "k2000"], 3)
    second = instances(lake, CUSTOMER, None, 2, "k0001")
    assert [row["CustomerId"] for row in second.rows] == ["k0002", "k0003"]
    assert instances(lake, CUSTOMER, None, 2, "k2998").next_key is None


def test_every_key_is_found(lake: Lake, tmp_path: Path) -> None:
    keys = ["", "é\U0001f600", "it's", 'quo"te', "a\\b", "x" * 5000, "x" * 4999 + "y", "%_", "\U0010ffff" * 70]
    ingest(lake, CUSTOMER, [{"_key": key, "Name": f"Ada {number}"} for number, key in enumerate(keys)], tmp_path)
    for _ in ("pending", "slot", "base"):
        for number, key in enumerate(keys):
            found = instance(lake, CUSTOMER, key)
            assert found is not None
            assert found["Name"] == f"Ada {number}"
        assert instance(lake, CUSTOMER, keys[-1] + "z") is None
        maintain(lake, CUSTOMER, NOW + timedelta(days=30), 21)


def test_nothing_is_there_before_anything_came(lake: Lake) -> None:
    assert instances(lake, CUSTOMER).rows == []
    assert instance(lake, CUSTOMER, "a") is None
    done = refresh(lake, CUSTOMER, NOW)
    assert (done.to_version, done.rows) == (0, 0)
    assert exported(lake, 0, 0, done.table_version, is_first=False) == []


def test_a_slot_whose_rows_have_expired_is_refused(lake: Lake, tmp_path: Path) -> None:
    for age in range(3):
        ingest(lake, CUSTOMER, [person("a", Age=age)], tmp_path)
        last = refresh(lake, CUSTOMER, NOW)
    maintain(lake, CUSTOMER, NOW + timedelta(days=60), 21)
    ingest(lake, CUSTOMER, [person("a", Age=9)], tmp_path)
    done = refresh(lake, CUSTOMER, NOW + timedelta(days=60))

    with pytest.raises(FatalError, match="SlotExpired"):
        changed_rows(lake, CUSTOMER, 1, done.to_version, done.table_version)
    assert changed_rows(lake, CUSTOMER, last.to_version, done.to_version, done.table_version) == 1
    assert [row[3] for row in exported(lake, 0, done.to_version, done.table_version, is_first=True)] == [9]
    with pytest.raises(FatalError, match="SlotExpired"):
        exported(lake, 0, done.to_version, 999_999, is_first=True)


def test_the_first_slot_is_every_instance_as_of_its_refresh(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a", Age=1), person("b", Age=1)], tmp_path)
    first = refresh(lake, CUSTOMER, NOW)
    ingest(lake, CUSTOMER, [person("a", Age=2)], tmp_path)
    maintain(lake, CUSTOMER, NOW + timedelta(days=10), 21)

    rows = exported(lake, 0, first.to_version, first.table_version, is_first=True)
    assert [(row[0], row[3], row[7]) for row in rows] == [("a", 1, NOW), ("b", 1, NOW)]


def test_a_hole_in_the_log_is_said_not_passed_over(lake: Lake, tmp_path: Path) -> None:
    import obstore

    for age in range(3):
        ingest(lake, CUSTOMER, [person("a", Age=age)], tmp_path)
    table = changes_of(lake, CUSTOMER).table
    handle = lake.open(table)
    assert handle is not None
    handle.create_checkpoint()
    obstore.delete(lake.store, f"{table}/_delta_log/{2:020d}.json")

    with pytest.raises(FatalError, match=f"{2:020d}"):
        refresh(lake, CUSTOMER, NOW)


def test_rows_that_somebody_deleted_from_the_table_do_not_come_back(lake: Lake, tmp_path: Path) -> None:
    ingest(lake, CUSTOMER, [person("a", Age=1), person("b", Age=1)], tmp_path)
    handle = lake.open(changes_of(lake, CUSTOMER).table)
    assert handle is not None
    handle.delete("_key = 'a'")

    refresh(lake, CUSTOMER, NOW)
    assert rows_of(lake).keys() == {"b"}


def merged_by_others(lake: Lake) -> Mapping[str, Any]:
    handle = lake.open(changes_of(lake, CUSTOMER).table)
    assert handle is not None
    done: Mapping[str, Any] = handle.optimize.compact()
    return done


def test_merging_by_another_engine_between_refreshes_loses_and_doubles_nothing(lake: Lake, tmp_path: Path) -> None:
    for age in range(12):
        ingest(lake, CUSTOMER, [person("a", Age=age), person(f"b{age}")], tmp_path)
        if age == 1:
            first = refresh(lake, CUSTOMER, NOW)
    assert merged_by_others(lake)["numFilesRemoved"] == 12

    done = refresh(lake, CUSTOMER, NOW)
    assert done.rows == 11
    assert rows_of(lake)["a"]["Age"] == 11
    assert changed_rows(lake, CUSTOMER, first.to_version, done.to_version, done.table_version) == 11
