"""Queue triggers and output bindings.

What is documented: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger and, for
the settings of host.json, https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json.

Not here: how long a message stays hidden while its function runs (ten minutes with the real host, seconds with the
stand-in, which `tests/local/test_lifecycle.py` tries), and what a real host does when it is killed.
"""

import time
import uuid
from itertools import pairwise
from typing import Any

from infra.local.functions_host.host_json import seconds
from tests.host.host import QUEUES, Host
from tests.local.waiting import eventually

# A queue that was empty for long is looked at once a minute: `maxPollingInterval`.
_PATIENCE_S = 75


def deliveries(host: Host, text: str) -> list[dict[str, Any]]:
    return [message for message in host.seen("work") if message["text"] == text]


def test_a_message_runs_once_and_writes_the_output_binding(host: Host) -> None:
    """functions-bindings-storage-queue-output#usage: what an output is set to is sent when the function returns."""
    text = f"hello {uuid.uuid4()} ä <&>"
    host.queue("work").send_message(text)
    eventually(lambda: f"done: {text}" in host.taken("done"), _PATIENCE_S)
    assert len(deliveries(host, text)) == 1
    eventually(lambda: host.queue("work").get_queue_properties().approximate_message_count == 0)


def test_a_function_sees_what_the_queue_knows_of_a_message(host: Host) -> None:
    """#message-metadata"""
    text = f"facts {uuid.uuid4()}"
    sent = host.queue("work").send_message(text)
    [facts] = eventually(lambda: deliveries(host, text), _PATIENCE_S)
    assert (facts["id"], facts["count"]) == (sent.id, 1)
    assert facts["receipt"]
    assert sent.inserted_on is not None
    assert sent.expires_on is not None
    assert abs(facts["inserted"] - sent.inserted_on.timestamp()) < 1
    assert abs(facts["expires"] - sent.expires_on.timestamp()) < 1


def test_a_failing_message_comes_again_after_a_pause_and_ends_as_poison(host: Host) -> None:
    """#poison-messages, and `maxDequeueCount` and `visibilityTimeout` of host.json."""
    text = f"fail {uuid.uuid4()}"
    host.queue("work").send_message(text)
    eventually(lambda: text in host.taken("work-poison"), _PATIENCE_S)
    found = deliveries(host, text)
    assert [message["count"] for message in found] == list(range(1, QUEUES["maxDequeueCount"] + 1))
    assert len({message["id"] for message in found}) == 1
    pauses = [later["at"] - earlier["at"] for earlier, later in pairwise(found)]
    assert min(pauses) >= 0.9 * seconds(QUEUES["visibilityTimeout"])


def test_what_is_not_base64_goes_to_poison_without_a_run(host: Host) -> None:
    """#encoding: queue functions expect base64; what cannot be decoded is poison."""
    text = f"plain {uuid.uuid4()}"
    with host.plain_queue("work") as work:
        work.send_message(text)
    eventually(lambda: text in host.taken("work-poison"), _PATIENCE_S)
    assert deliveries(host, text) == []


def test_an_http_function_writes_a_list_to_its_output_binding(host: Host) -> None:
    """functions-bindings-storage-queue-output#usage: a list becomes a message for each of its items."""
    text = uuid.uuid4().hex
    assert host.http.post(f"/enqueue/{text}?times=40").status_code == 202
    eventually(lambda: len(deliveries(host, text)) == 40, _PATIENCE_S)


def test_as_many_messages_at_a_time_as_a_batch_and_its_threshold(host: Host) -> None:
    """#concurrency: at most `batchSize` plus `newBatchThreshold`."""
    before = len(host.seen("held"))
    mark = uuid.uuid4().hex
    for number in range(15):
        host.queue("work").send_message(f"hold {mark} {number}")
    eventually(lambda: len(host.seen("held")) == before + 15, _PATIENCE_S)
    under_way = host.seen("held")[before:]
    assert 1 < max(under_way) <= QUEUES["batchSize"] + QUEUES["newBatchThreshold"]


def test_a_message_that_is_not_yet_visible_waits(host: Host) -> None:
    """https://learn.microsoft.com/rest/api/storageservices/put-message: `visibilitytimeout`."""
    text = f"later {uuid.uuid4()}"
    began = time.monotonic()
    host.queue("work").send_message(text, visibility_timeout=1)
    eventually(lambda: deliveries(host, text), _PATIENCE_S)
    assert time.monotonic() - began >= 0.9
