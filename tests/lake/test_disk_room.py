"""Tables that are larger than the temporary disk: a page takes what it can reach, and leaves room for who ingests."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shared.deadline import deadline
from shared.domain.errors import ThrottledError, UnavailableError
from shared.lake import read, states
from shared.lake.disk_room import DiskRoom, give_back_room, take_room
from shared.lake.filters import condition
from shared.lake.parts import Layout
from shared.lake.read import instances
from shared.lake.states import refresh
from shared.lake.store import Lake, states_path
from shared.lake.tables import open_snapshot
from shared.settings import Settings
from tests.lake.given import ingest, interaction_type, profile_type
from tests.lake.large_rows import key

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
CUSTOMER, VISIT = profile_type(), interaction_type()
ROWS = 9000


def rows(numbers: range) -> list[dict[str, Any]]:
    """Rows that cannot be packed."""
    some = Random(7)
    return [{"_key": key(number), "Name": some.randbytes(30).hex(), "Age": number} for number in numbers]


@pytest.fixture
def small(account: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """A lake of small files on a small disk, for who answers a request."""
    monkeypatch.setattr(states, "STATES_LAYOUT", Layout(part_bytes=50_000, group_rows=2048))
    monkeypatch.setattr(read, "_FILES_AT_ONCE_BYTES", 50_000)
    room = DiskRoom(pages=230_000, work=10**9, kept=100_000)
    lake = Lake(account, settings, container=f"lake-{uuid.uuid4().hex}", room=room)
    with deadline(60):
        yield lake


def test_pages_of_a_table_that_is_larger_than_the_disk_come_out(small: Lake, tmp_path: Path) -> None:
    ingest(small, CUSTOMER, rows(range(ROWS)), tmp_path)
    with ThreadPoolExecutor(1) as pool:  # without a deadline
        pool.submit(refresh, small, CUSTOMER, NOW).result()
    ingest(small, CUSTOMER, [{"_key": key(number), "Age": -number} for number in range(0, ROWS, 1000)], tmp_path)
    snapshot = open_snapshot(small, states_path(CUSTOMER))
    assert snapshot is not None
    assert sum(file.size for file in snapshot.files) > 300_000

    found, after, pages = [], None, 0
    while True:
        page = instances(small, CUSTOMER, None, 1000, after)
        found += [row["Age"] for row in page.rows]
        after, pages = page.next_key, pages + 1
        if after is None:
            break
    assert (found, pages) == ([-number if number % 1000 == 0 else number for number in range(ROWS)], ROWS // 1000)
    last = instances(small, CUSTOMER, condition(f"Age gt {ROWS - 3}", CUSTOMER), 5)
    assert ([row["Age"] for row in last.rows], last.next_key) == ([ROWS - 2, ROWS - 1], None)


def test_a_table_that_needs_more_than_the_disk_is_refused_in_words(small: Lake, tmp_path: Path) -> None:
    for start in range(0, ROWS, ROWS // 3):
        ingest(small, VISIT, rows(range(start, start + ROWS // 3)), tmp_path)
    with pytest.raises(UnavailableError, match="temporary disk") as refused:
        instances(small, VISIT)
    assert refused.value.code == "NoRoom"
    assert len(instances(small, VISIT, None, 1, key(ROWS // 3 - 1)).rows) == 1  # of two of its files


@pytest.fixture
def owners() -> Iterator[list[Path]]:
    """Three workspaces."""
    folders = [Path(uuid.uuid4().hex) for _ in range(3)]
    yield folders
    for folder in folders:
        give_back_room(folder)


def test_room_is_waited_for(owners: list[Path]) -> None:
    first, second, third = owners
    take_room(first, {"a": 60, "b": 30}, 100, 0)
    take_room(second, {"b": 30, "c": 10}, 100, 0)  # what is there counts once
    with pytest.raises(ThrottledError, match="repeat the request"):
        take_room(third, {"d": 1}, 100, 0.01)
    with pytest.raises(UnavailableError, match="temporary disk"):
        take_room(second, {"e": 70}, 100, 60)  # whoever gives back what
    take_room(third, {"d": 1}, 110, 0)  # who works has more room than who reads
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take_room, second, {"f": 50}, 100, 60)
        give_back_room(first)
        waiting.result(60)


def test_few_wait_for_room(owners: list[Path]) -> None:
    take_room(owners[0], {"a": 100}, 100, 0)
    others = [Path(uuid.uuid4().hex) for _ in range(20)]
    with ThreadPoolExecutor(len(others)) as pool:
        asked = [pool.submit(take_room, other, {"b": 1}, 100, 60) for other in others]
        refused = sum(isinstance(one.exception(60), ThrottledError) for one in asked if one.done())
        while refused < len(others) - 8:
            refused = sum(isinstance(one.exception(60), ThrottledError) for one in asked if one.done())
        give_back_room(owners[0])
        outcomes = [one.exception(60) for one in asked]
    for other in others:
        give_back_room(other)
    assert (refused, outcomes.count(None)) == (12, 8)
