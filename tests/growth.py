"""How the processor time of a piece of work grows with its input; the machine's other work does not count."""

import time
from collections.abc import Callable

LINEAR = 2.6
"""Twice the input takes less than so many times as long; twice and a little is linear, four times the square."""

_ENOUGH_S = 0.001  # shorter times say nothing
_ROUNDS = 3
_ATTEMPTS = 4


def growth[T](
    work: Callable[[T], object], made: Callable[[int], T], smallest: int = 1_000, largest: int = 64_000
) -> float:
    """How many times longer `work` takes with each doubling of its input.

    Args:
        work: what is timed; an exception of it fails the test.
        made: the input of a size.
        smallest: the size to begin with; it is doubled until the work takes long enough to be compared, so that work
            that grows with the square is found out while it takes milliseconds.
        largest: the size at which it is compared at last.
    """
    size = smallest
    while size < largest and seconds(work, made(size)) < _ENOUGH_S:
        size *= 2
    # Over three doublings: a single one may be where the input outgrows a cache of the processor.
    once, larger = made(size), made(8 * size)
    least = float("inf")
    for _ in range(_ATTEMPTS):
        least = min(least, (seconds(work, larger) / seconds(work, once)) ** (1 / 3))
        # What grows with the square never looks linear; what is linear may look otherwise where a machine does more.
        if least < LINEAR:
            break
    return least


def seconds[T](work: Callable[[T], object], given: T, rounds: int = _ROUNDS) -> float:
    """Processor time of this process for `work`, the least of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work(given)
        best = min(best, time.process_time() - began)
    return best
