"""Queues on Azurite: messages as the Functions host reads them."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.storage.queue import QueueClient

from infra.local.azurite import Endpoints
from shared.domain.errors import FatalError, RequestTooLargeError
from shared.storage.accounts import StorageAccount
from shared.storage.queues import Queue


@pytest.fixture
def client(azurite: Endpoints, name: str) -> QueueClient:
    return QueueClient.from_connection_string(azurite.connection_string, name)


def test_a_message_is_base64_of_json(account: StorageAccount, name: str, client: QueueClient) -> None:
    Queue(account, name).send({"hub": "Contoso", "blob": "Müller's \u20ac.csv", "slot": None})
    [message] = client.receive_messages()
    assert json.loads(base64.b64decode(message.content)) == {
        "hub": "Contoso",
        "blob": "Müller's \u20ac.csv",
        "slot": None,
    }
    assert message.expires_on is not None
    assert message.expires_on.year == 9999


def test_a_message_may_be_for_later(account: StorageAccount, name: str, client: QueueClient) -> None:
    queue = Queue(account, name)
    queue.send({"n": 1}, delay_s=3600)
    assert list(client.receive_messages()) == []
    assert client.get_queue_properties().approximate_message_count == 1


def test_many_first_senders_share_one_queue(account: StorageAccount, name: str, client: QueueClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Queue(account, name).send({"n": number}), range(8)))
    found = [json.loads(base64.b64decode(message.content))["n"] for message in client.receive_messages()]
    assert sorted(found) == list(range(8))


def test_a_queue_is_there_after_it_was_asked_for(account: StorageAccount, name: str, client: QueueClient) -> None:
    Queue(account, name).ensure()
    Queue(account, name).ensure()
    assert client.get_queue_properties().name == name


def test_a_message_that_is_too_large_is_refused(account: StorageAccount, name: str) -> None:
    with pytest.raises(RequestTooLargeError, match=name):
        Queue(account, name).send({"text": "x" * 70_000})


def test_an_account_without_queues_says_so(name: str) -> None:
    blobs_only = StorageAccount("contoso", "https://contoso.blob.core.windows.net")
    with pytest.raises(FatalError, match="queue"):
        Queue(blobs_only, name).send({})
