"""Turns at something that few threads do at a time, shared fairly: among owners first, and then by who came first.

An owner who always has somebody in line waits for every other one between two turns of his own.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from time import monotonic
from types import MappingProxyType

from shared.deadline import put_off

_NO_TURNS: Mapping[str, int] = MappingProxyType({})


@dataclass(eq=False, slots=True)
class Place:
    """A place in a line."""

    owner: str


class Line[P: Place]:
    """Those who wait, and whose turn is the next; whoever calls it sees to it that one thread does at a time.

    Attributes:
        places: by when they came.
    """

    def __init__(self) -> None:
        self.places: list[P] = []
        self._served: dict[str, None] = {}  # owners, the one whose turn is longest ago first

    def enter(self, place: P) -> None:
        """Puts a place at the end."""
        self.places.append(place)

    def leave(self, place: P) -> None:
        """Takes a place out, where it is still in."""
        if place in self.places:
            self.places.remove(place)

    def serve(self, place: P) -> None:
        """Takes a place out whose turn has come."""
        self.leave(place)
        self._served.pop(place.owner, None)
        self._served[place.owner] = None
        if not self.places:
            # Nobody was passed over; else there would be ever more owners in it.
            self._served = {place.owner: None}

    def next(self, turns: Mapping[str, int] = _NO_TURNS) -> P | None:
        """The first place of the owner with the fewest `turns` now and, of these, whose last one is longest ago."""
        order = {owner: number for number, owner in enumerate(self._served, 1)}
        return min(self.places, key=lambda place: (turns.get(place.owner, 0), order.get(place.owner, 0)), default=None)


@dataclass(eq=False, slots=True)
class _Place(Place):
    is_lost: bool = field(default=False, init=False)


class Turns:
    """Turns of all threads of this process, one at a time unless said otherwise.

    A thread in the line is one that does nothing else.

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
        self._line: Line[_Place] = Line()
        self._having: list[_Place] = []

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
        with self._kept(place) if has_turn else nullcontext():
            yield has_turn

    @contextmanager
    def turn_now(self, owner: str) -> Iterator[bool]:
        """As `turn`, without a wait: gives False where no turn is free."""
        place = _Place(owner)
        with self._changed:
            has_turn = self._is_free(owner)
            if has_turn:
                self._having.append(place)
        with self._kept(place) if has_turn else nullcontext():
            yield has_turn

    @contextmanager
    def _kept(self, place: _Place) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._having.remove(place)
                self._changed.notify_all()

    def _enter(self, place: _Place) -> bool:
        waiting = self._line.places
        places = Counter(other.owner for other in (*waiting, *self._having))
        if places[place.owner] >= self._most_of_one:
            return False
        if places.total() >= self._most:
            last = max(reversed(waiting), key=lambda other: places[other.owner], default=place)
            if places[last.owner] <= places[place.owner] + 1:
                return False
            last.is_lost = True
            self._line.leave(last)
            self._changed.notify_all()
        self._line.enter(place)
        return True

    def _wait(self, place: _Place) -> bool:
        try:
            has_turn = self._changed.wait_for(lambda: place.is_lost or self._is_next(place), self._within_s)
            if place.is_lost or not has_turn:
                return False
            self._line.serve(place)
            self._having.append(place)
            self._changed.notify_all()  # there may be a turn for the next one as well
            return True
        finally:
            self._line.leave(place)

    def _is_next(self, place: _Place) -> bool:
        having = Counter(other.owner for other in self._having)
        return self._is_free(place.owner) and self._line.next(having) is place

    def _is_free(self, owner: str) -> bool:
        having = Counter(other.owner for other in self._having)
        return having.total() < self._at_once and having[owner] < self._at_once_of_one
