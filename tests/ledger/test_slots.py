"""The ledger of slots on Azurite: ranges without gap or overlap, whoever plans when."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra.local.azurite import Endpoints
from shared.domain.errors import CommitConflictError
from shared.domain.slot import SLOT_LENGTH
from shared.ledger.slots import Plan, Published, Series, Slots, new_life
from shared.settings import Settings
from shared.storage.accounts import hub_account
from shared.storage.tables import Table

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PUBLISHED = Published(rows=3, size=99, sha256="ab")


@pytest.fixture(scope="module")
def slots(azurite: Endpoints) -> Slots:
    settings = Settings(hub_storage=azurite.connection_string)
    return Slots(Table(hub_account(settings), f"slots{uuid.uuid4().hex[:8]}"))


@pytest.fixture
def series() -> Series:
    return Series(f"Hub{uuid.uuid4().hex[:8]}", uuid.uuid4().hex, "Profile", uuid.uuid4().hex)


def plan_of(number: int, from_version: int, to_version: int, columns: tuple[str, ...] = ("Id",)) -> Plan:
    slot = NOON + number * SLOT_LENGTH
    return Plan(slot, f"run{number}", from_version, to_version, to_version + 100, from_version == 0, columns)


def planned(slots: Slots, series: Series, *ends: int) -> list[Plan]:
    """Plans in the slots from noon on, each up to one of the versions."""
    made = []
    for number, to_version in enumerate(ends):
        head = slots.head(series)
        made.append(plan_of(number, (head.planned_to or 0) if head else 0, to_version))
        slots.plan(series, head, head.life if head else new_life(), made[-1])
    return made


def test_a_plan_is_kept_as_it_was_made(slots: Slots, series: Series) -> None:
    many = tuple(f"F{number:03}{'x' * 120}" for number in range(500))
    plan = plan_of(0, 0, 7, many)
    slots.plan(series, None, "life", plan)
    assert list(slots.waiting(series)) == [plan]
    assert slots.planned(series, plan.slot) == plan
    assert slots.planned(series, plan.slot + SLOT_LENGTH) is None
    head = slots.head(series)
    assert head is not None
    assert (head.life, head.last_slot, head.planned_to) == ("life", NOON, 7)


def test_waiting_plans_come_oldest_first_and_leave_when_published(slots: Slots, series: Series) -> None:
    first, second, third = planned(slots, series, 3, 5, 9)
    assert list(slots.waiting(series)) == [first, second, third]
    assert [(plan.from_version, plan.to_version) for plan in (first, second, third)] == [(0, 3), (3, 5), (5, 9)]
    for _ in range(2):  # a second worker may record the same
        slots.record_published(series, first, PUBLISHED)
    assert list(slots.waiting(series)) == [second, third]


def test_of_many_planners_one_wins_each_time(slots: Slots, series: Series) -> None:
    def plan_next(worker: int) -> int:
        won = 0
        for number in range(8):
            head = slots.head(series)
            start = (head.planned_to or 0) if head else 0
            last = head.last_slot if head else NOON - SLOT_LENGTH
            plan = replace(plan_of(0, start, start + 1), slot=last + SLOT_LENGTH, run_id=f"{worker}-{number}")
            try:
                slots.plan(series, head, head.life if head else new_life(), plan)
            except CommitConflictError:
                continue
            won += 1
        return won

    with ThreadPoolExecutor(4) as pool:
        won = sum(pool.map(plan_next, range(4)))
    ranges = [(plan.from_version, plan.to_version) for plan in slots.waiting(series)]
    assert ranges == [(number, number + 1) for number in range(won)]
    assert won >= 8


def test_a_plan_made_from_an_old_head_is_refused(slots: Slots, series: Series) -> None:
    planned(slots, series, 3)
    old = slots.head(series)
    assert old is not None
    slots.plan(series, old, old.life, plan_of(1, 3, 5))
    with pytest.raises(CommitConflictError):
        slots.plan(series, old, old.life, plan_of(2, 3, 6))
    with pytest.raises(CommitConflictError):
        slots.plan(series, None, new_life(), plan_of(2, 0, 6))
    assert [plan.to_version for plan in slots.waiting(series)] == [3, 5]


def test_a_dropped_plan_is_carried_by_the_next(slots: Slots, series: Series) -> None:
    first, second, third = planned(slots, series, 3, 5, 9)
    slots.pass_on(series, first)
    longer = replace(second, from_version=0, is_first=True)
    assert list(slots.waiting(series)) == [longer, third]
    with pytest.raises(CommitConflictError):
        slots.pass_on(series, third)  # only the oldest
    slots.pass_on(series, longer)
    slots.pass_on(series, replace(third, from_version=0, is_first=True))
    head = slots.head(series)
    assert head is not None
    assert (head.planned_to, head.last_slot) == (None, third.slot)
    assert list(slots.waiting(series)) == []


def test_a_dropped_last_plan_sends_the_head_back(slots: Slots, series: Series) -> None:
    first, second = planned(slots, series, 3, 5)
    slots.record_published(series, first, PUBLISHED)
    slots.pass_on(series, second)
    head = slots.head(series)
    assert head is not None
    assert (head.planned_to, head.last_slot) == (3, second.slot)


def test_what_is_forgotten_starts_anew(slots: Slots, series: Series) -> None:
    other = replace(series, entity_type="Kpi")
    planned(slots, series, *range(1, 111))  # more than one transaction holds
    planned(slots, other, 1)
    assert set(slots.series_of(series.hub)) == {
        replace(series, hub=series.hub.lower()),
        replace(other, hub=other.hub.lower()),
    }
    slots.forget(series)
    assert slots.head(series) is None
    assert list(slots.waiting(series)) == []
    assert len(list(slots.waiting(other))) == 1
    assert slots.series_of(series.hub.upper()) == [replace(other, hub=other.hub.lower())]


def test_records_of_published_slots_go_with_the_retention(slots: Slots, series: Series) -> None:
    plans = planned(slots, series, 1, 2, 3)
    for plan in plans[:2]:
        slots.record_published(series, plan, PUBLISHED)
    slots.forget_published(series, NOON + timedelta(minutes=15))
    where = "PartitionKey eq @partition and RowKey ge @from"
    rows = slots._table.query(where, {"partition": series.partition, "from": "slot|"})
    assert [(row["RowKey"], row["rows"], row["sha256"]) for row in rows] == [("slot|2026-11-22T12:15Z", 3, "ab")]
    assert list(slots.waiting(series)) == plans[2:]
