"""Sweeps of a container that one message has no time for, carried out message by message."""

from datetime import datetime, timedelta
from typing import Any

from shared.clock import Clock
from shared.deadline import deadline
from shared.messages.ingest import handle_message
from tests.fault_proxy import FaultProxy
from tests.ingest.conftest import MESSAGE, World
from tests.sent_messages import sent_messages

BLOBS = [f"{number}.csv" for number in range(6)]
# Less than a page takes: each message looks at one.
NO_TIME_S = 60


class Later(Clock):
    """A machine whose clock can be set ahead, and the app's with it."""

    ahead = timedelta()

    def machine_now(self) -> datetime:
        return super().machine_now() + self.ahead

    def monotonic_ms(self) -> int:
        return super().monotonic_ms() + self.ahead // timedelta(milliseconds=1)


def take_sent(world: World, queue: FaultProxy) -> list[dict[str, Any]]:
    sent = [message for _, message in sent_messages(queue) if message["hub"] == world.hub]
    queue.requests.clear()
    return sent


def next_sweep(world: World, queue: FaultProxy) -> dict[str, Any]:
    (message,) = (message for message in take_sent(world, queue) if "sweep" in message)
    return message


def one_round(world: World, message: dict[str, Any]) -> None:
    with deadline(NO_TIME_S):
        handle_message(world.services, message, MESSAGE)


def listings(source: FaultProxy) -> int:
    return len([request for request in source.requests if "comp=list" in request.target])
