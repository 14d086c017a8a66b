"""Rows with cells of megabytes are read page by page, filtered, refreshed, rebased and exported in bounded memory."""

import json
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.local.azurite import Endpoints
from shared.domain.errors import ThrottledError
from shared.engine.workspace import workspace
from shared.expressions.odata_filter import condition
from shared.lake.container.store import Lake
from shared.lake.read.instances import instance, instances
from shared.lake.read.pages import LOOKED_AT_BYTES, PAGE_BYTES
from shared.lake.read.present import present
from shared.lake.states.refresh import refresh
from shared.lake.states.slot_rows import slot_rows
from shared.lake.upkeep.maintain import maintain
from shared.settings import Settings
from tests.lake.given import ingest
from tests.lake.large_rows import CUSTOMER, PARTS, PATCHED, VISIT, Reading, bring, bring_parts, command, key, note
from tests.local.waiting import eventually
from tests.thorough import only_thorough

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
CELL = 4 * 1024**2
ROWS = 40
MOST_MB = 600


def in_a_process(reading: Reading) -> dict[str, Any]:
    done = subprocess.run(command(reading), capture_output=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def filled(account: Any, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Profiles, half of them merged and half pending, and interactions."""
    lake = Lake(account, settings, container="lake-of-large-rows")
    folder = tmp_path_factory.mktemp("large")
    bring(lake, folder, CUSTOMER, range(ROWS), CELL)
    refresh(lake, CUSTOMER, NOW)
    bring(lake, folder, CUSTOMER, range(0, ROWS, 2), CELL, Age=7)
    bring(lake, folder, VISIT, range(ROWS), CELL)
    return lake


MAKES_TEXT = {
    "Customer": "contains(tolower(concat(concat(Note, Note), concat(Note, Note))), 'no such thing')",
    "Visit": " or ".join(f"contains(toupper(concat(Note, Name)), 'no such thing {n}')" for n in range(10)),
}


@pytest.mark.parametrize(
    ("type_name", "makes_text"),
    [
        ("Customer", False),
        ("Visit", True),
        pytest.param("Customer", True, marks=only_thorough),
        pytest.param("Visit", False, marks=only_thorough),
    ],
)
def test_four_pages_at_once_take_little_memory(
    azurite: Endpoints, filled: Lake, type_name: str, makes_text: bool
) -> None:
    where = MAKES_TEXT[type_name] if makes_text else None
    done = in_a_process(Reading(azurite.connection_string, filled._container, type_name, where, top=1000, pages=4))
    assert len(done["pages"]) == 4
    for rows, next_key in done["pages"]:
        assert next_key is not None
        assert (rows == 0) if makes_text else (1 < rows <= PAGE_BYTES // CELL)
    assert done["peak_mb"] < MOST_MB


def test_rows_that_are_large_only_once_merged_take_little_memory(
    azurite: Endpoints, lake: Lake, tmp_path: Path
) -> None:
    size = 14 * 1024  # of a change; none of them is large
    bring_parts(lake, tmp_path, range(60), size)
    done = in_a_process(Reading(azurite.connection_string, lake._container, "Patched", top=1000, pages=2))
    for rows, next_key in done["pages"]:
        assert next_key is not None
        assert 1 < rows <= PAGE_BYTES // (len(PARTS) * size)
    assert done["peak_mb"] < MOST_MB


def test_forty_mappings_that_each_fill_a_field_of_their_own_are_merged(lake: Lake, tmp_path: Path) -> None:
    bring_parts(lake, tmp_path, range(20), 12)
    expected = [{name: note(number, 12) for name in PARTS} for number in range(20)]
    for merged in (0, 20):
        found = instances(lake, PATCHED, None, 1000).rows
        assert [{name: row[name] for name in PARTS} for row in found] == expected
        assert refresh(lake, PATCHED, NOW).rows == 20 - merged


@pytest.mark.parametrize("entity_type", [CUSTOMER, VISIT], ids=["profiles", "interactions"])
def test_pages_that_end_early_hold_every_row_once(filled: Lake, entity_type: Any) -> None:
    found, after = [], None
    while True:
        page = instances(filled, entity_type, condition("length(Note) gt 9", entity_type), 1000, after)
        found += [(row["CustomerId"], row["Note"][:20], row["Age"]) for row in page.rows]
        after = page.next_key
        if after is None:
            break
    merged = [7 if entity_type is CUSTOMER and number % 2 == 0 else None for number in range(ROWS)]
    assert found == [(key(number), note(number, 20), merged[number]) for number in range(ROWS)]


def test_one_row_is_always_given_however_large(lake: Lake, tmp_path: Path) -> None:
    large = "x" * 24 * 1024**2  # more than a page has
    ingest(lake, CUSTOMER, [{"_key": "k", "CustomerId": "k", "Note": large}], tmp_path)
    ingest(lake, CUSTOMER, [{"_key": "l", "CustomerId": "l", "Note": "small"}], tmp_path)
    for _ in range(2):
        for top in (1, 1000):
            page = instances(lake, CUSTOMER, None, top)
            assert ([row["Note"] == large for row in page.rows], page.next_key) == ([True], "k")
        assert [row["Note"] for row in instances(lake, CUSTOMER, None, 1, "k").rows] == ["small"]
        found = instance(lake, CUSTOMER, "k")
        assert found is not None
        assert found["Note"] == large
        refresh(lake, CUSTOMER, NOW)


def test_of_many_who_want_large_rows_at_once_some_are_told_to_come_again(filled: Lake) -> None:
    def outcome(_: int) -> int | str:
        try:
            return len(instances(filled, CUSTOMER, None, 1).rows)
        except ThrottledError as error:
            return error.code

    with ThreadPoolExecutor(24) as pool:
        outcomes = list(pool.map(outcome, range(24)))
    assert set(outcomes) == {1, "LargeRowsBusy"}
    assert outcomes.count(1) >= 8
    assert outcome(0) == 1


@pytest.mark.parametrize(
    "entity_type", [CUSTOMER, pytest.param(VISIT, marks=only_thorough)], ids=["profiles", "interactions"]
)
def test_a_hub_that_reads_all_the_time_keeps_no_other_from_its_pages(
    filled: Lake, lake: Lake, tmp_path: Path, entity_type: Any
) -> None:
    other = entity_type.model_copy(update={"lake_path": f"fabrikam/{entity_type.lake_path.partition('/')[2]}"})
    bring(lake, tmp_path, other, range(2), CELL)
    is_over = threading.Event()
    done = Counter[str]()

    def read_all_the_time() -> None:
        while not is_over.is_set():
            try:
                instances(filled, entity_type, None, 2)
                done["read"] += 1
            except ThrottledError:
                done["refused"] += 1

    with ThreadPoolExecutor(12) as pool:
        reading = [pool.submit(read_all_the_time) for _ in range(12)]
        try:
            eventually(lambda: done["refused"], within=60)
            before = done["read"]
            for _ in range(3):
                assert len(instances(lake, other, None, 1).rows) == 1
            eventually(lambda: done["read"] > before, within=60)
        finally:
            is_over.set()
    assert [one.exception() for one in reading] == [None] * 12


def test_eight_pages_of_one_hub_are_all_answered(filled: Lake) -> None:
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: instances(filled, VISIT, None, 1000), range(8)))
    assert all(1 < len(page.rows) <= PAGE_BYTES // CELL for page in pages)


@pytest.mark.parametrize("entity_type", [CUSTOMER, VISIT], ids=["profiles", "interactions"])
def test_what_a_page_makes_on_its_way_is_dropped(filled: Lake, entity_type: Any) -> None:
    with workspace(filled.settings) as work:
        tables = present(filled, work, entity_type)

        def there() -> list[tuple[Any, ...]]:
            names = "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views()"
            return sorted(work.connection.execute(f"{names} WHERE NOT internal").fetchall())

        made = []
        for number in range(0, ROWS, 8):
            rows = tables.rows((key(number), key(number + 2)))
            assert len(work.connection.execute(f"SELECT _key FROM ({rows})").fetchall()) == 2
            made.append(there())
    assert made == [made[0]] * len(made)


def test_a_filter_that_finds_nothing_does_not_look_for_ever(filled: Lake) -> None:
    where = condition(MAKES_TEXT["Customer"], CUSTOMER)
    page = instances(filled, CUSTOMER, where, 30)
    assert page.rows == []
    assert page.next_key is not None
    looked_at = next(number for number in range(ROWS) if key(number) == page.next_key) + 1
    assert looked_at * CELL * where.cells <= 2 * LOOKED_AT_BYTES


def test_slots_of_large_rows_come_out(account: Any, settings: Settings, tmp_path: Path) -> None:
    small = settings.model_copy(update={"engine_memory_mb": 64})
    lake = Lake(account, small, container="lake-of-large-slots")
    size, rows = 1024**2, 80
    bring(lake, tmp_path, CUSTOMER, range(rows), size)
    first = refresh(lake, CUSTOMER, NOW)
    # A small change of large rows meets all of them.
    people = [{"_key": key(number), "CustomerId": key(number), "Age": number} for number in range(rows)]
    ingest(lake, CUSTOMER, people, tmp_path)
    second = refresh(lake, CUSTOMER, NOW)
    bring(lake, tmp_path, CUSTOMER, range(0, rows, 3), size + 1)
    third = refresh(lake, CUSTOMER, NOW)
    maintain(lake, CUSTOMER, NOW, 21)
    assert (first.rows, second.rows) == (rows, rows)
    for after, is_first, expected in (
        (0, True, {key(number): size + (number % 3 == 0) for number in range(rows)}),
        (first.to_version, False, {key(number): size + (number % 3 == 0) for number in range(rows)}),
        (second.to_version, False, {key(number): size + 1 for number in range(0, rows, 3)}),
    ):
        found = {}
        with slot_rows(lake, CUSTOMER, after, third.to_version, third.table_version, is_first=is_first) as slot:
            for bounds in slot.ranges:
                query = f"SELECT _key, strlen(Note), Age FROM ({slot.within(bounds)})"
                for name, length, age in slot.connection.execute(query).fetchall():
                    assert name == key(age)
                    found[name] = length
            assert len(slot.ranges) > 1
        assert list(found.items()) == sorted(expected.items())
