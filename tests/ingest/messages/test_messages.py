"""A service that asks to be left alone is left alone, and the message that wanted it rests in the queue for as long."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared import hub_rotation
from shared.app import Services
from shared.arrivals import reconcile
from shared.arrivals.match import handle_event
from shared.arrivals.reconcile import wake_left_behind
from shared.arrivals.sweep import request_backfill
from shared.deadline import EVENT_S, deadline
from shared.domain.documents.hubs import Hub
from shared.domain.documents.run import Run, RunKind, RunState
from shared.domain.errors import ThrottledError, TransientError, asked_to_wait_s
from shared.ledger.stored_run import RESTED, StoredRun
from shared.messages.ingest import give_up, handle_message
from shared.storage.queues import ATTEMPTS, Queue
from shared.storage.tables import Table
from tests.fault_proxy import Answer, FaultProxy, Request, running_proxy
from tests.ingest.arrivals.events import announced
from tests.ingest.conftest import MESSAGE, ROWS, Proxied, World
from tests.local_services import account_of, forget_hub
from tests.passing_time import PassingTime
from tests.sent_messages import sent_messages
from tests.thorough import THOROUGH

HOUR_S = 3600
AN_HOUR = {"Retry-After": str(HOUR_S)}
THROTTLED = Answer(429, "TooManyRequests", AN_HOUR)
ANSWERS = [(THROTTLED, "Throttled"), (Answer(503, "ServerBusy", AN_HOUR), "StorageUnavailable")]


@pytest.fixture
def queue(proxied: Proxied) -> Iterator[FaultProxy]:
    """What is sent to the queue `ingest`; nobody takes it from there."""
    services = proxied.world.services
    with running_proxy(proxied.world.azurite.queue) as proxy:
        account = account_of(proxied.world.azurite, queue=proxy.endpoint)
        services.ingest_queue = Queue(account, f"{proxied.world.hub.lower()}-ingest")
        services.ingest_queue.ensure()
        yield proxy


def message_of(world: World, run_id: str, **more: Any) -> dict[str, Any]:
    return {"hub": world.hub, "connector": "Proxied", "runId": run_id, **more}


def facts(run: Run) -> tuple[RunState, str | None, int]:
    return run.state, run.error.code if run.error else None, run.attempts


def seconds_to_rest(services: Services, world: World, run_id: str) -> float:
    until = world.stored(run_id).claimed_until
    assert until is not None
    return (until - services.clock.machine_now()).total_seconds()


@pytest.mark.parametrize(("answer", "code"), ANSWERS)
def test_a_source_that_asks_for_an_hour_is_left_alone_for_an_hour(
    proxied: Proxied,
    queue: FaultProxy,
    answer: Answer,
    code: str,
) -> None:
    world, services = proxied.world, proxied.world.services
    run_id = proxied.queue(world.upload("a.csv", ROWS))
    proxied.breaks(answer)
    queue.requests.clear()
    handle_message(services, message_of(world, run_id), MESSAGE, deliveries=3)
    assert sum(".csv" in request.target for request in proxied.proxy.requests) == 1
    ((delay_s, message),) = sent_messages(queue)
    assert HOUR_S <= delay_s <= 1.1 * HOUR_S + 1
    assert facts(world.run(run_id)) == (RunState.QUEUED, code, 0), "that was no attempt"
    assert HOUR_S - 60 < seconds_to_rest(services, world, run_id) <= delay_s
    proxied.mends()
    handle_message(services, message, "another message")
    assert facts(world.run(run_id)) == (RunState.SUCCEEDED, None, 1)
    assert world.committed_rows == 3


def test_what_is_asked_for_is_measured_by_what_the_queue_waits() -> None:
    host = json.loads((Path(__file__).parents[3] / "host.json").read_text())
    hours, minutes, seconds = map(int, host["extensions"]["queues"]["visibilityTimeout"].split(":"))
    waits = 3600 * hours + 60 * minutes + seconds
    asks = [ThrottledError("Throttled", "busy", retry_after_s=waits + more) for more in (0, 1)]
    assert [asked_to_wait_s(error) for error in asks] == [None, waits + 1]


def test_a_week_that_is_asked_for_is_a_day(proxied: Proxied, queue: FaultProxy) -> None:
    world, services = proxied.world, proxied.world.services
    run_id = proxied.queue(world.upload("a.csv", ROWS))
    proxied.breaks(Answer(429, "TooManyRequests", {"Retry-After": "604800"}))
    queue.requests.clear()
    handle_message(services, message_of(world, run_id), MESSAGE)
    assert [delay_s for delay_s, _ in sent_messages(queue)] == [24 * HOUR_S]
    assert seconds_to_rest(services, world, run_id) <= 24 * HOUR_S
    with pytest.raises(ThrottledError):
        handle_message(services, message_of(world, run_id), "a fresh message")
    assert facts(world.run(run_id)) == (RunState.QUEUED, "Throttled", 1)
    assert world.stored(run_id).claimed_until is None
    proxied.mends()
    handle_message(services, message_of(world, run_id), MESSAGE)
    assert facts(world.run(run_id)) == (RunState.SUCCEEDED, None, 2)
    assert RESTED not in world.run(run_id).details


@pytest.mark.parametrize("seconds", [0, 8, 20, 30])
def test_whoever_asks_for_no_longer_than_the_queue_waits_anyway_has_failed(
    proxied: Proxied,
    queue: FaultProxy,
    seconds: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    PassingTime(monkeypatch)
    world = proxied.world
    run_id = proxied.queue(world.upload("a.csv", ROWS))
    proxied.breaks(Answer(429, "TooManyRequests", {"Retry-After": str(seconds)}))
    queue.requests.clear()
    for attempt in range(1, 3):
        with pytest.raises(ThrottledError):
            handle_message(world.services, message_of(world, run_id), MESSAGE, attempt)
        assert facts(world.run(run_id)) == (RunState.QUEUED, "Throttled", attempt)
    assert sent_messages(queue) == []


def test_whoever_asks_for_hours_and_hours_has_failed_in_the_end(
    proxied: Proxied,
    queue: FaultProxy,
) -> None:
    world = proxied.world
    run_id = proxied.queue(world.upload("a.csv", ROWS))
    proxied.breaks(THROTTLED)
    queue.requests.clear()
    message = message_of(world, run_id)
    rested = 0
    for number in range(30):
        try:
            handle_message(world.services, message, f"message-{number}")
        except ThrottledError:
            break
        delay_s, message = sent_messages(queue)[-1]
        rested += delay_s
    assert 24 * HOUR_S <= rested <= 25.2 * HOUR_S
    for _ in range(ATTEMPTS - 1):
        with pytest.raises(ThrottledError):
            handle_message(world.services, message, f"message-{number}")
    give_up(world.services, message)
    assert facts(world.run(run_id))[:2] == (RunState.FAILED, "Throttled")
    assert world.stored(run_id).retry_at is not None


def test_a_run_that_rests_is_not_left_behind(
    proxied: Proxied,
    queue: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "LEFT_BEHIND_AFTER", timedelta(0))
    world, services = proxied.world, proxied.world.services
    run_id = proxied.queue(world.upload("a.csv", ROWS))
    proxied.breaks(THROTTLED)
    handle_message(services, message_of(world, run_id), MESSAGE)
    queue.requests.clear()
    list(wake_left_behind(services, world.hub))
    assert sent_messages(queue) == []
    # Its message should have come by now.
    services.runs.save(replace(world.stored(run_id), claimed_until=services.clock.machine_now()))
    list(wake_left_behind(services, world.hub))
    assert sent_messages(queue) == [(0, message_of(world, run_id))]


def test_what_one_hub_left_behind_keeps_no_other_waiting(
    proxied: Proxied, queue: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, services = proxied.world, proxied.world.services
    other = f"{world.hub}Other"
    services.definitions.put_hub(other, Hub.from_request({}))
    for hub in [world.hub] * 10 + [other]:
        run = Run(run_id=uuid.uuid4().hex, kind=RunKind.INGEST, queued_at=services.clock.now())
        assert services.runs.create(StoredRun(hub=hub, run=run))
    monkeypatch.setattr(reconcile, "LEFT_BEHIND_AFTER", timedelta(0))
    monkeypatch.setattr(hub_rotation, "SLICE_S", 0.0)
    reconcile.reconcile(services)
    forget_hub(world.azurite, other)
    sent = (message for _, message in sent_messages(queue) if "runId" in message)
    woken = [message["hub"] for message in sent if message["hub"] in {world.hub, other}]
    assert sorted(woken) == sorted([world.hub] * 10 + [other])
    assert woken.index(other) < 8, "it comes before the others are done"


def test_each_run_of_a_paused_mapping_is_a_step(
    world: World, queue: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody pauses a mapping that has found a hundred thousand files: the tick goes on to the other hubs."""
    monkeypatch.setattr(reconcile, "LEFT_BEHIND_AFTER", timedelta(0))
    for name in ("a.csv", "b.csv", "c.csv"):
        world.queue(world.upload(name, ROWS))
    definitions = world.services.definitions
    mapping = definitions.pause_mapping(world.hub, "Landing", "Visits", paused=True)
    queue.requests.clear()
    steps = wake_left_behind(world.services, world.hub, {mapping.instance_id: mapping.document})
    assert (sum(1 for _ in steps), sent_messages(queue)) == (3, [])


