"""Requests at accounts that are under way, or wait in line, for as long as a test wants."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from shared.domain.errors import DeferredError
from shared.storage.account_permits import Permit


class Asked:
    """A request in a thread of its own, which is answered when it is told to be."""

    def __init__(self, threads: ThreadPoolExecutor, permit: Permit) -> None:
        self.permit = permit
        self._begun, self._answered = threading.Event(), threading.Event()
        self._asking = threads.submit(self._ask)

    def _ask(self) -> None:
        with self.permit.request():
            self._begun.set()
            self._answered.wait()

    @property
    def has_begun(self) -> bool:
        return self._begun.is_set()

    @property
    def is_over(self) -> bool:
        return self._asking.done()

    def begun(self) -> "Asked":
        assert self._begun.wait(10)
        return self

    def answer(self) -> None:
        self._answered.set()
        self._asking.result(10)

    def refused(self) -> str:
        error = self._asking.exception(10)
        assert isinstance(error, DeferredError)
        return str(error)

    def let_go(self) -> None:
        self._answered.set()


type Ask = Callable[[Permit], Asked]


def in_line(permit: Permit) -> int:
    """How many wait for a permit at its account."""
    return len(permit._permits._accounts[permit.account].wait_list.waiters)
