"""Has transactions of several threads go to Table Storage in one request, every time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

from shared.storage.tables import Table
from shared.together import Line, Waiting
from tests.fault_proxy import Request
from tests.local.waiting import eventually


@dataclass(slots=True)
class Blocker(Waiting[bool]):
    """Keeps a line busy until it is let go."""


def until_waiting(line: Line[Any], number: int) -> None:
    """Waits until so many threads wait in a line."""
    eventually(lambda: line.waiting >= number)


@contextmanager
def kept_busy(table: Table, partition: str) -> Iterator[Line[Any]]:
    """The line of a partition, in which nothing moves for the length of a `with` block."""
    let_go = Event()

    def wait(items: list[Any]) -> None:
        let_go.wait(30)
        items[0].result = True

    line: Line[Any] = table.transactions.line(partition)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(line.settle, Blocker(), wait)
        eventually(lambda: line.is_busy)
        try:
            yield line
        finally:
            let_go.set()


def together(table: Table, acts: Sequence[Callable[[], object]], partition: str = "p") -> list[object]:
    """What becomes of acts whose transactions go to the service together, as far as they can; of errors, the class."""

    def outcome(act: Callable[[], object]) -> object:
        try:
            return act()
        except Exception as error:
            return type(error)

    outcomes: list[Future[object]] = []
    with ThreadPoolExecutor(len(acts)) as pool:
        with kept_busy(table, partition) as line:
            for number, act in enumerate(acts, 1):
                outcomes.append(pool.submit(outcome, act))
                until_waiting(line, number)
        return [outcome.result() for outcome in outcomes]


def is_transaction(request: Request) -> bool:
    return "$batch" in request.target
