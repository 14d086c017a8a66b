"""Storage queues: messages are JSON, base64-encoded as the Functions host reads them."""

import json
import random
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.domain.rest import rest_for
from shared.storage.accounts import StorageAccount
from shared.storage.clients import queue_client
from shared.storage.translate import service_code, translated
from shared.telemetry.spans import traced

if TYPE_CHECKING:
    from azure.storage.queue import QueueClient

_NEVER_EXPIRES = -1
# `maxDequeueCount` of host.json.
ATTEMPTS = 5
_ASKED, _DEFERRED, _TRIES, _WORKER = "asked", "deferred", "tries", "worker"
_LONGEST_DELAY_S = 60


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
        text = json.dumps(traced(message), ensure_ascii=False, separators=(",", ":"))
        with translated(self._what):
            try:
                self._send(text, delay_s)
            except ResourceNotFoundError:
                self.ensure()
                self._send(text, delay_s)

    def requeue(self, message: Mapping[str, Any], asked_s: float) -> bool:
        """Sends a message again, to be seen once a service is no longer busy that asked to be left alone.

        Args:
            message: that was delivered; it keeps count of the seconds that were asked for.
            asked_s: seconds; a day at most is waited.

        Returns:
            Whether it was sent; not where a day and more was asked for already.
        """
        before = int(message.get(_ASKED, 0))
        delay_s = rest_for(asked_s, before)
        if delay_s is None:
            return False
        self.send({**message, _ASKED: before + delay_s}, delay_s)
        return True

    def put_off(self, message: Mapping[str, Any]) -> None:
        """Sends a message again for a little later, each time for twice as long, up to a minute."""
        times = int(message.get(_DEFERRED, 0)) + 1
        # Many that wait for one account must neither come back all at once nor keep everybody busy.
        longest = min(2.0 ** min(times, 10), _LONGEST_DELAY_S)
        delay_s = round(random.uniform(longest / 2, longest))  # noqa: S311 - jitter is no secret
        self.send({**message, _DEFERRED: times}, delay_s)

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


def worker_of(message: Mapping[str, Any], message_id: str) -> str:
    """Who works on a message: the same for all that follow one another."""
    # A claim could not be given back where it is the table that is busy; the message that follows holds it too.
    return str(message.get(_WORKER) or message_id)


def with_tries(message: Mapping[str, Any], deliveries: int) -> dict[str, Any]:
    """The message that is to come in the place of one whose newest delivery was no attempt; it keeps count of those."""
    return {**message, _TRIES: int(message.get(_TRIES, 0)) + deliveries - 1}


def following(message: Mapping[str, Any], message_id: str, deliveries: int) -> dict[str, Any]:
    """The same, for a message whose work rests: the claim on it is the new message's too."""
    return {**with_tries(message, deliveries), _WORKER: worker_of(message, message_id)}


def is_used_up(message: Mapping[str, Any], deliveries: int) -> bool:
    """Whether this was the last attempt, and the host does not know: it counts the deliveries of one message only."""
    earlier = int(message.get(_TRIES, 0))
    return earlier > 0 and earlier + deliveries >= ATTEMPTS


def read_message(body: bytes) -> Any:
    """The JSON of a message; None where it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None
