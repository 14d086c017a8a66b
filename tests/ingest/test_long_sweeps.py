"""A sweep of a container that one message has no time for: the messages after it go on where it stood."""

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.deadline import deadline
from shared.domain.run import RunState
from shared.ingest import sweep
from shared.ingest.messages import take_message
from shared.ingest.reconcile import reconcile
from shared.ingest.sweep import request_backfill, request_sweep
from shared.storage.queues import Queue
from tests.fault_proxy import Answer, FaultProxy, running_proxy
from tests.ingest.conftest import MESSAGE, ROWS, World
from tests.local_services import account_of
from tests.sent_messages import sent_messages

BLOBS = [f"{number}.csv" for number in range(6)]
# Less than a page takes: each message looks at one.
NO_TIME_S = 60


@pytest.fixture(autouse=True)
def _tiny_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_PAGE", 2)


@pytest.fixture
def queue(world: World) -> Iterator[FaultProxy]:
    """What is sent to the queue `ingest`; nobody takes it from there."""
    with running_proxy(world.azurite.queue) as proxy:
        account = account_of(world.azurite, queue=proxy.endpoint)
        world.services.ingest_queue = Queue(account, f"{world.hub.lower()}-ingest")
        world.services.ingest_queue.ensure()
        yield proxy


@pytest.fixture
def source(world: World) -> Iterator[FaultProxy]:
    """What is asked of the account of the mapping."""
    with running_proxy(world.azurite.blob) as proxy:
        world.put_connector("Landing", world.azurite.connection_string.replace(world.azurite.blob, proxy.endpoint))
        yield proxy


def take_sent(world: World, queue: FaultProxy) -> list[dict[str, Any]]:
    sent = [message for _, message in sent_messages(queue) if message["hub"] == world.hub]
    queue.requests.clear()
    return sent


def next_search(world: World, queue: FaultProxy) -> dict[str, Any]:
    (message,) = (message for message in take_sent(world, queue) if "sweep" in message)
    return message


def one_round(world: World, message: dict[str, Any]) -> None:
    with deadline(NO_TIME_S):
        take_message(world.services, message, MESSAGE)


def run_of(world: World, path: str, state: RunState) -> str:
    """A run of a new blob, as if it had come to a state."""
    run_id = world.queue(world.upload(path, ROWS))
    fail(world, run_id, state)
    return run_id


def fail(world: World, run_id: str, state: RunState = RunState.FAILED) -> None:
    stored = world.stored(run_id)
    world.services.runs.save(stored.with_run(state=state, finished_at=world.services.clock.now()))


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
    while searches := [message for message in sent if "sweep" in message]:
        (message,) = searches
        rounds += 1
        assert rounds <= 3
        one_round(world, message)
        sent = take_sent(world, queue)
        sends.update(message["runId"] for message in sent if "runId" in message)
        for run_id in failed:
            if world.run(run_id).state is RunState.QUEUED:
                fail(world, run_id)
    assert rounds == 3
    assert len([request for request in source.requests if "comp=list" in request.target]) == 3
    assert len(world.services.runs.page(world.hub, top=1000)[0]) == 6
    assert set(sends.values()) == {1}
    assert {*failed, waiting} < sends.keys()
    assert len(sends) == 6
    found = world.services.sweeps.backfill(world.hub, backfill.instance)
    assert found is not None
    assert (found.found, found.error, found.ended is not None) == (5, None, True)
    assert world.services.sweeps.searches_of_hub(world.hub) == {}


def test_a_message_that_comes_twice_takes_nothing_back(world: World, queue: FaultProxy) -> None:
    for path in BLOBS:
        world.upload(path, ROWS)
    backfill = request_backfill(world.services, world.mapping)
    message = next_search(world, queue)
    one_round(world, message)
    following = next_search(world, queue)
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
    one_round(world, next_search(world, queue))
    refusals = [Answer(400, "OutOfRangeQueryParameterValue")]
    source.plan = lambda request: refusals.pop() if "marker=" in request.target and refusals else None
    take_message(world.services, next_search(world, queue), MESSAGE)
    assert refusals == []
    found = world.services.sweeps.backfill(world.hub, backfill.instance)
    assert found is not None
    assert (found.found, found.error) == (4, None)


def test_a_newer_backfill_takes_the_place_of_one_under_way(world: World, queue: FaultProxy) -> None:
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    request_backfill(world.services, world.mapping)
    one_round(world, next_search(world, queue))
    old = next_search(world, queue)
    newer = request_backfill(world.services, world.mapping)
    message = next_search(world, queue)
    one_round(world, message)
    following = next_search(world, queue)
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
    one_round(world, next_search(world, queue))
    message = next_search(world, queue)
    reconcile(services)
    assert take_sent(world, queue) == []
    one_round(world, message)
    message = next_search(world, queue)
    with caplog.at_level(logging.INFO):
        one_round(world, message)
    assert f"sweep queued 6 blob versions: hub {world.hub} mapping Visits" in caplog.text
    assert set(world.states()) == set(BLOBS)
    assert services.sweeps.get(world.hub, world.mapping.instance_id) is not None
    take_sent(world, queue)
    reconcile(services)
    assert next_search(world, queue)


def test_the_next_tick_goes_on_where_a_message_was_lost_or_failed(
    world: World, queue: FaultProxy, source: FaultProxy
) -> None:
    for path in BLOBS:
        world.upload(path, ROWS)
    services = world.services
    instance = world.mapping.instance_id
    request_sweep(services.ingest_queue, world.hub, "Landing", "Visits")
    one_round(world, next_search(world, queue))
    lost = services.sweeps.search(world.hub, instance)
    assert lost is not None
    services.sweeps.note(world.hub, lost, services.clock.machine_now() - timedelta(hours=1))
    queue.requests.clear()
    reconcile(services)
    message = next_search(world, queue)
    source.plan = lambda request: Answer(403, "AuthorizationFailure") if "comp=list" in request.target else None
    one_round(world, message)
    source.plan = lambda _: None
    reconcile(services)
    message = next_search(world, queue)
    source.requests.clear()
    take_message(services, message, MESSAGE)
    assert len([request for request in source.requests if "comp=list" in request.target]) == 2
    assert set(world.states()) == set(BLOBS)


def test_a_tick_leaves_a_backfill_under_way_alone(world: World, queue: FaultProxy) -> None:
    for path in BLOBS[:4]:
        world.upload(path, ROWS)
    request_sweep(world.services.ingest_queue, world.hub, "Landing", "Visits")
    scheduled = next_search(world, queue)
    request_backfill(world.services, world.mapping)
    one_round(world, next_search(world, queue))
    before = world.services.sweeps.search(world.hub, world.mapping.instance_id)
    queue.requests.clear()
    one_round(world, scheduled)
    assert take_sent(world, queue) == []
    assert world.services.sweeps.search(world.hub, world.mapping.instance_id) == before
