"""The host's own API: its status, and functions that are run by hand.

What is documented: https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http.
"""

import json
import uuid

import pytest

from tests.host.host import Host
from tests.local.waiting import eventually


def test_the_host_says_that_it_runs(host: Host) -> None:
    answer = host.root.get("/admin/host/status")
    assert (answer.status_code, answer.json()["state"]) == (200, "Running")


def test_timer(host: Host) -> None:
    before = len(host.seen("tick"))
    assert host.admin("tick").status_code == 202
    eventually(lambda: len(host.seen("tick")) == before + 1)
    assert host.seen("tick")[-1]["pastDue"] is False


def test_the_name_is_found_in_any_case(host: Host) -> None:
    before = len(host.seen("tick"))
    assert host.admin("TICK").status_code == 202
    eventually(lambda: len(host.seen("tick")) == before + 1)


def test_event(host: Host) -> None:
    mark = uuid.uuid4().hex
    assert host.admin("raw_event", json.dumps({"id": mark})).status_code == 202
    eventually(lambda: mark in {json.loads(event).get("id") for event in host.seen("raw_event") if mark in event})


def test_queue_message(host: Host) -> None:
    mark = uuid.uuid4().hex
    assert host.admin("work", mark).status_code == 202
    eventually(lambda: mark in {message["text"] for message in host.seen("work")})


@pytest.mark.parametrize(
    ("function", "content", "status"),
    [
        ("absent", b'{"input": ""}', 404),
        ("raw_event", b"", 400),
        ("raw_event", b"[]", 400),
        ("raw_event", b'{"input": {}}', 400),
    ],
)
def test_what_cannot_be_run(host: Host, function: str, content: bytes, status: int) -> None:
    answer = host.root.post(
        f"/admin/functions/{function}", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status
