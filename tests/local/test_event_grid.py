"""From a commit in Azurite, or a delivery over HTTP, to the app's Event Grid function."""

import json
import time
import uuid
from typing import Any

import pytest
from azure.storage.blob import BlobBlock

from infra.local.event_grid import is_announced
from tests.local.conftest import SampleApp
from tests.local.waiting import eventually

pytestmark = pytest.mark.lengthy

_WEBHOOK = "/runtime/webhooks/eventgrid?functionName=blob_created"
_NOTIFICATION = {"aeg-event-type": "Notification"}


def events_of(sample: SampleApp, container: str) -> list[dict[str, Any]]:
    prefix = f"/blobServices/default/containers/{container}/blobs/"
    events = [e for e in sample.seen("blob_created") if (e["subject"] or "").startswith(prefix)]
    return [{**e, "path": e["subject"].removeprefix(prefix)} for e in events]


@pytest.fixture
def container(sample: SampleApp) -> str:
    name = f"in-{uuid.uuid4().hex[:12]}"
    sample.blobs.create_container(name)
    return name


@pytest.mark.parametrize(
    "path",
    [
        "a.csv",
        "2026/07/a b.csv",
        "ä/日本.csv.gz",
        "a+b%20c.csv",
        "%41.csv",
        "a?b#c&d=e;.csv",
        "UPPER.CSV",
        "x'(1)\".csv",
    ],
)
def test_an_upload_is_announced_within_two_seconds(sample: SampleApp, container: str, path: str) -> None:
    blob = sample.blobs.get_blob_client(container, path)
    committed = blob.upload_blob(b"id\n1\n")
    event = eventually(lambda: events_of(sample, container), within=2)[0]
    assert event["path"] == path
    assert event["type"] == "Microsoft.Storage.BlobCreated"
    data = event["data"]
    assert data["eTag"] == committed["etag"].strip('"')
    assert (data["api"], data["contentLength"], data["blobType"]) == ("PutBlob", 5, "BlockBlob")
    assert data["url"] == blob.url


def test_every_version_has_its_own_event_and_a_growing_sequencer(sample: SampleApp, container: str) -> None:
    blob = sample.blobs.get_blob_client(container, "a.csv")
    etags = [blob.upload_blob(b"x" * n, overwrite=True)["etag"].strip('"') for n in range(5)]
    eventually(lambda: len(events_of(sample, container)) == 5)
    events = sorted(events_of(sample, container), key=lambda e: e["data"]["sequencer"])
    assert [e["data"]["eTag"] for e in events] == etags
    assert [e["data"]["contentLength"] for e in events] == [0, 1, 2, 3, 4]


def test_block_list_and_copy_are_announced_once_each(sample: SampleApp, container: str) -> None:
    blocks = sample.blobs.get_blob_client(container, "blocks.csv")
    blocks.stage_block("AAAA", b"id\n")
    blocks.stage_block("AAAB", b"1\n")
    blocks.commit_block_list([BlobBlock("AAAA"), BlobBlock("AAAB")])
    sample.blobs.get_blob_client(container, "copy.csv").start_copy_from_url(blocks.url)
    eventually(lambda: len(events_of(sample, container)) == 2)
    found = {e["path"]: (e["data"]["api"], e["data"]["contentLength"]) for e in events_of(sample, container)}
    assert found == {"blocks.csv": ("PutBlockList", 5), "copy.csv": ("CopyBlob", 5)}


def test_what_commits_no_content_is_not_announced(sample: SampleApp, container: str) -> None:
    blob = sample.blobs.get_blob_client(container, "a.csv")
    blob.upload_blob(b"1")
    blob.set_blob_metadata({"note": "x"})
    blob.create_snapshot()
    blob.set_http_headers()
    blob.acquire_lease().release()
    blob.get_blob_properties()
    sample.blobs.get_blob_client(container, "a.txt").upload_blob(b"1")
    sample.blobs.get_blob_client(container, "last.csv").upload_blob(b"1")
    eventually(lambda: "last.csv" in {e["path"] for e in events_of(sample, container)})
    assert sorted(e["path"] for e in events_of(sample, container)) == ["a.csv", "last.csv"]


@pytest.mark.parametrize(
    ("container", "path", "announced"),
    [
        ("in", "a.csv", True),
        ("in", "a.CSV.GZ", True),
        ("in", "a.parquet", False),
        ("lake", "a.csv", False),
        ("runs", "a.csv", False),
        ("azure-webjobs-hosts", "a.csv", False),
        ("$logs", "a.csv", False),
    ],
)
def test_subscription_filter(container: str, path: str, announced: bool) -> None:
    assert is_announced(container, path) is announced


def event(**fields: Any) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "topic": "t",
        "subject": "s",
        "eventType": "e",
        "eventTime": "2026-11-22T14:15:16.1234567Z",
        "data": {},
        "dataVersion": "",
        **fields,
    }


def test_delivery_of_a_batch(sample: SampleApp) -> None:
    batch = [event(), event()]
    assert sample.http.post(_WEBHOOK, json=batch, headers=_NOTIFICATION).status_code == 202
    assert {e["id"] for e in batch} <= {e["id"] for e in sample.seen("blob_created")}


def test_one_failed_event_fails_the_delivery_and_its_neighbours_run(sample: SampleApp) -> None:
    good = event()
    answer = sample.http.post(_WEBHOOK, json=[event(data={"fail": True}), good], headers=_NOTIFICATION)
    assert (answer.status_code, answer.text) == (500, "ValueError: told to fail")
    assert good["id"] in {e["id"] for e in sample.seen("blob_created")}


