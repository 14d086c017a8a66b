"""Has transactions of several threads go to Table Storage in one request, every time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

from shared.batching import BatchQueue, Waiting
from shared.storage.tables import Table
from tests.fault_proxy import Request
from tests.local.waiting import eventually


@dataclass(slots=True)
class Blocker(Waiting[bool]):
    """Keeps a line busy until it is let go."""


def until_waiting(queue: BatchQueue[Any], number: int) -> None:
    """Waits until so many threads wait in a line."""
    eventually(lambda: queue.waiting >= number)


@contextmanager
def kept_busy(table: Table, partition: str) -> Iterator[BatchQueue[Any]]:
    """The line of a partition, in which nothing moves for the length of a `with` block."""
    let_go = Event()

    def wait(items: list[Any]) -> None:
        let_go.wait(30)
        items[0].result = True

    queue: BatchQueue[Any] = table.transactions.queue(partition)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(queue.submit, Blocker(), wait)
        eventually(lambda: queue.is_busy)
        try:
            yield queue
        finally:
            let_go.set()


def batch(table: Table, acts: Sequence[Callable[[], object]], partition: str = "p") -> list[object]:
    """What becomes of acts whose transactions go to the service together, as far as they can; of errors, the class."""

    def outcome(act: Callable[[], object]) -> object:
        try:
            return act()
        except Exception as error:
            return type(error)

    outcomes: list[Future[object]] = []
    with ThreadPoolExecutor(len(acts)) as pool:
        with kept_busy(table, partition) as queue:
            for number, act in enumerate(acts, 1):
                outcomes.append(pool.submit(outcome, act))
                until_waiting(queue, number)
        return [outcome.result() for outcome in outcomes]


def is_transaction(request: Request) -> bool:
    return "$batch" in request.target
