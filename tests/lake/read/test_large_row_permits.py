"""Whatever reads large rows waits for its permit, ends in time, and makes objects of a few items at a time."""

import os
import threading
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import duckdb
import pytest

from shared.domain.documents.entity_types import EntityType
from shared.domain.errors import ThrottledError, UnavailableError
from shared.engine.workspace import workspace
from shared.expressions.odata_filter import condition
from shared.lake.container.store import Lake
from shared.lake.files.row_sizes import NARROW_BYTES
from shared.lake.read import large_row_permits, pages
from shared.lake.read.instances import instance, instances, present_keys
from shared.lake.read.large_row_permits import large_rows_permit
from shared.lake.read.origin import traced_instance
from shared.permits import Permits
from shared.settings import Settings
from tests.abuse.spending import Spending
from tests.lake.given import ingest, profile_type
from tests.lake.large_rows import CUSTOMER, VISIT, bring, key, note

AMOUNTS = {"fieldName": "Amounts", "fieldType": "Edm.Decimal", "isArray": True}
SIZE = 2 * NARROW_BYTES
BOTH = pytest.mark.parametrize("entity_type", [CUSTOMER, VISIT], ids=["profiles", "interactions"])
READS = {
    "a page": lambda lake, entity_type: instances(lake, entity_type, None, 1),
    "an instance": lambda lake, entity_type: instance(lake, entity_type, key(1)),
    "an instance with its origin": lambda lake, entity_type: traced_instance(lake, entity_type, key(1)),
    "which keys there are": lambda lake, entity_type: present_keys(lake, entity_type, [key(1), "other"]),
}


@BOTH
@pytest.mark.parametrize("size", [SIZE, 100], ids=["large", "ordinary"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_whoever_reads_large_rows_waits_for_his_turn(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entity_type: EntityType, size: int, read: Any
) -> None:
    bring(lake, tmp_path, entity_type, range(3), size)
    assert read(lake, entity_type)
    monkeypatch.setattr(large_row_permits, "_LARGE_ROWS", Permits(most_of_one=0, most=0, within_s=0))
    if size == SIZE:
        with pytest.raises(ThrottledError, match="LargeRowsBusy"):
            read(lake, entity_type)
    else:
        assert read(lake, entity_type)


@BOTH
def test_what_is_found_of_large_rows_is_what_is_there(lake: Lake, tmp_path: Path, entity_type: EntityType) -> None:
    bring(lake, tmp_path, entity_type, range(3), SIZE, Age=7, Tags=["a", None, "b"], Spend=Decimal("1.5"))
    found = instance(lake, entity_type, key(1))
    assert found is not None
    wanted = {"CustomerId": key(1), "Note": note(1, SIZE), "Age": 7, "Tags": ["a", None, "b"], "Spend": 1.5}
    assert found.items() >= wanted.items()
    assert instances(lake, entity_type, None, 1, key(0)).rows == [found]
    assert instance(lake, entity_type, "other") is None
    assert present_keys(lake, entity_type, ["other", key(0), key(2), key(3)]) == [key(0), key(2)]


@BOTH
def test_a_page_of_large_rows_ends_when_its_time_is_up(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entity_type: EntityType
) -> None:
    bring(lake, tmp_path, entity_type, range(9), 8 * SIZE)
    monkeypatch.setattr(pages, "LOOKED_FOR_S", 0.0)
    monkeypatch.setattr(pages, "_VECTOR_BYTES", 16 * SIZE)
    where = condition("length(Note) gt 9", entity_type)
    found, after, count = [], None, 0
    while count == 0 or after is not None:
        page = instances(lake, entity_type, where, 1000, after)
        found += [row["CustomerId"] for row in page.rows]
        after, count = page.next_key, count + 1
    assert found == [key(number) for number in range(9)]
    assert count > 2


def test_a_statement_that_outlasts_its_turn_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_row_permits, "ENDED_AFTER_S", 0.2)
    endless = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b"
    began = monotonic()
    with workspace(Settings()) as work:
        with large_rows_permit(work, "hub"), pytest.raises(duckdb.InterruptException):
            work.connection.execute(endless)
        assert monotonic() - began < 5
        assert work.connection.execute("SELECT 1").fetchall() == [(1,)]
    assert "end-of-permit" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("read", list(READS.values())[:3], ids=list(READS)[:3])
def test_rows_that_cannot_be_read_in_time_are_refused_in_words(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    entity_type = profile_type(AMOUNTS)
    ingest(lake, entity_type, [{"_key": key(1), "CustomerId": key(1), "Amounts": [Decimal(1)] * 9000}], tmp_path)
    monkeypatch.setattr(large_row_permits, "ENDED_AFTER_S", -1.0)
    with pytest.raises(UnavailableError, match=r"LargeRowsTooSlow: .* smaller cells or fewer fields"):
        read(lake, entity_type)


def test_an_array_of_very_many_items_takes_little_memory(lake: Lake, tmp_path: Path) -> None:
    """All its items as objects of Python took three times as much."""
    entity_type, count = profile_type(AMOUNTS), 300_000
    items = [Decimal(number) / 4 for number in range(count)]
    ingest(lake, entity_type, [{"_key": "k", "CustomerId": "k", "Amounts": items}], tmp_path)
    with Spending(os.getpid()).watched() as spent:
        found = instance(lake, entity_type, "k")
    assert found is not None
    assert found["Amounts"] == [number / 4 for number in range(count)]
    assert spent.memory_mb < 90