ODD_EVENTS: dict[str, Any] = {
    "a time with an offset": event(eventTime="2026-11-22T14:15:16+05:30"),
    "a time in words": event(eventTime="yesterday"),
    "a time that is a number": event(eventTime=17),
    "a CloudEvent": {"specversion": "1.0", "id": "c", "type": "t", "source": "s", "data": {}},
    "a text": "text",
    "a number": 7,
    "a list": [{"id": "inside"}],
    "null": None,
    "true": True,
}


@pytest.mark.parametrize("odd", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_the_workers_own_decoder_decides_what_a_function_sees(sample: SampleApp, odd: Any) -> None:
    """It fails before a function that wants an `EventGridEvent`; one that wants a `str` sees the event as it came."""
    good = event()
    refused = sample.http.post(_WEBHOOK, json=[good, odd], headers=_NOTIFICATION)
    assert refused.status_code == 500
    assert good["id"] in {e["id"] for e in sample.seen("blob_created")}
    raw = _WEBHOOK.replace("blob_created", "raw_event")
    assert sample.http.post(raw, json=[odd], headers=_NOTIFICATION).status_code == 202
    assert odd in [json.loads(text) for text in sample.seen("raw_event")]


@pytest.mark.parametrize(
    ("media", "content"),
    [
        ("application/cloudevents+json; charset=utf-8", '{"specversion": "1.0", "id": "MARK"}'),
        ("application/cloudevents-batch+json; charset=utf-8", '[{"specversion": "1.0", "id": "MARK"}]'),
        ("application/json", '\ufeff[{"id": "MARK"}]'),
    ],
)
def test_events_come_one_at_a_time_or_in_batches(sample: SampleApp, media: str, content: str) -> None:
    mark = uuid.uuid4().hex
    raw = _WEBHOOK.replace("blob_created", "raw_event")
    headers = {**_NOTIFICATION, "content-type": media}
    answer = sample.http.post(raw, content=content.replace("MARK", mark).encode(), headers=headers)
    assert answer.status_code == 202
    assert [json.loads(text)["id"] for text in sample.seen("raw_event") if mark in text] == [mark]


@pytest.mark.parametrize(
    ("url", "headers", "content", "status"),
    [
        (_WEBHOOK.replace("blob_created", "Blob_Created"), _NOTIFICATION, b"[]", 404),
        (_WEBHOOK.replace("blob_created", "hello"), _NOTIFICATION, b"[]", 404),
        (_WEBHOOK, {}, b"[]", 400),
        (_WEBHOOK, {"aeg-event-type": "Surprise"}, b"[]", 400),
        (_WEBHOOK, _NOTIFICATION, b"no json", 400),
        (_WEBHOOK, _NOTIFICATION, b"[" * 100_000, 400),
        (_WEBHOOK, _NOTIFICATION, b"[\xff]", 400),
        (_WEBHOOK, _NOTIFICATION, b"[]", 202),
        (_WEBHOOK, {"aeg-event-type": "Unsubscribe"}, b"", 202),
    ],
)
def test_what_is_no_delivery(sample: SampleApp, url: str, headers: dict[str, str], content: bytes, status: int) -> None:
    assert sample.http.post(url, headers=headers, content=content).status_code == status


@pytest.mark.parametrize(
    "body",
    [[{"data": {"validationCode": "c0de"}}], {"data": json.dumps({"validationCode": "c0de"})}],
    ids=["event grid schema", "cloud events"],
)
def test_validation_handshake(sample: SampleApp, body: object) -> None:
    answer = sample.http.post(_WEBHOOK, json=body, headers={"aeg-event-type": "SubscriptionValidation"})
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "c0de"})


@pytest.mark.parametrize(
    "body", [None, 7, [], [7], {}, {"data": 7}, {"data": "no json"}, {"data": "[]"}, [{"data": {}}], [{"data": None}]]
)
def test_a_handshake_without_a_code_is_refused(sample: SampleApp, body: object) -> None:
    answer = sample.http.post(_WEBHOOK, json=body, headers={"aeg-event-type": "SubscriptionValidation"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ({"WebHook-Request-Origin": "eventgrid.azure.net"}, "eventgrid.azure.net"),
        ({"WebHook-Request-Origin": "eventgrid.azure.us", "WebHook-Request-Rate": "120"}, "eventgrid.azure.us"),
        ({"WebHook-Request-Origin": "elsewhere.example"}, "eventgrid.azure.net"),
        ({}, "eventgrid.azure.net"),
    ],
)
def test_handshake_of_cloud_events(sample: SampleApp, asked: dict[str, str], allowed: str) -> None:
    answer = sample.http.options(_WEBHOOK, headers=asked)
    assert (answer.status_code, answer.headers["webhook-allowed-origin"]) == (200, allowed)
    assert sample.http.options(_WEBHOOK.replace("blob_", "no_"), headers=asked).status_code == 404


def test_a_failed_delivery_is_repeated_with_the_same_event(sample: SampleApp, container: str) -> None:
    sample.blobs.get_blob_client(container, "flaky.csv").upload_blob(b"1")
    event = eventually(lambda: events_of(sample, container))[0]
    assert sample.seen("flaky") == [event["id"]]


def test_a_burst_arrives_whole(sample: SampleApp, container: str) -> None:
    started = time.monotonic()
    client = sample.blobs.get_container_client(container)
    for number in range(60):
        client.upload_blob(f"{number}.csv", b"1")
    uploaded = time.monotonic()
    eventually(lambda: len(events_of(sample, container)) >= 60)
    assert time.monotonic() - uploaded < max(2, uploaded - started)
    assert len({e["path"] for e in events_of(sample, container)}) == len(events_of(sample, container)) == 60
