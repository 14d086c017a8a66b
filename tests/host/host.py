"""A functions host that serves `tests/host/app`, seen from outside: by HTTP and by its queues."""

import base64
import binascii
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

SAMPLE_APP = Path(__file__).parent / "app"
HOST_JSON = json.loads((SAMPLE_APP / "host.json").read_text(encoding="utf-8"))
PREFIX = HOST_JSON["extensions"]["http"]["routePrefix"]
QUEUES = HOST_JSON["extensions"]["queues"]


@dataclass(frozen=True)
class Address:
    """Where a host and its storage are.

    Attributes:
        key: the master key, which a host in Azure asks for; a host on the own machine asks for none.
    """

    url: str
    storage: str
    key: str = ""


class Host:
    """A running host.

    Attributes:
        http: reaches the routes of the app, below the prefix.
        root: reaches the host itself: `/admin`, `/runtime/webhooks`.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        headers = {"x-functions-key": address.key} if address.key else {}
        self.root = httpx.Client(base_url=address.url, timeout=30, headers=headers)
        self.http = httpx.Client(base_url=f"{address.url.rstrip('/')}/{PREFIX}", timeout=30, headers=headers)
        self._taken: dict[str, list[str]] = {}

    def seen(self, function: str) -> list[Any]:
        """What a function of the app has noted so far."""
        found: list[Any] = self.http.get("/seen").json().get(function, [])
        return found

    def admin(self, function: str, text: str = "") -> httpx.Response:
        """Asks the host to run a function now."""
        return self.root.post(f"/admin/functions/{function}", json={"input": text})

    def queue(self, name: str) -> QueueClient:
        """A queue whose messages are in base64, as the host has them by default."""
        return QueueClient.from_connection_string(
            self.address.storage,
            name,
            message_encode_policy=TextBase64EncodePolicy(),
            message_decode_policy=TextBase64DecodePolicy(),
        )

    def plain_queue(self, name: str) -> QueueClient:
        """A queue whose messages are as they are sent."""
        return QueueClient.from_connection_string(self.address.storage, name)

    def taken(self, name: str) -> list[str]:
        """All texts that were taken from a queue so far, with what there is now; nobody else reads it."""
        found = self._taken.setdefault(name, [])
        with self.plain_queue(name) as queue, contextlib.suppress(ResourceNotFoundError):  # made with its first message
            for message in queue.receive_messages(messages_per_page=32):
                found.append(_decoded(str(message.content)))
                queue.delete_message(message)
        return found

    def empty_queues(self) -> None:
        """Forgets what an earlier trial has left."""
        with self.plain_queue("work") as work, contextlib.suppress(ResourceExistsError):
            work.create_queue()
        for name in ("work", "work-poison", "done"):
            with self.plain_queue(name) as queue, contextlib.suppress(ResourceNotFoundError):
                queue.clear_messages()

    def close(self) -> None:
        """Closes the connections."""
        self.http.close()
        self.root.close()


def _decoded(content: str) -> str:
    try:
        return base64.b64decode(content, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return content
