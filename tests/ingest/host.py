"""The queue `ingest` worked off in this process, as the Functions host does: deliveries counted, then given up."""

import base64
import json
import time
from typing import Any

from azure.storage.queue import QueueClient, QueueMessage

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.messages.ingest import give_up, handle_message
from shared.storage.queues import ATTEMPTS

_LATER_S = 4.0


def work_off(azurite: Endpoints, services: Services, hub: str) -> None:
    """Takes messages until none shows itself any more; those of other tests' hubs are dropped."""
    services.ingest_queue.ensure()
    with QueueClient.from_connection_string(azurite.connection_string, services.ingest_queue.name) as queue:
        while message := _next(queue):
            if (content := _content(message)).get("hub") == hub and not _is_taken(services, content, message):
                queue.update_message(message, visibility_timeout=0)
                continue
            queue.delete_message(message)


def _next(queue: QueueClient) -> QueueMessage | None:
    """The next message; one that is sent for later shows itself within seconds, or not in the time of a test."""
    deadline = time.monotonic() + _LATER_S
    while True:
        message = queue.receive_message(visibility_timeout=60)
        if message or not queue.get_queue_properties().approximate_message_count or time.monotonic() > deadline:
            return message
        time.sleep(0.05)


def _is_taken(services: Services, content: dict[str, Any], message: QueueMessage) -> bool:
    """Whether the message is done with, be it as one that was tried in vain."""
    deliveries = message.dequeue_count or 1
    try:
        handle_message(services, content, message.id, deliveries)
    except Exception:
        if deliveries < ATTEMPTS:
            return False
        give_up(services, content)
    return True


def _content(message: QueueMessage) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(message.content)))
