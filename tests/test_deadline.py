"""How long whoever waits goes on waiting: told to all that works for him, and to nobody after him."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.deadline import deadline, new_thread, pool_of_threads, put_off, seconds_left
from shared.ingest.ahead import ahead


def in_a_pool() -> float:
    with pool_of_threads(2) as pool:
        return max(pool.map(lambda _: seconds_left(), range(4)))


def in_a_thread() -> float:
    found: list[float] = []
    thread = new_thread(lambda: found.append(seconds_left()), "told")
    thread.start()
    thread.join()
    return found[0]


def ahead_of_others() -> float:
    def told() -> Iterator[float]:
        yield seconds_left()

    with ahead(told()) as items:
        return next(items)


@pytest.mark.parametrize("told", [seconds_left, in_a_pool, in_a_thread, ahead_of_others])
def test_whoever_works_for_one_who_waits_is_told_how_long(told: Callable[[], float]) -> None:
    assert told() == math.inf
    with deadline(1000):
        assert 0 < told() <= 1000
        with deadline(100):
            assert 0 < told() <= 100
        assert 100 < told() <= 1000
        with deadline(5000):
            assert told() <= 1000, "whoever waits for less does not wait for more"
    assert told() == math.inf


def test_a_deadline_ends_with_the_call_whatever_comes_of_it() -> None:
    """The worker calls one function after another in the same thread."""

    def call() -> None:
        with deadline(1):
            raise ValueError

    with ThreadPoolExecutor(1) as worker:
        with pytest.raises(ValueError):  # noqa: PT011
            worker.submit(call).result()
        assert worker.submit(seconds_left).result() == math.inf


def test_a_deadline_that_is_over_stays_over() -> None:
    with deadline(-1), deadline(10):
        assert seconds_left() <= -1


def test_a_deadline_is_put_off_until_it_ends() -> None:
    with deadline(100):
        with deadline(10):
            put_off(1000)
            assert 1000 < seconds_left() <= 1010
        assert 10 < seconds_left() <= 100
    put_off(1)
    assert seconds_left() == math.inf
