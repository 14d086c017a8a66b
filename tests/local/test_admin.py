"""`POST /admin/functions/NAME`."""

import json
import uuid

import pytest

from tests.local.conftest import SampleApp
from tests.local.waiting import eventually

pytestmark = pytest.mark.lengthy


def test_timer(sample: SampleApp) -> None:
    before = len(sample.seen("tick"))
    assert sample.admin("tick").status_code == 202
    eventually(lambda: len(sample.seen("tick")) == before + 1)
    assert sample.seen("tick")[-1]["pastDue"] is False


def test_the_name_is_found_in_any_case(sample: SampleApp) -> None:
    assert sample.admin("TICK").status_code == 202


def test_event(sample: SampleApp) -> None:
    mark = uuid.uuid4().hex
    assert sample.admin("blob_created", json.dumps({"id": mark})).status_code == 202
    eventually(lambda: mark in {event["id"] for event in sample.seen("blob_created")})


def test_queue_message(sample: SampleApp) -> None:
    mark = uuid.uuid4().hex
    assert sample.admin("work", mark).status_code == 202
    eventually(lambda: mark in {message["text"] for message in sample.seen("work")})


@pytest.mark.parametrize(
    ("function", "content", "status"),
    [
        ("absent", b'{"input": ""}', 404),
        ("hello", b'{"input": ""}', 400),
        ("tick", b"", 400),
        ("tick", b"[]", 400),
        ("tick", b'{"input": {}}', 400),
        ("tick", b"{}", 202),
        ("blob_created", b'{"input": "no json"}', 400),
    ],
)
def test_what_cannot_be_run(sample: SampleApp, function: str, content: bytes, status: int) -> None:
    assert sample.http.post(f"/admin/functions/{function}", content=content).status_code == status
