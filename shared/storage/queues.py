"""Storage queues: messages are JSON, base64-encoded as the Functions host reads them."""

import json
import math
import random
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.storage.accounts import StorageAccount
from shared.storage.clients import queue_client
from shared.storage.translate import service_code, translated

if TYPE_CHECKING:
    from azure.storage.queue import QueueClient

_NEVER_EXPIRES = -1
_ASKED = "asked"
_LONGEST_ASKED_S = 86_400


class Queue:
    """One queue, created when it is first sent to. Safe for use by many threads."""

    def __init__(self, account: StorageAccount, name: str) -> None:
        self.name = name
        self._account = account
        self._what = f"the queue {name!r} of the account {account.name!r}"

    @cached_property
    def _client(self) -> "QueueClient":
        return queue_client(self._account, self.name)

    def send(self, message: Mapping[str, Any], delay_s: int = 0) -> None:
        """Sends a message that never expires; it is seen after `delay_s` seconds (at most 7 days)."""
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        with translated(self._what):
            try:
                self._send(text, delay_s)
            except ResourceNotFoundError:
                self.ensure()
                self._send(text, delay_s)

    def put_back(self, message: Mapping[str, Any], asked_s: float) -> bool:
        """Sends a message again, to be seen once a service is no longer busy that asked to be left alone.

        Args:
            message: that was delivered; it keeps count of the seconds that were asked for.
            asked_s: seconds; a day at most is waited.

        Returns:
            Whether it was sent; not where a day and more was asked for already.
        """
        before = int(message.get(_ASKED, 0))
        if before >= _LONGEST_ASKED_S:
            return False
        # Never early, and many that wait for one service do not come back all at once.
        later = math.ceil(asked_s * random.uniform(1.0, 1.1))  # noqa: S311 - jitter is no secret
        delay_s = min(later, _LONGEST_ASKED_S)
        self.send({**message, _ASKED: before + delay_s}, delay_s)
        return True

    def ensure(self) -> None:
        """Creates the queue if it does not exist."""
        with translated(self._what):
            try:
                self._client.create_queue()
            except ResourceExistsError as error:
                if service_code(error) != "QueueAlreadyExists":
                    raise

    def _send(self, text: str, delay_s: int) -> None:
        self._client.send_message(text, visibility_timeout=delay_s, time_to_live=_NEVER_EXPIRES)


def read_message(body: bytes) -> Any:
    """The JSON of a message; None where it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None
