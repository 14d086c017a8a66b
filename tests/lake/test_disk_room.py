"""Tables that are larger than the temporary disk: a page takes what it can reach, and leaves room for who ingests."""

import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shared import disk_room
from shared.deadline import deadline, deadline_of_this_thread
from shared.disk_room import DiskRoom, Request, Share, give_back_room, reserve_room
from shared.domain.errors import ThrottledError, UnavailableError, asked_to_wait_s
from shared.expressions.odata_filter import condition
from shared.lake.container.store import Lake
from shared.lake.files.parts import Layout
from shared.lake.log.tables import open_snapshot
from shared.lake.paths import states_path
from shared.lake.read import instances as read
from shared.lake.read.instances import instances
from shared.lake.read.pages import Found, read_page
from shared.lake.states import refresh as states
from shared.lake.states.refresh import refresh
from shared.settings import Settings
from tests.lake.given import ingest, interaction_type, profile_type
from tests.lake.large_rows import key
from tests.local.waiting import eventually

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
    room = DiskRoom(pages=230_000, work=10**9, small=0, kept=100_000)
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


def test_a_page_ends_early_where_others_take_the_room_of_its_next_range(
    small: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(small, CUSTOMER, rows(range(ROWS)), tmp_path)
    with ThreadPoolExecutor(1) as pool:  # without a deadline
        pool.submit(refresh, small, CUSTOMER, NOW).result()
    monkeypatch.setattr(disk_room, "_MOST_WAITING", 0)  # who finds no room is told at once
    other, room = Path(uuid.uuid4().hex), DiskRoom(pages=10**6, work=0, small=0, kept=0)

    def then_another_comes(*args: Any) -> Found:
        found = read_page(*args)
        reserve_room(Request(other, "other", Share.PAGES, {"large": 230_000}), room, 0)
        return found

    monkeypatch.setattr(read, "read_page", then_another_comes)
    first = instances(small, CUSTOMER, None, ROWS)
    assert 0 < len(first.rows) < ROWS
    assert first.next_key is not None
    with pytest.raises(ThrottledError):
        instances(small, CUSTOMER, None, ROWS, first.next_key)
    give_back_room(other)
    monkeypatch.setattr(read, "read_page", read_page)
    rest = instances(small, CUSTOMER, None, ROWS, first.next_key)
    assert [row["Age"] for row in (*first.rows, *rest.rows)] == list(range(ROWS))


def test_a_table_that_needs_more_than_the_disk_is_refused_in_words(small: Lake, tmp_path: Path) -> None:
    for start in range(0, ROWS, ROWS // 3):
        ingest(small, VISIT, rows(range(start, start + ROWS // 3)), tmp_path)
    with pytest.raises(UnavailableError, match="temporary disk") as refused:
        instances(small, VISIT)
    assert refused.value.code == "NoRoom"
    assert len(instances(small, VISIT, None, 1, key(ROWS // 3 - 1)).rows) == 1  # of two of its files


ROOM = DiskRoom(pages=100, work=100, small=40, kept=0)  # small: 10 of one, 20 of a hub


class Users:
    """Workspaces by their names, the first letter of which is their hub's."""

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}
        self.pool = ThreadPoolExecutor(16)

    def ask(self, name: str, within_s: float = 10, share: Share = Share.PAGES, **files: int) -> None:
        folder = self._folders.setdefault(name, Path(uuid.uuid4().hex))
        reserve_room(Request(folder, name[0], share, files), ROOM, within_s)

    def wait(self, name: str, share: Share = Share.PAGES, **files: int) -> Future[None]:
        """As `ask`, in a thread, once it waits or has an answer."""
        before = len(disk_room._line)
        asked = self.pool.submit(self.ask, name, 10, share, **files)
        eventually(lambda: asked.done() or len(disk_room._line) > before)
        return asked

    def end(self, name: str) -> None:
        if folder := self._folders.pop(name, None):
            give_back_room(folder)

    def end_all(self) -> None:
        for name in list(self._folders):
            self.end(name)


@pytest.fixture
def users() -> Iterator[Users]:
    """Nobody has room at the end."""
    given = Users()
    yield given
    given.end_all()
    given.pool.shutdown()
    given.end_all()
    assert disk_room._held == []


def test_room_is_waited_for(users: Users) -> None:
    users.ask("a1", a=50, b=30)
    users.ask("a2", b=30)  # what is there counts once
    with pytest.raises(ThrottledError, match="repeat a request in a minute; exports, calculations"):
        users.ask("b1", 0.01, d=30)
    with pytest.raises(UnavailableError, match="temporary disk"):
        users.ask("a2", e=71)  # whoever gives back what
    waiting = users.wait("b1", d=30)
    assert not waiting.done()
    users.end("a1")
    waiting.result(10)


def test_the_time_of_a_page_that_waited_begins_when_it_has_room(users: Users) -> None:
    def ask(share: Share) -> bool:
        with deadline(10):
            before = deadline_of_this_thread()
            users.ask("b1", 10, share, b=30)
            return deadline_of_this_thread() > before

    for share, is_put_off in ((Share.PAGES, True), (Share.WORK, False)):
        users.ask("a1", 0, share, a=100)
        asked = users.pool.submit(ask, share)
        eventually(lambda: disk_room._line)
        users.end("a1")
        assert asked.result(10) == is_put_off
        users.end("b1")


def test_nobody_waits_who_needs_nothing_that_is_not_there(users: Users) -> None:
    users.ask("a1", a=100)
    users.ask("a1", 0, a=100)
    users.ask("a2", 0, a=100)
    users.ask("b1", 0)
    users.ask("c1", 0, Share.WORK, c=100)
    users.ask("b2", 0, Share.WORK)


def test_pages_and_work_do_not_wait_for_each_other(users: Users) -> None:
    users.ask("a1", 0, Share.WORK, a=100)
    users.ask("b1", 0, b=100)
    with pytest.raises(ThrottledError):
        users.ask("b2", 0, Share.WORK, c=50)


def test_little_is_always_given(users: Users) -> None:
    users.ask("a1", 0, a=100)
    users.ask("b1", 0, b=10)
    with pytest.raises(ThrottledError):
        users.ask("b1", 0, c=1)  # ten at most for one
    users.ask("b2", 0, c=10)
    with pytest.raises(ThrottledError):
        users.ask("b3", 0, d=1)  # half of it for one hub
    users.ask("a1", 0, e=10)  # whoever has much may need little more
    users.ask("c1", 0, f=10)
    with pytest.raises(ThrottledError):
        users.ask("d1", 0, g=1)
    users.end("b1")
    users.ask("d1", 0, g=1)


def test_one_hub_gets_half_where_others_have_some(users: Users) -> None:
    users.ask("b1", 0, b=20)
    users.ask("a1", 0, a=50)
    with pytest.raises(ThrottledError):
        users.ask("a2", 0, c=30)
    users.ask("c1", 0, c=30)
    users.end("b1")
    users.end("c1")
    users.ask("a1", 0, d=50)  # nobody else is there


def test_a_hub_that_reads_all_the_time_keeps_no_other_from_its_room(users: Users) -> None:
    users.ask("a1", 0, a=90)
    other = users.wait("b1", b=80)
    more = [users.wait("a2", a=90), users.wait("a3", c=30)]
    assert not any(one.done() for one in (other, *more))
    users.end("a1")
    other.result(10)
    assert not any(one.done() for one in more)
    users.end("b1")
    more[0].result(10)
    users.end("a2")
    more[1].result(10)


def test_few_wait_for_room_and_fewer_of_one_hub(users: Users) -> None:
    users.ask("a1", 0, a=100)
    asked = [
        users.wait(name, Share.PAGES, **{name: 20})
        for name in ("b1", "b2", "b3", "c1", "c2", "d1", "d2", "e1", "e2", "f1")
    ]
    sent_away = [number for number, one in enumerate(asked) if one.done()]
    assert sent_away == [2, 9]
    assert isinstance(asked[2].exception(), ThrottledError)
    working = users.wait("f1", Share.WORK, f=20)  # another line
    working.result(10)
    users.end("a1")
    assert isinstance(asked[9].exception(), ThrottledError)
    for name, one in zip(("b1", "b2", "c1", "c2", "d1", "d2", "e1", "e2"), (*asked[:2], *asked[3:9]), strict=True):
        one.result(10)  # five at a time
        users.end(name)


def test_work_rests_where_it_finds_no_room(users: Users) -> None:
    users.ask("a1", 0, Share.WORK, a=100)
    with pytest.raises(ThrottledError) as refused:
        users.ask("b1", 0, Share.WORK, b=20)
    assert asked_to_wait_s(refused.value) == 60
