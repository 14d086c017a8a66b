"""From a commit in Azurite to the app's Event Grid function, and what the stand-in's webhook has of its own.

`tests/host/test_event_grid.py` has what any host's webhook does.
"""

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


def test_a_failed_delivery_says_why(sample: SampleApp) -> None:
    failing = [{"id": "1", "subject": "s", "data": {"fail": True}}]
    answer = sample.root.post(_WEBHOOK, json=failing, headers=_NOTIFICATION)
    assert answer.status_code == 500
    assert answer.text


@pytest.mark.parametrize("odd", ["text", 7, [{"id": "inside"}], None, True])
def test_an_event_that_is_no_object_is_the_functions_affair(sample: SampleApp, odd: Any) -> None:
    """The extension refuses it before any function sees it; Event Grid never sends it."""
    assert sample.root.post(_WEBHOOK, json=[odd], headers=_NOTIFICATION).status_code == 500
    raw = _WEBHOOK.replace("blob_created", "raw_event")
    assert sample.root.post(raw, json=[odd], headers=_NOTIFICATION).status_code == 202
    assert odd in [json.loads(text) for text in sample.seen("raw_event")]


@pytest.mark.parametrize("content", [b"no json", b"[" * 100_000, b"[\xff]"])
def test_what_cannot_be_read_is_a_bad_request(sample: SampleApp, content: bytes) -> None:
    assert sample.root.post(_WEBHOOK, headers=_NOTIFICATION, content=content).status_code == 400


@pytest.mark.parametrize(
    "body", [None, 7, [], [7], {}, {"data": 7}, {"data": "no json"}, {"data": "[]"}, [{"data": {}}], [{"data": None}]]
)
def test_a_handshake_without_a_code_is_a_bad_request(sample: SampleApp, body: object) -> None:
    answer = sample.root.post(_WEBHOOK, json=body, headers={"aeg-event-type": "SubscriptionValidation"})
    assert answer.status_code == 400


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
