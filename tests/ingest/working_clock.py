"""A clock that goes on where a test says so: for the time that reading takes, by waiting or by work."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest

import shared.csv.reading_time


class WorkingClock:
    """The clock of `shared/csv/reading_time.py`: the time that passed, and the processor's of each thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self._lock = threading.Lock()
        self._worked = defaultdict[int, float](float)
        monkeypatch.setattr(shared.csv.reading_time, "time", self)

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self._worked[threading.get_ident()]

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        with self._lock:
            self.now += seconds

    def work(self, seconds: float) -> None:
        """Lets time pass in which this thread has a processor."""
        self.wait(seconds)
        self._worked[threading.get_ident()] += seconds

    def take(self, work: float, wait: float) -> None:
        """Lets time pass, some of it in work."""
        self.work(work)
        self.wait(wait)

    def slow[Item](self, items: Iterable[Item], seconds: float) -> Iterator[Item]:
        """The items, each after a wait."""
        for item in items:
            self.wait(seconds)
            yield item
