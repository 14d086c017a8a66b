"""The queue `ingest` worked off in this process, as the Functions host does: deliveries counted, then given up."""

import base64
import json
from typing import Any

from azure.storage.queue import QueueClient, QueueMessage

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.ingest.messages import ATTEMPTS, give_up, take_message


def work_off(azurite: Endpoints, services: Services, hub: str) -> None:
    """Takes messages until none is visible; those of other tests' hubs are dropped."""
    services.ingest_queue.ensure()
    with QueueClient.from_connection_string(azurite.connection_string, services.ingest_queue.name) as queue:
        while message := queue.receive_message(visibility_timeout=60):
            if (content := _content(message)).get("hub") == hub and not _is_taken(services, content, message):
                queue.update_message(message, visibility_timeout=0)
                continue
            queue.delete_message(message)


def _is_taken(services: Services, content: dict[str, Any], message: QueueMessage) -> bool:
    """Whether the message is done with, be it as one that was tried in vain."""
    deliveries = message.dequeue_count or 1
    try:
        take_message(services, content, message.id, deliveries)
    except Exception:
        if deliveries < ATTEMPTS:
            return False
        give_up(services, content)
    return True


def _content(message: QueueMessage) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(message.content)))
