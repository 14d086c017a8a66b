"""Timers serve hubs in turns: much work for one leaves the others theirs, and is gone on with the next time."""

import logging
from collections.abc import Generator
from datetime import timedelta

import pytest

from shared import hub_rotation
from shared.deadline import deadline, seconds_left
from shared.domain.documents.hubs import Hub
from shared.domain.documents.run import RunKind, RunState
from shared.domain.errors import UnavailableError
from shared.failpoints import FailPoint, arm
from shared.hub_rotation import STEP_S, for_each_hub
from shared.outbound.retention import delete_expired
from tests.outbound.conftest import NOON, PROFILE, HubUnderTest, Partner
from tests.passing_time import PassingTime

MANY = 10
OTHERS = ("Adatum", "Fabrikam", "Tailspin")


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> PassingTime:
    """Time that passes where a test says so; a turn is a single step."""
    monkeypatch.setattr(hub_rotation, "SLICE_S", 0.0)
    return PassingTime(monkeypatch)


def test_a_hub_with_much_work_leaves_the_others_their_turns(
    hub: HubUnderTest, passing: PassingTime, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    closed: list[str] = []

    def work(name: str) -> Generator[None]:
        try:
            while name == hub.name or done.count(name) < 2:
                assert seconds_left() <= STEP_S
                done.append(name)
                passing.pauses.append(1.0)
                yield
        finally:
            closed.append(name)

    for other in OTHERS:
        hub.services.definitions.put_hub(other, Hub.from_request({}))
    with deadline(STEP_S + MANY):
        for_each_hub(hub.services, "the work", work)
    assert {name: done.count(name) for name in OTHERS} == dict.fromkeys(OTHERS, 2)
    assert len(done) <= MANY + 1, "it ends in time"
    assert sorted(closed) == sorted([*OTHERS, hub.name])
    assert f"the work goes on with the next tick, for want of time: 1 hubs: {hub.name}" in caplog.text


def test_no_hub_is_always_the_first(hub: HubUnderTest, passing: PassingTime) -> None:
    """Where the time is enough for one step, each has it once in a while."""
    done: list[str] = []

    def work(name: str) -> Generator[None]:
        done.append(name)
        passing.pauses.append(1.0)
        yield

    for other in OTHERS:
        hub.services.definitions.put_hub(other, Hub.from_request({}))
    for _ in range(100):
        with deadline(STEP_S + 0.9):
            for_each_hub(hub.services, "the work", work)
    assert set(done) == {*OTHERS, hub.name}
    assert len(done) == 100


def test_an_error_ends_the_work_for_its_hub_alone(hub: HubUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def work(name: str) -> Generator[None]:
        if name == hub.name:
            raise UnavailableError("StorageUnavailable", "it does not answer")
        done.append(name)
        yield

    for other in OTHERS:
        hub.services.definitions.put_hub(other, Hub.from_request({}))
    with caplog.at_level(logging.ERROR):
        for_each_hub(hub.services, "the work", work)
    assert sorted(done) == sorted(OTHERS)
    assert f"the work failed: hub {hub.name}: StorageUnavailable" in caplog.text


def test_many_old_exports_of_one_hub_leave_the_others_their_clean_up(
    hub: HubUnderTest, second: Partner, passing: PassingTime
) -> None:
    hub.services.definitions.put_hub("Fabrikam", Hub.from_request({}))
    other = HubUnderTest(hub.services, second, hub.clock_file, hub.folder, "Fabrikam")
    for each in (hub, other):
        each.profile_type()
        each.outbound(PROFILE)
        each.ingest(each.profile_type(), [{"Id": "A"}])
    hub.tick(NOON)
    for number in range(1, 3):
        hub.ingest(hub.profile_type(), [{"Id": f"{number}"}])
        hub.tick(NOON + timedelta(minutes=15 * number))
    assert (len(hub.partner.paths("Profile/")), len(second.paths("Profile/"))) == (3, 1)
    arm(FailPoint.EXPORT_DELETED, lambda: passing.pauses.append(10.0))
    hub.set_clock(NOON + timedelta(days=30))
    with deadline(STEP_S + 15):
        delete_expired(hub.services)
    assert second.paths("Profile/") == []
    left = len(hub.partner.paths("Profile/"))
    assert left >= 1
    (run,) = hub.runs(RunKind.CLEANUP)
    assert (run.state, run.error and run.error.code) == (RunState.PARTIALLY_SUCCEEDED, "TimeIsUp")
    assert run.details["deleted"] == 3 - left
    delete_expired(hub.services)
    assert hub.partner.paths("Profile/") == []
    (run,) = hub.runs(RunKind.CLEANUP)
    assert (run.state, run.error, run.details["deleted"]) == (RunState.SUCCEEDED, None, 3)
