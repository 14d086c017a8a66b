"""Queue triggers and output bindings through the functions host."""

import uuid

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from tests.local.conftest import SampleApp
from tests.local.waiting import eventually

pytestmark = pytest.mark.lengthy

_MAX_DEQUEUE_COUNT = 3  # sample_app/host.json


def deliveries(sample: SampleApp, text: str) -> list[int]:
    return [message["count"] for message in sample.seen("work") if message["text"] == text]


def texts(queue: QueueClient) -> list[str]:
    try:
        return [str(message.content) for message in queue.peek_messages(32)]
    except ResourceNotFoundError:
        return []  # an output queue is made with its first message


def test_a_message_runs_once_and_writes_the_output_binding(sample: SampleApp) -> None:
    text = f"hello {uuid.uuid4()} ä <&>"
    sample.queue("work").send_message(text)
    eventually(lambda: f"done: {text}" in texts(sample.queue("done")))
    assert deliveries(sample, text) == [1]
    eventually(lambda: sample.queue("work").get_queue_properties().approximate_message_count == 0)


def test_a_failing_message_comes_again_with_its_count_and_ends_as_poison(sample: SampleApp) -> None:
    text = f"fail {uuid.uuid4()}"
    sample.queue("work").send_message(text)
    eventually(lambda: text in texts(sample.queue("work-poison")))
    assert deliveries(sample, text) == list(range(1, _MAX_DEQUEUE_COUNT + 1))


def test_what_is_not_base64_goes_to_poison_without_a_run(sample: SampleApp) -> None:
    text = f"plain {uuid.uuid4()}"
    connection = sample.stack.storage_connection_string
    with QueueClient.from_connection_string(connection, "work") as work:
        work.send_message(text)
    with QueueClient.from_connection_string(connection, "work-poison") as poison:
        eventually(lambda: text in texts_of(poison))
    assert deliveries(sample, text) == []


def texts_of(queue: QueueClient) -> list[str]:
    try:
        return [str(message.content) for message in queue.peek_messages(32)]
    except ResourceNotFoundError:
        return []  # an output queue is made with its first message


def test_an_http_function_writes_a_list_to_its_output_binding(sample: SampleApp) -> None:
    text = uuid.uuid4().hex
    assert sample.http.post(f"/enqueue/{text}?times=40").status_code == 202
    eventually(lambda: len(deliveries(sample, text)) == 40)


def test_the_poison_queue_is_there_from_the_start(sample: SampleApp) -> None:
    assert sample.queue("work-poison").get_queue_properties().name == "work-poison"
