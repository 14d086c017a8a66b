"""The webhook of the Event Grid extension.

What is documented: https://learn.microsoft.com/azure/azure-functions/functions-bindings-event-grid-trigger for events,
https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema for the handshake, and for
what becomes of an answer https://learn.microsoft.com/azure/event-grid/delivery-and-retry: after 202 an event is
delivered, after 400 or 404 of a webhook it is given up soon or at once, after 500 it is sent again.

Not here: the sending again, which is the service's; `tests/local/test_event_grid.py` tries the stand-in for it.
"""

import json
import uuid
from typing import Any

import pytest

from tests.host.host import Host

_WEBHOOK = "/runtime/webhooks/eventgrid?functionName=blob_created"
_RAW = _WEBHOOK.replace("blob_created", "raw_event")
_NOTIFICATION = {"aeg-event-type": "Notification"}


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


def test_delivery_of_a_batch(host: Host) -> None:
    """https://learn.microsoft.com/azure/event-grid/delivery-and-retry#output-batching"""
    batch = [event(), event()]
    assert host.root.post(_WEBHOOK, json=batch, headers=_NOTIFICATION).status_code == 202
    assert {e["id"] for e in batch} <= {e["id"] for e in host.seen("blob_created")}


def test_one_failed_event_fails_the_delivery_and_its_neighbours_run(host: Host) -> None:
    good = event()
    answer = host.root.post(_WEBHOOK, json=[event(data={"fail": True}), good], headers=_NOTIFICATION)
    assert answer.status_code == 500
    assert good["id"] in {e["id"] for e in host.seen("blob_created")}


ODD_EVENTS: dict[str, Any] = {
    "a time with an offset": event(eventTime="2026-11-22T14:15:16+05:30"),
    "a time in words": event(eventTime="yesterday"),
    "a time that is a number": event(eventTime=17),
    "a CloudEvent": {"specversion": "1.0", "id": "c", "type": "t", "source": "s", "data": {}},
}


@pytest.mark.parametrize("odd", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_the_workers_own_decoder_decides_what_a_function_sees(host: Host, odd: Any) -> None:
    """It fails before a function that wants an `EventGridEvent`; one that wants a `str` sees the event as it came."""
    good = event()
    refused = host.root.post(_WEBHOOK, json=[good, odd], headers=_NOTIFICATION)
    assert refused.status_code == 500
    assert good["id"] in {e["id"] for e in host.seen("blob_created")}
    assert host.root.post(_RAW, json=[odd], headers=_NOTIFICATION).status_code == 202
    assert odd in [json.loads(text) for text in host.seen("raw_event")]


@pytest.mark.parametrize(
    ("media", "content"),
    [
        ("application/cloudevents+json; charset=utf-8", '{"specversion": "1.0", "id": "MARK"}'),
        ("application/cloudevents-batch+json; charset=utf-8", '[{"specversion": "1.0", "id": "MARK"}]'),
        ("application/json", '\ufeff[{"id": "MARK"}]'),
    ],
)
def test_events_come_one_at_a_time_or_in_batches(host: Host, media: str, content: str) -> None:
    mark = uuid.uuid4().hex
    headers = {**_NOTIFICATION, "content-type": media}
    answer = host.root.post(_RAW, content=content.replace("MARK", mark).encode(), headers=headers)
    assert answer.status_code == 202
    assert [json.loads(text)["id"] for text in host.seen("raw_event") if mark in text] == [mark]


@pytest.mark.parametrize(
    ("url", "headers", "content", "status"),
    [
        (_WEBHOOK.replace("blob_created", "Blob_Created"), _NOTIFICATION, b"[]", 404),
        (_WEBHOOK.replace("blob_created", "hello"), _NOTIFICATION, b"[]", 404),
        (_WEBHOOK, {}, b"[]", 400),
        (_WEBHOOK, {"aeg-event-type": "Surprise"}, b"[]", 400),
        (_WEBHOOK, _NOTIFICATION, b"[]", 202),
        (_WEBHOOK, {"aeg-event-type": "Unsubscribe"}, b"", 202),
    ],
)
def test_what_is_asked_decides_the_answer(
    host: Host, url: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    assert host.root.post(url, headers=headers, content=content).status_code == status


@pytest.mark.parametrize(
    "body",
    [[{"data": {"validationCode": "c0de"}}], {"data": json.dumps({"validationCode": "c0de"})}],
    ids=["event grid schema", "cloud events"],
)
def test_validation_handshake(host: Host, body: object) -> None:
    answer = host.root.post(_WEBHOOK, json=body, headers={"aeg-event-type": "SubscriptionValidation"})
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "c0de"})


@pytest.mark.parametrize("content", [b"no json", b"[" * 100_000, b"[", b"7"])
@pytest.mark.parametrize("kind", ["Notification", "SubscriptionValidation"])
def test_what_is_no_delivery_is_not_accepted(host: Host, kind: str, content: bytes) -> None:
    """By which refusal is the host's own affair: the extension's is 500 where it cannot read."""
    assert host.root.post(_WEBHOOK, headers={"aeg-event-type": kind}, content=content).status_code >= 400


@pytest.mark.parametrize("body", [[], [7], {}, {"data": "no json"}, [{"data": {}}], [{"data": None}]])
def test_a_handshake_without_a_code_is_not_accepted(host: Host, body: object) -> None:
    answer = host.root.post(_WEBHOOK, json=body, headers={"aeg-event-type": "SubscriptionValidation"})
    assert answer.status_code >= 400


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ({"WebHook-Request-Origin": "eventgrid.azure.net"}, "eventgrid.azure.net"),
        ({"WebHook-Request-Origin": "eventgrid.azure.us", "WebHook-Request-Rate": "120"}, "eventgrid.azure.us"),
        ({"WebHook-Request-Origin": "elsewhere.example"}, "eventgrid.azure.net"),
        ({}, "eventgrid.azure.net"),
    ],
)
def test_handshake_of_cloud_events(host: Host, asked: dict[str, str], allowed: str) -> None:
    answer = host.root.options(_WEBHOOK, headers=asked)
    assert (answer.status_code, answer.headers["webhook-allowed-origin"]) == (200, allowed)
    assert host.root.options(_WEBHOOK.replace("blob_", "no_"), headers=asked).status_code == 404