def test_a_claim_that_could_not_be_given_back_is_held_by_the_message_that_rests(
    proxied: Proxied,
    queue: FaultProxy,
) -> None:
    world, services = proxied.world, proxied.world.services
    run_id = proxied.queue(world.upload("a.csv", ROWS))
    table, writes = services.runs._table, 0

    def plan(request: Request) -> Answer | None:
        nonlocal writes
        writes += "$batch" in request.target
        return Answer(503, "ServerBusy", {"Retry-After": "300"}) if writes > 1 else None

    queue.requests.clear()
    with running_proxy(world.azurite.table) as tables:
        services.runs._table = Table(account_of(world.azurite, table=tables.endpoint), table.name)
        tables.plan = plan
        handle_message(services, message_of(world, run_id), MESSAGE)
    services.runs._table = table
    assert facts(world.run(run_id)) == (RunState.RUNNING, None, 1)
    ((delay_s, message),) = sent_messages(queue)
    assert 300 <= delay_s <= 331
    handle_message(services, message_of(world, run_id), "a message of somebody else")
    assert world.run(run_id).state is RunState.RUNNING
    handle_message(services, message, "another message")
    assert world.run(run_id).state is RunState.SUCCEEDED
    assert world.committed_rows == 3


def test_a_search_rests_as_well(proxied: Proxied, queue: FaultProxy) -> None:
    world, services = proxied.world, proxied.world.services
    world.upload("a.csv", ROWS)
    queue.requests.clear()
    request_backfill(services, services.definitions.mapping(world.hub, "Proxied", "Proxied"))
    ((_, search),) = sent_messages(queue)
    proxied.proxy.plan = lambda request: THROTTLED if "comp=list" in request.target else None
    handle_message(services, search, MESSAGE)
    delay_s, message = sent_messages(queue)[-1]
    assert delay_s >= HOUR_S
    assert search.items() <= message.items()
    proxied.mends()
    handle_message(services, message, "another message")
    assert world.states("Proxied") == {"a.csv": RunState.QUEUED}


@pytest.mark.parametrize(
    ("down", "asked"),
    [
        (down, asked)
        for down in ("queue", "table")
        for asked in ("0", "8", "60", "3600", None)
        if THOROUGH or down == "queue" or asked in {"60", None}
    ],
)
def test_an_event_is_answered_while_event_grid_waits(
    world: World, down: str, asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is delivered again for a day."""
    event = announced(world, world.upload("a.csv", ROWS))
    services = world.services
    queue, table = services.ingest_queue, services.runs._table
    with running_proxy(getattr(world.azurite, down)) as proxy:
        account = account_of(world.azurite, **{down: proxy.endpoint})
        services.ingest_queue = Queue(account, queue.name) if down == "queue" else queue
        services.runs._table = Table(account, "runs") if down == "table" else table
        proxy.plan = lambda _: Answer(503, "ServerBusy", {"Retry-After": asked} if asked else {})
        time_passes = PassingTime(monkeypatch)
        with pytest.raises(TransientError), deadline(EVENT_S):
            handle_event(services, event)
    assert sum(time_passes.pauses) < EVENT_S
    services.ingest_queue, services.runs._table = queue, table
    handle_event(services, event)
    world.work_off()
    assert world.states() == {"a.csv": RunState.SUCCEEDED}
