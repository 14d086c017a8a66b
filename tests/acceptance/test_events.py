"""Events through the webhook, the trigger and the worker library: each is taken, passed over or recorded as bad."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from azure.data.tables import TableServiceClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.state_dir import Stack
from tests.acceptance.hub import Hub, Json
from tests.thorough import examples

CLOUD_EVENT = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
CLOUD_EVENTS = {"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}


def as_cloud_event(event: Json) -> Json:
    """The same event as a subscription in the CloudEvents schema delivers it."""
    kept = {name: event[name] for name in ("id", "subject", "data")}
    renamed = {"source": event["topic"], "type": event["eventType"], "time": event["eventTime"]}
    return {"specversion": "1.0", **kept, **renamed}


@pytest.fixture(scope="module")
def listening(stack: Stack) -> Iterator[Hub]:
    """A hub that takes whatever lands as text files; no local Event Grid announces those."""
    with Hub.created(stack, "Listening") as hub:
        hub.profile_type()
        hub.mapping("Customers", {"Id": "id", "City": "city", "Points": "points"}, fileFilter="**/*.txt")
        hub.wait_for_backfill("Customers")
        yield hub


def deliver(hub: Hub, body: Any, headers: dict[str, str] | None = None) -> int:
    """Posts a body as it is; returns the status."""
    return hub.http.post(
        "/runtime/webhooks/eventgrid?functionName=blob_created",
        content=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "aeg-event-type": "Notification", **(headers or {})},
    ).status_code


def bad_events(hub: Hub) -> int:
    """How many events were recorded as bad, in all tests so far."""
    with TableServiceClient.from_connection_string(hub.stack.storage_connection_string) as service:
        table = service.create_table_if_not_exists("badevents")
        return len(list(table.list_entities(select=["RowKey"])))


def taken(hub: Hub) -> set[str]:
    """The paths of the blobs that have a run."""
    return {run["blob"]["path"] for run in hub.runs(kind="Ingest")}


def new_event(hub: Hub, **data: Any) -> Json:
    """The event of a blob that is not there; its run ends as skipped, soon."""
    return hub.event(f"{uuid.uuid4().hex}.txt", "0x8DE000000000000", **data)


def path_of(event: Json) -> str:
    return str(event["subject"]).rpartition("/")[2]


# Of an event as Event Grid sends it: what is changed, and what becomes of it.
CHANGES: dict[str, tuple[Json, str]] = {
    "as it is": ({}, "taken"),
    "a time of India": ({"eventTime": "2026-11-22T15:30:00+05:30"}, "taken"),
    "a time west of Greenwich, to the tick": ({"eventTime": "2026-11-22T10:00:00.1234567-08:00"}, "taken"),
    "a time in words": ({"eventTime": "yesterday"}, "taken"),
    "a time that is a number": ({"eventTime": 1.7e9}, "taken"),
    "no time": ({"eventTime": None}, "taken"),
    "another type": ({"eventType": "Microsoft.Storage.BlobDeleted"}, "recorded"),
    "data is a text": ({"data": "text"}, "recorded"),
    "data is a list": ({"data": [{}]}, "recorded"),
    "an id that is deep": ({"id": [[[[{"a": []}]]]], "eventType": 7}, "recorded"),
    "two schemas at once": ({"specversion": "1.0"}, "recorded"),
}
CLOUD_CHANGES: dict[str, tuple[Json, str]] = {
    "as it is": ({}, "taken"),
    "a time of India": ({"time": "2026-11-22T15:30:00+05:30"}, "taken"),
    "a time in words": ({"time": "yesterday"}, "taken"),
    "no time": ({"time": None}, "taken"),
    "no source": ({"source": None}, "taken"),
    "extensions": ({"traceparent": "00-1-2-01", "datacontenttype": "application/json"}, "taken"),
    "another account": ({"source": "/x/storageAccounts/other", "data.url": None}, "ignored"),
    "url of another account": ({"source": "/x/storageAccounts/other"}, "recorded"),
    "another type": ({"type": "Microsoft.Storage.BlobDeleted"}, "recorded"),
    "of a later version": ({"specversion": "2.0"}, "recorded"),
    "a version that is a number": ({"specversion": 1.0}, "recorded"),
    "data in base64": ({"data": None, "data_base64": "e30="}, "recorded"),
}
NO_OBJECTS: list[object] = [None, True, 7, -0.5, "", "text", [], [[]], [{"id": "inside"}], {}]


def changed(event: Json, change: Json) -> Json:
    data = {name: value for name, value in event["data"].items() if f"data.{name}" not in change}
    return {**event, "data": data} | {name: value for name, value in change.items() if "." not in name}


def outcome_between_neighbours(hub: Hub, odd: Any, path: str = "") -> str:
    """What becomes of an event in the middle of a batch; its neighbours are taken, whatever it is."""
    first, last = new_event(hub), as_cloud_event(new_event(hub))
    bad = bad_events(hub)
    assert deliver(hub, [first, odd, last]) == 202
    known = taken(hub)
    assert {path_of(first), path_of(last)} <= known
    if path and path in known:
        return "taken"
    return "recorded" if bad_events(hub) == bad + 1 else "ignored"


@pytest.mark.parametrize(("change", "outcome"), CHANGES.values(), ids=CHANGES)
def test_what_becomes_of_an_event_in_the_event_grid_schema(listening: Hub, change: Json, outcome: str) -> None:
    event = new_event(listening)
    assert outcome_between_neighbours(listening, changed(event, change), path_of(event)) == outcome


@pytest.mark.parametrize(("change", "outcome"), CLOUD_CHANGES.values(), ids=CLOUD_CHANGES)
def test_what_becomes_of_a_cloud_event(listening: Hub, change: Json, outcome: str) -> None:
    event = as_cloud_event(new_event(listening))
    assert outcome_between_neighbours(listening, changed(event, change), path_of(event)) == outcome


@pytest.mark.parametrize("odd", NO_OBJECTS, ids=str)
def test_what_is_no_event_is_recorded(listening: Hub, odd: Any) -> None:
    assert outcome_between_neighbours(listening, odd) == "recorded"


@pytest.mark.parametrize(
    ("headers", "is_batch"), [(CLOUD_EVENT, False), (CLOUD_EVENTS, True), ({}, False), ({}, True)], ids=str
)
def test_cloud_events_bring_blobs_in(listening: Hub, headers: dict[str, str], is_batch: bool) -> None:
    path = f"{uuid.uuid4().hex}.txt"
    etag = listening.upload(path, "id,city,points\nA,Utrecht,1\n")
    event = as_cloud_event(listening.event(path, etag, contentLength=28))
    assert deliver(listening, [event] if is_batch else event, headers) == 202
    run = listening.run_of(path)
    assert (run["state"], run["rowsIngested"]) == ("Succeeded", 1)


@pytest.mark.parametrize("step", [1, -1], ids=["Event Grid's first", "CloudEvents first"])
def test_a_blob_announced_in_both_schemas_has_one_run(listening: Hub, step: int) -> None:
    event = new_event(listening)
    both = [event, as_cloud_event(event)]
    assert deliver(listening, both[::step]) == 202
    assert [run["blob"]["path"] for run in listening.runs(kind="Ingest")].count(path_of(event)) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENVELOPE = st.sampled_from(
    ["id", "topic", "subject", "eventType", "eventTime", "data", "specversion", "type", "source", "time"]
)
FACTS = st.sampled_from(["api", "eTag", "contentLength", "url", "sequencer", "blobType"])


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
@given(
    strangers=st.lists(JSON, max_size=3),
    envelope=st.dictionaries(ENVELOPE, JSON, max_size=2),
    facts=st.dictionaries(FACTS, JSON, max_size=2),
    is_cloud_event=st.booleans(),
)
def test_whatever_json_comes_is_answered_and_its_neighbours_are_taken(
    listening: Hub, strangers: list[Any], envelope: Json, facts: Json, is_cloud_event: bool
) -> None:
    first, last = new_event(listening), new_event(listening)
    odd = new_event(listening, **facts)
    odd = {**(as_cloud_event(odd) if is_cloud_event else odd), **envelope}
    bad = bad_events(listening)
    assert deliver(listening, [first, odd, *strangers, last]) == 202
    assert {path_of(first), path_of(last)} <= taken(listening)
    assert bad_events(listening) >= bad + len(strangers)
