"""A run can be followed from its event to its commit, in one trace that a collector of this process takes."""

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from infra.local.azurite import ACCOUNT_KEY
from shared.arrivals.match import handle_event
from shared.failpoints import FailPoint, arm
from shared.messages.ingest import handle_message
from shared.telemetry.spans import called_by_host
from tests.fault_proxy import FaultProxy
from tests.ingest.arrivals.events import announced
from tests.ingest.conftest import World
from tests.sent_messages import sent_messages
from tests.telemetry.otlp_collector import KEY, Collected, exported, facts

TRACE, SECOND = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"
HOST, HOST_OF_QUEUE = f"00-{TRACE}-b7ad6b7169203331-00", f"00-{SECOND}-c7ad6b7169203331-00"
CELL, REFUSED = "/a-page-that-somebody-read", '"what-somebody-typed"y'
CSV = f"page\n{CELL}\n{CELL}\n{REFUSED}\n"
STEPS = ["claim", "decide", "stage", "commit", "end"]


def follow(world: World, queue: FaultProxy, path: str, text: str) -> Collected:
    """What is exported of a blob from its event to the end of its run, each as a call of the host's."""
    version = world.upload(path, text)
    with exported(world.services.settings) as collected:
        with called_by_host("call-1", HOST):
            handle_event(world.services, announced(world, version))
        [(_, message)] = sent_messages(queue)
        with called_by_host("call-2", HOST_OF_QUEUE):
            handle_message(world.services, message, "message-1")
    return collected


def children(collected: Collected, parent: Span) -> list[str]:
    found = [span for span in collected.spans if span.parent_span_id == parent.span_id]
    return [span.name for span in sorted(found, key=lambda span: span.start_time_unix_nano)]


def test_one_trace_leads_from_the_event_to_the_commit(world: World, queue: FaultProxy) -> None:
    collected = follow(world, queue, "a.csv", CSV)
    event, work = collected.span("blob_created"), collected.span("ingest_blob")
    assert {span.trace_id.hex() for span in collected.spans} == {TRACE}
    assert event.parent_span_id.hex() == "b7ad6b7169203331"
    assert work.parent_span_id == event.span_id
    assert [link.trace_id.hex() for link in work.links] == [SECOND]
    assert children(collected, work) == STEPS
    assert len(collected.spans) == 2 + len(STEPS)
    assert collected.failed() == {}
    calls = [facts(span.attributes)["faas.invocation_id"] for span in (event, work)]
    assert calls == ["call-1", "call-2"]


def test_every_span_of_a_run_names_it_and_the_last_says_what_it_came_to(world: World, queue: FaultProxy) -> None:
    collected = follow(world, queue, "a.csv", CSV)
    [(_, message)] = sent_messages(queue)
    named = {facts(span.attributes).get("run.id") for span in collected.spans if span.name != "blob_created"}
    assert named == {message["runId"]}
    assert facts(collected.span("end").attributes) == {
        "run.id": message["runId"],
        "run.kind": "Ingest",
        "run.state": "PartiallySucceeded",
        "run.attempts": 1,
        "run.rows.read": 3,
        "run.rows.ingested": 2,
        "run.rows.rejected": 1,
    }


def test_metrics_have_units(world: World, queue: FaultProxy) -> None:
    metrics = follow(world, queue, "a.csv", CSV).metrics
    units = {name: metric.unit for name, metric in metrics.items() if name != "connector.commit.retries"}
    assert units == {
        "connector.rows.read": "{row}",
        "connector.rows.ingested": "{row}",
        "connector.rows.rejected": "{row}",
        "connector.run.duration": "s",
        "connector.arrival.lag": "s",
    }
    rows = [value_of(metrics[f"connector.rows.{what}"]) for what in ("read", "ingested", "rejected")]
    assert rows == [3, 2, 1]
    [lag] = metrics["connector.arrival.lag"].histogram.data_points
    assert 0 <= lag.sum < 60
    [duration] = metrics["connector.run.duration"].histogram.data_points
    assert facts(duration.attributes) == {"run.kind": "Ingest", "run.state": "PartiallySucceeded"}


def value_of(metric: Any) -> int:
    [point] = metric.sum.data_points
    return int(point.as_int)


def test_nothing_that_a_user_gave_and_no_secret_is_in_it(world: World, queue: FaultProxy) -> None:
    collected = follow(world, queue, "a-folder/a-person.csv", CSV)
    text = collected.text
    assert "run.rows.rejected" in text
    for given in (CELL, "what-somebody-typed", "a-person", world.container, world.hub, ACCOUNT_KEY, KEY):
        assert given not in text
    assert collected.keys == {KEY}


def test_a_refused_blob_says_why_where_it_was_found(world: World, queue: FaultProxy) -> None:
    collected = follow(world, queue, "a.csv", "nothing that fits\n1\n")
    assert collected.failed() == {"end": "MissingColumns"}
    assert facts(collected.span("end").attributes)["run.state"] == "Failed"


def test_an_attempt_that_fails_marks_its_step_and_the_next_one_stays_in_the_trace(
    world: World, queue: FaultProxy
) -> None:
    version = world.upload("a.csv", CSV)
    with exported(world.services.settings) as collected:
        handle_event(world.services, announced(world, version))
        [(_, message)] = sent_messages(queue)
        arm(FailPoint.CLAIM_CHECKED, fail)
        with pytest.raises(OSError, match="an error whose text"):
            handle_message(world.services, message, "message-1")
        arm(FailPoint.CLAIM_CHECKED, lambda: None)
        handle_message(world.services, message, "message-1", 2)
    assert collected.failed() == {"commit": "OSError", "ingest_blob": "OSError"}
    assert len({span.trace_id for span in collected.spans}) == 1
    assert [span.name for span in collected.spans].count("commit") == 2
    assert "a.csv" not in collected.text


def fail() -> None:
    raise OSError("an error whose text names a.csv")


def test_a_message_without_a_trace_is_in_that_of_the_host(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", CSV))
    message = {"hub": world.hub, "connector": "Landing", "runId": run_id, "traceparent": "of another form"}
    with exported(world.services.settings) as collected, called_by_host("call-1", HOST):
        handle_message(world.services, message, "message-1")
    work = collected.span("ingest_blob")
    assert (work.trace_id.hex(), len(work.links)) == (TRACE, 0)


def test_messages_carry_no_trace_where_nothing_is_exported(world: World, queue: FaultProxy) -> None:
    with called_by_host("call-1", HOST):
        handle_event(world.services, announced(world, world.upload("a.csv", CSV)))
    [(_, message)] = sent_messages(queue)
    assert message.keys() == {"hub", "connector", "runId"}
