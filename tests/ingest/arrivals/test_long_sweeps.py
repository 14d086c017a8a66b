"""A sweep of a container that one message has no time for: the messages after it go on where it stood."""

import logging
from collections import Counter, deque
from datetime import timedelta

import pytest

from shared.arrivals import sweep
from shared.arrivals.match import request_sweep
from shared.arrivals.progress import BackfillState, progress
from shared.arrivals.reconcile import reconcile
from shared.arrivals.sweep import request_backfill
from shared.definitions.store.definition_store import Change
from shared.domain.documents.run import RunState
from shared.messages.ingest import handle_message
from shared.storage.tables import ETAG
from tests.fault_proxy import Answer, FaultProxy
from tests.ingest.arrivals.sweeping import BLOBS, Later, listings, next_sweep, one_round, take_sent
from tests.ingest.conftest import MESSAGE, ROWS, World


@pytest.fixture(autouse=True)
def _tiny_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_PAGE", 2)


def run_of(world: World, path: str, state: RunState) -> str:
    """A run of a new blob, as if it had come to a state."""
    run_id = world.queue(world.upload(path, ROWS))
    fail(world, run_id, state)
    return run_id


def fail(world: World, run_id: str, state: RunState = RunState.FAILED) -> None:
    stored = world.stored(run_id)
    world.services.runs.save(stored.with_run(state=state, finished_at=world.services.clock.now()))


def forget_listings(world: World) -> None:
    """Makes the mapping one whose container was not listed yet, without a change of its ETag."""
    store, key = world.services.definitions._store, "mapping|landing|visits"

    def make(change: Change) -> None:
        row = store.noted(world.hub, key)
        assert row is not None
        change.note(key, {**row, "internal": '{"listed": "{}"}'}, row.pop(ETAG))

    store.change(world.hub, make)


def test_every_blob_is_looked_at_once(world: World, queue: FaultProxy, source: FaultProxy) -> None:
    failed = [run_of(world, path, RunState.FAILED) for path in (BLOBS[0], BLOBS[5])]
    waiting = world.queue(world.upload(BLOBS[1], ROWS))
    for path in BLOBS[2:5]:
        world.upload(path, ROWS)
    queue.requests.clear()
    source.requests.clear()
    backfill = request_backfill(world.services, world.mapping, wake=True)
    sent, rounds = take_sent(world, queue), 0
    sends: Counter[str] = Counter()
    while sweeps := [message for message in sent if "sweep" in message]:
        (message,) = sweeps
        rounds += 1
        assert rounds <= 3
        one_round(world, message)
        sent = take_sent(world, queue)
        sends.update(message["runId"] for message in sent if "runId" in message)
        for run_id in failed:
            if world.run(run_id).state is RunState.QUEUED:
                fail(world, run_id)
    assert rounds == 3
    assert listings(source) == 3
    assert len(world.services.runs.page(world.hub, top=1000)[0]) == 6
    assert set(sends.values()) == {1}
    assert {*failed, waiting} < sends.keys()
    assert len(sends) == 6
    found = world.services.sweeps.backfill(world.hub, backfill.instance)
    assert found is not None
    assert (found.found, found.error, found.ended is not None) == (5, None, True)
    assert found.begun is None
    assert world.services.sweeps.known(world.hub)[backfill.instance].scheduled is None


def test_a_message_that_comes_twice_takes_nothing_back(world: World, queue: FaultProxy) -> None:
    for path in BLOBS:
        world.upload(path, ROWS)
    backfill = request_backfill(world.services, world.mapping)
    message = next_sweep(world, queue)
    one_round(world, message)
    following = next_sweep(world, queue)
    for _ in range(2):
        one_round(world, message)
    found = world.services.sweeps.backfill(world.hub, backfill.instance)
    assert found is not None
    assert found.found == 6
    one_round(world, following)
    assert len(world.services.runs.page(world.hub, top=1000)[0]) == 6


def test_a_marker_that_is_refused_begins_the_listing_anew(world: World, queue: FaultProxy, source: FaultProxy) -> None:
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    backfill = request_backfill(world.services, world.mapping)
    one_round(world, next_sweep(world, queue))
    refusals = [Answer(400, "OutOfRangeQueryParameterValue")]
    source.plan = lambda request: refusals.pop() if "marker=" in request.target and refusals else None
    handle_message(world.services, next_sweep(world, queue), MESSAGE)
    assert refusals == []
    found = world.services.sweeps.backfill(world.hub, backfill.instance)
    assert found is not None
    assert (found.found, found.error) == (4, None)


def test_a_container_that_cannot_be_listed_first_is_not_looked_through(
    world: World, queue: FaultProxy, source: FaultProxy
) -> None:
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    backfill = request_backfill(world.services, world.mapping)
    one_round(world, next_sweep(world, queue))
    forget_listings(world)
    source.plan = lambda request: Answer(403, "AuthorizationFailure") if "maxresults=1" in request.target else None
    handle_message(world.services, next_sweep(world, queue), MESSAGE)
    found = world.services.sweeps.backfill(world.hub, backfill.instance)
    assert found is not None
    assert (found.error and found.error.code) == "AccessDenied"
    assert len(world.states()) == 2


