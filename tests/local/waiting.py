"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable


def eventually[T](look: Callable[[], T], within: float = 10) -> T:
    """The first true thing that `look` returns; fails when there is none `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"still {found!r} after {within} s"
        time.sleep(0.005)
