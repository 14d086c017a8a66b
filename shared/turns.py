"""Turns at something that one thread does at a time, shared fairly: among owners first, and then by who came first.

An owner who always has somebody in line waits for every other one between two turns of his own.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from shared.deadline import put_off


@dataclass(eq=False, slots=True)
class _Place:
    owner: str
    is_lost: bool = field(default=False, init=False)


class Turns:
    """The line of this process; a thread in it is one that does nothing else.

    Args:
        most_of_one: places of one owner.
        most: places of all. In a full line an owner who has fewer places than another gets the last of that one's.
        within_s: seconds to wait for a turn.
    """

    def __init__(self, most_of_one: int, most: int, within_s: float) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._within_s = within_s
        self._changed = threading.Condition()
        self._waiting: list[_Place] = []
        self._current: _Place | None = None
        self._served: dict[str, None] = {}  # owners, the one whose turn is longest ago first

    @contextmanager
    def turn(self, owner: str) -> Iterator[bool]:
        """Waits for a turn and keeps it while the context is open; gives False where there is none to be had.

        The deadline of the thread is put off by as long as it waited.
        """
        place = _Place(owner)
        came = monotonic()
        with self._changed:
            has_turn = self._enter(place) and self._wait(place)
        put_off(monotonic() - came)
        try:
            yield has_turn
        finally:
            if has_turn:
                with self._changed:
                    self._current = None
                    self._changed.notify_all()

    def _enter(self, place: _Place) -> bool:
        places = Counter(other.owner for other in (*self._waiting, self._current) if other is not None)
        if places[place.owner] >= self._most_of_one:
            return False
        if places.total() >= self._most:
            last = max(reversed(self._waiting), key=lambda other: places[other.owner], default=place)
            if places[last.owner] <= places[place.owner] + 1:
                return False
            last.is_lost = True
            self._waiting.remove(last)
            self._changed.notify_all()
        self._waiting.append(place)
        return True

    def _wait(self, place: _Place) -> bool:
        try:
            if not self._changed.wait_for(lambda: place.is_lost or self._is_next(place), self._within_s):
                return False
        finally:
            if not place.is_lost:
                self._waiting.remove(place)
        if place.is_lost:
            return False
        self._current = place
        self._served.pop(place.owner, None)
        self._served[place.owner] = None
        if not self._waiting:
            # Nobody was passed over; else there would be ever more owners in it.
            self._served = {place.owner: None}
        return True

    def _is_next(self, place: _Place) -> bool:
        if self._current is not None:
            return False
        order = {owner: number for number, owner in enumerate(self._served, 1)}
        return place is min(self._waiting, key=lambda other: order.get(other.owner, 0))
