"""Workers that stand still at a failpoint while the test goes on, or die there."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from shared.failpoints import FailPoint, arm

PATIENCE_S = 30


class Paused[T]:
    """A worker that stands still at a failpoint."""

    def __init__(self, working: Future[T], go_on: Event) -> None:
        self._working = working
        self._go_on = go_on

    def end(self) -> T:
        """Lets it go on to its end."""
        self._go_on.set()
        return self._working.result(PATIENCE_S)


@contextmanager
def paused[T](work: Callable[[], T], point: FailPoint) -> Iterator[Paused[T]]:
    """A worker that stands at `point` of its work; no other is stopped there by it."""
    reached, go_on = Event(), Event()

    def stop() -> None:
        arm(point, lambda: None)
        reached.set()
        go_on.wait(PATIENCE_S)

    arm(point, stop)
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        assert reached.wait(PATIENCE_S)
        try:
            yield Paused(working, go_on)
        finally:
            go_on.set()


@contextmanager
def dying_at(point: FailPoint) -> Iterator[None]:
    """Whoever comes to `point` dies there, as a worker does that is killed; somebody must."""

    def die() -> None:
        raise SystemExit

    arm(point, die)
    try:
        with pytest.raises(SystemExit):
            yield
    finally:
        arm(point, lambda: None)
