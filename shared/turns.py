"""Turns at something that few threads do at a time, shared fairly: among owners first, and then by who came first.

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
        most_of_one: places of one owner, those who have a turn among them.
        most: places of all. In a full line an owner who has fewer places than another gets the last of that one's.
        within_s: seconds to wait for a turn.
        at_once_of_one: turns that one owner has at the same time.
        at_once: turns of all at the same time.
    """

    def __init__(self, most_of_one: int, most: int, within_s: float, at_once_of_one: int = 1, at_once: int = 1) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._within_s = within_s
        self._at_once_of_one = at_once_of_one
        self._at_once = at_once
        self._changed = threading.Condition()
        self._waiting: list[_Place] = []
        self._having: list[_Place] = []
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
                    self._having.remove(place)
                    self._changed.notify_all()

    def _enter(self, place: _Place) -> bool:
        places = Counter(other.owner for other in (*self._waiting, *self._having))
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
        self._having.append(place)
        self._served.pop(place.owner, None)
        self._served[place.owner] = None
        if not self._waiting:
            # Nobody was passed over; else there would be ever more owners in it.
            self._served = {place.owner: None}
        self._changed.notify_all()  # there may be a turn for the next one as well
        return True

    def _is_next(self, place: _Place) -> bool:
        having = Counter(other.owner for other in self._having)
        if having.total() >= self._at_once:
            return False
        able = (other for other in self._waiting if having[other.owner] < self._at_once_of_one)
        order = {owner: number for number, owner in enumerate(self._served, 1)}
        return place is min(able, key=lambda other: order.get(other.owner, 0), default=None)
