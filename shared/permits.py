"""Permits for work that few threads may do at once, shared fairly: by owner first, then by who came first.

An owner who always has a thread waiting lets every other owner in between two permits of its own.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from time import monotonic
from types import MappingProxyType

from shared.deadline import put_off

_NO_PERMITS: Mapping[str, int] = MappingProxyType({})


@dataclass(eq=False, slots=True)
class Waiter:
    """Somebody who waits for a permit."""

    owner: str


class WaitList[P: Waiter]:
    """Those who wait, and who is next; callers see to it that one thread uses it at a time.

    Attributes:
        waiters: in the order in which they came.
    """

    def __init__(self) -> None:
        self.waiters: list[P] = []
        self._served: dict[str, None] = {}  # owners, the one served longest ago first

    def enter(self, waiter: P) -> None:
        """Adds a waiter."""
        self.waiters.append(waiter)

    def leave(self, waiter: P) -> None:
        """Removes a waiter, if it still waits."""
        if waiter in self.waiters:
            self.waiters.remove(waiter)

    def serve(self, waiter: P) -> None:
        """Removes a waiter that gets its permit."""
        self.leave(waiter)
        self._served.pop(waiter.owner, None)
        self._served[waiter.owner] = None
        if not self.waiters:
            # Nobody was passed over; else there would be ever more owners in it.
            self._served = {waiter.owner: None}

    def next(self, permits: Mapping[str, int] = _NO_PERMITS) -> P | None:
        """The first waiter of the owner that holds the fewest `permits`, and among these was served longest ago."""
        order = {owner: number for number, owner in enumerate(self._served, 1)}
        return min(
            self.waiters, key=lambda waiter: (permits.get(waiter.owner, 0), order.get(waiter.owner, 0)), default=None
        )


@dataclass(eq=False, slots=True)
class _Waiter(Waiter):
    is_lost: bool = field(default=False, init=False)


class Permits:
    """Permits for all threads of this process, one at a time by default.

    A thread that waits does nothing else.

    Args:
        most_of_one: how many threads of one owner may wait or hold a permit.
        most: the same for all owners. If it is reached, an owner with fewer threads displaces the last of another's.
        within_s: seconds to wait for a permit.
        at_once_of_one: permits that one owner has at the same time.
        at_once: permits of all at the same time.
    """

    def __init__(self, most_of_one: int, most: int, within_s: float, at_once_of_one: int = 1, at_once: int = 1) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._within_s = within_s
        self._at_once_of_one = at_once_of_one
        self._at_once = at_once
        self._changed = threading.Condition()
        self._wait_list: WaitList[_Waiter] = WaitList()
        self._having: list[_Waiter] = []

    @contextmanager
    def permit(self, owner: str) -> Iterator[bool]:
        """Waits for a permit and holds it until the context ends; gives False if it gets none.

        The deadline of the thread is put off by as long as it waited.
        """
        waiter = _Waiter(owner)
        came = monotonic()
        with self._changed:
            has_permit = self._enter(waiter) and self._wait(waiter)
        put_off(monotonic() - came)
        with self._kept(waiter) if has_permit else nullcontext():
            yield has_permit

    @contextmanager
    def permit_now(self, owner: str) -> Iterator[bool]:
        """As `permit` but without waiting: gives False if no permit is free."""
        waiter = _Waiter(owner)
        with self._changed:
            has_permit = self._is_free(owner)
            if has_permit:
                self._having.append(waiter)
        with self._kept(waiter) if has_permit else nullcontext():
            yield has_permit

    @contextmanager
    def _kept(self, waiter: _Waiter) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._having.remove(waiter)
                self._changed.notify_all()

    def _enter(self, waiter: _Waiter) -> bool:
        waiting = self._wait_list.waiters
        waiters = Counter(other.owner for other in (*waiting, *self._having))
        if waiters[waiter.owner] >= self._most_of_one:
            return False
        if waiters.total() >= self._most:
            last = max(reversed(waiting), key=lambda other: waiters[other.owner], default=waiter)
            if waiters[last.owner] <= waiters[waiter.owner] + 1:
                return False
            last.is_lost = True
            self._wait_list.leave(last)
            self._changed.notify_all()
        self._wait_list.enter(waiter)
        return True

    def _wait(self, waiter: _Waiter) -> bool:
        try:
            has_permit = self._changed.wait_for(lambda: waiter.is_lost or self._is_next(waiter), self._within_s)
            if waiter.is_lost or not has_permit:
                return False
            self._wait_list.serve(waiter)
            self._having.append(waiter)
            self._changed.notify_all()  # there may be a permit for the next one as well
            return True
        finally:
            self._wait_list.leave(waiter)

    def _is_next(self, waiter: _Waiter) -> bool:
        having = Counter(other.owner for other in self._having)
        return self._is_free(waiter.owner) and self._wait_list.next(having) is waiter

    def _is_free(self, owner: str) -> bool:
        having = Counter(other.owner for other in self._having)
        return having.total() < self._at_once and having[owner] < self._at_once_of_one