def test_a_newer_backfill_takes_the_place_of_one_under_way(world: World, queue: FaultProxy) -> None:
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    request_backfill(world.services, world.mapping)
    one_round(world, next_sweep(world, queue))
    old = next_sweep(world, queue)
    newer = request_backfill(world.services, world.mapping)
    message = next_sweep(world, queue)
    one_round(world, message)
    following = next_sweep(world, queue)
    one_round(world, old)
    assert take_sent(world, queue) == []
    one_round(world, following)
    found = world.services.sweeps.backfill(world.hub, newer.instance)
    assert found is not None
    assert (found.found, found.ended is not None) == (2, True)


def test_a_sweep_by_the_schedule_goes_on_and_no_tick_asks_for_another(
    world: World, queue: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    for path in BLOBS:
        world.upload(path, ROWS)
    services = world.services
    reconcile(services)
    one_round(world, next_sweep(world, queue))
    message = next_sweep(world, queue)
    reconcile(services)
    assert take_sent(world, queue) == []
    one_round(world, message)
    message = next_sweep(world, queue)
    with caplog.at_level(logging.INFO):
        one_round(world, message)
    assert f"sweep queued 6 blob versions: hub {world.hub} mapping Visits" in caplog.text
    assert set(world.states()) == set(BLOBS)
    assert services.sweeps.get(world.hub, world.mapping.instance_id) is not None
    take_sent(world, queue)
    reconcile(services)
    assert next_sweep(world, queue)


def test_the_next_tick_goes_on_where_a_message_was_lost_or_failed(
    world: World, queue: FaultProxy, source: FaultProxy
) -> None:
    for path in BLOBS:
        world.upload(path, ROWS)
    services = world.services
    instance = world.mapping.instance_id
    request_sweep(services, world.hub, "Landing", "Visits")
    one_round(world, next_sweep(world, queue))
    lost = services.sweeps.scheduled(world.hub, instance)
    assert lost is not None
    services.sweeps.note(world.hub, lost, services.clock.machine_now() - timedelta(hours=1))
    queue.requests.clear()
    reconcile(services)
    message = next_sweep(world, queue)
    source.plan = lambda request: Answer(403, "AuthorizationFailure") if "comp=list" in request.target else None
    one_round(world, message)
    source.plan = lambda _: None
    reconcile(services)
    message = next_sweep(world, queue)
    source.requests.clear()
    handle_message(services, message, MESSAGE)
    assert listings(source) == 2
    assert set(world.states()) == set(BLOBS)


def test_nothing_is_left_of_a_sweep_by_definitions_that_were_changed(world: World, queue: FaultProxy) -> None:
    """Else it would count as under way, and no tick would ask for another sweep for an hour."""
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    services = world.services
    request_sweep(services, world.hub, "Landing", "Visits")
    one_round(world, next_sweep(world, queue))
    message = next_sweep(world, queue)
    world.put_mapping(structure=[{"propertyName": "Page", "columnName": "address"}])
    handle_message(services, message, MESSAGE)
    assert set(world.states()) == set(BLOBS[:4])
    queue.requests.clear()
    reconcile(services)
    assert next_sweep(world, queue)


def test_a_tick_leaves_a_backfill_under_way_alone(world: World, queue: FaultProxy) -> None:
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    request_sweep(world.services, world.hub, "Landing", "Visits")
    scheduled = next_sweep(world, queue)
    request_backfill(world.services, world.mapping)
    one_round(world, next_sweep(world, queue))
    before = world.services.sweeps.known(world.hub)
    queue.requests.clear()
    one_round(world, scheduled)
    reconcile(world.services)
    assert take_sent(world, queue) == []
    assert world.services.sweeps.known(world.hub) == before


def test_a_queue_that_is_hours_behind_does_not_start_a_backfill_over(
    world: World, queue: FaultProxy, source: FaultProxy
) -> None:
    """Each message waits for 70 minutes, with the ticks of that time behind those that were sent before."""
    for path in BLOBS[:2]:
        world.upload(path, ROWS)
    failed = [run_of(world, path, RunState.FAILED) for path in BLOBS[2:4]]
    clock = world.services.clock = Later(world.services.settings)
    request_backfill(world.services, world.mapping)
    waiting = deque(message for message in take_sent(world, queue) if "sweep" in message)
    source.requests.clear()
    rounds = 0
    while waiting:
        rounds += 1
        assert rounds <= 8, "the sweeps come to an end"
        clock.ahead += timedelta(minutes=70)
        if progress(world.services, world.hub, world.mapping).state is BackfillState.SEARCHING:
            reconcile(world.services)
        one_round(world, waiting.popleft())
        waiting += [message for message in take_sent(world, queue) if "sweep" in message]
    assert {world.run(run_id).state for run_id in failed} == {RunState.QUEUED}, "on a later page"
    assert progress(world.services, world.hub, world.mapping).state is BackfillState.INGESTING
    assert listings(source) == 2
