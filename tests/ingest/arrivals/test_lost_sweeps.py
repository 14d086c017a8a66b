"""Messages of sweeps that are lost, late or doubled: every sweep comes to its end, and nothing is left of it."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.arrivals import sweep
from shared.arrivals.match import request_sweep
from shared.arrivals.progress import BackfillState, progress
from shared.arrivals.reconcile import reconcile
from shared.arrivals.sweep import request_backfill
from shared.domain.errors import RefusedError
from shared.ledger.sweeps import Backfill
from shared.messages.ingest import give_up, handle_message
from tests.definitions.places.claims import damage
from tests.fault_proxy import Answer, FaultProxy, Request
from tests.ingest.arrivals.sweeping import BLOBS, Later, listings, next_sweep, one_round, take_sent
from tests.ingest.conftest import MESSAGE, ROWS, World


@pytest.fixture(autouse=True)
def _tiny_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_PAGE", 2)


def test_a_backfill_whose_message_was_lost_is_sent_again(world: World, queue: FaultProxy, source: FaultProxy) -> None:
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    clock = world.services.clock = Later(world.services.settings)
    backfill = request_backfill(world.services, world.mapping)
    one_round(world, next_sweep(world, queue))
    queue.requests.clear()
    waiting: list[dict[str, Any]] = []
    for minutes, sent in ((61, [backfill.number]), (179, [])):
        clock.ahead = timedelta(minutes=minutes)
        reconcile(world.services)
        again = [message for message in take_sent(world, queue) if "sweep" in message]
        assert [message["backfill"] for message in again] == sent, minutes
        waiting += again
    source.requests.clear()
    handle_message(world.services, waiting[0], MESSAGE)
    assert listings(source) == 1, "it goes on where it stood"
    assert progress(world.services, world.hub, world.mapping).found == 4
    take_sent(world, queue)
    reconcile(world.services)
    assert "backfill" not in next_sweep(world, queue), "the schedule goes on"


def test_a_backfill_that_could_not_be_sent_is_sent_by_the_next_tick(world: World, queue: FaultProxy) -> None:
    queue.plan = lambda request: Answer(403, "AuthorizationFailure") if request.method == "POST" else None
    with pytest.raises(RefusedError):
        request_backfill(world.services, world.mapping)
    queue.plan = lambda _: None
    queue.requests.clear()
    reconcile(world.services)
    one_round(world, next_sweep(world, queue))
    assert progress(world.services, world.hub, world.mapping).state is BackfillState.DONE


def test_a_resume_that_stopped_before_it_asked_for_its_backfill(world: World, queue: FaultProxy) -> None:
    """The message of the earlier one was dropped during the pause."""
    world.upload("a.csv", ROWS)
    clock = world.services.clock = Later(world.services.settings)
    request_backfill(world.services, world.mapping)
    world.services.definitions.pause_mapping(world.hub, "Landing", "Visits", paused=True)
    one_round(world, next_sweep(world, queue))
    world.services.definitions.pause_mapping(world.hub, "Landing", "Visits", paused=False)
    clock.ahead = timedelta(hours=1)
    reconcile(world.services)
    one_round(world, next_sweep(world, queue))
    assert progress(world.services, world.hub, world.mapping).state is BackfillState.INGESTING


def end(world: World, message: dict[str, Any]) -> None:
    handle_message(world.services, message, MESSAGE)


def replace_backfill(world: World, _: dict[str, Any]) -> None:
    request_backfill(world.services, world.mapping)


def make_anew(world: World, _: dict[str, Any]) -> None:
    world.services.definitions.delete_mapping(world.hub, "Landing", "Visits")
    world.put_mapping()


def give_up_message(world: World, message: dict[str, Any]) -> None:
    give_up(world.services, message)


@pytest.mark.parametrize("end_it", [end, replace_backfill, make_anew, give_up_message])
def test_a_message_of_a_backfill_that_is_over_does_nothing(
    world: World,
    queue: FaultProxy,
    source: FaultProxy,
    caplog: pytest.LogCaptureFixture,
    end_it: Callable[[World, dict[str, Any]], None],
) -> None:
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    request_backfill(world.services, world.mapping)
    one_round(world, next_sweep(world, queue))
    message = next_sweep(world, queue)
    end_it(world, message)
    before = world.services.sweeps.known(world.hub)
    source.requests.clear()
    with caplog.at_level(logging.INFO):
        handle_message(world.services, message, MESSAGE)
    assert f"backfill passed over: hub {world.hub} mapping Visits" in caplog.text
    assert listings(source) == 0
    assert world.services.sweeps.known(world.hub) == before


def test_a_backfill_is_left_off_where_a_newer_one_is_asked_for_meanwhile(
    world: World, queue: FaultProxy, source: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_NOTE_EVERY", timedelta())
    for path in BLOBS:
        world.upload(path, ROWS)
    newer: list[Backfill] = []

    def ask(request: Request) -> None:
        if "marker=" in request.target and not newer:
            newer.append(request_backfill(world.services, world.mapping))

    request_backfill(world.services, world.mapping)
    message = next_sweep(world, queue)
    source.requests.clear()
    source.plan = ask
    handle_message(world.services, message, MESSAGE)
    assert listings(source) == 2
    assert [world.services.sweeps.backfill(world.hub, world.mapping.instance_id)] == newer


def test_after_a_backfill_that_was_given_up_the_schedule_goes_on(world: World, queue: FaultProxy) -> None:
    request_backfill(world.services, world.mapping)
    give_up(world.services, next_sweep(world, queue))
    assert progress(world.services, world.hub, world.mapping).state is BackfillState.FAILED
    reconcile(world.services)
    handle_message(world.services, next_sweep(world, queue), MESSAGE)
    assert world.services.sweeps.get(world.hub, world.mapping.instance_id) is not None


def test_a_backfill_that_has_ended_is_not_given_up_with_its_second_message(world: World, queue: FaultProxy) -> None:
    request_backfill(world.services, world.mapping)
    message = next_sweep(world, queue)
    handle_message(world.services, message, MESSAGE)
    give_up(world.services, message)
    assert progress(world.services, world.hub, world.mapping).state is BackfillState.DONE


def test_a_message_of_the_schedule_that_comes_late_finds_its_sweep_done(
    world: World, queue: FaultProxy, source: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    request_sweep(world.services, world.hub, "Landing", "Visits")
    message = next_sweep(world, queue)
    for done in (1, 0):
        source.requests.clear()
        with caplog.at_level(logging.INFO):
            handle_message(world.services, message, MESSAGE)
        assert listings(source) == done
    assert f"sweep passed over: hub {world.hub} mapping Visits: another has come before it" in caplog.text


def test_a_backfill_takes_the_place_of_a_sweep_by_the_schedule(world: World, queue: FaultProxy) -> None:
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    request_sweep(world.services, world.hub, "Landing", "Visits")
    one_round(world, next_sweep(world, queue))
    queue.requests.clear()
    request_backfill(world.services, world.mapping)
    handle_message(world.services, next_sweep(world, queue), MESSAGE)
    assert world.services.sweeps.scheduled(world.hub, world.mapping.instance_id) is None


def test_what_is_known_of_sweeps_goes_with_the_mapping(world: World, queue: FaultProxy) -> None:
    """Not where it may be that of a mapping which cannot be read."""
    services = world.services
    for name in ("Broken", "Visits"):
        stored = world.put_mapping(name)
        request_backfill(services, stored)
        handle_message(services, next_sweep(world, queue), MESSAGE)
    before = services.sweeps.known(world.hub)
    assert len(before) == 2
    services.definitions.delete_mapping(world.hub, "Landing", "Visits")
    definitions = services.definitions._store
    row = definitions.noted(world.hub.lower(), "mapping|landing|broken")
    assert row is not None
    damage(services.definitions, world.hub, "mapping|landing|broken")
    reconcile(services)
    assert services.sweeps.known(world.hub) == before
    definitions.change(world.hub, lambda change: change.note("mapping|landing|broken", row))
    reconcile(services)
    assert services.sweeps.known(world.hub).keys() == before.keys() - {stored.instance_id}
    services.definitions.connectors.delete(world.hub, "Landing")
    reconcile(services)
    assert services.sweeps.known(world.hub) == {}
