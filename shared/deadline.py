"""How long whoever waits for us goes on waiting: told where work comes in, asked where we wait for others.

A service that is busy may ask us to stay away for as long as it likes. An HTTP caller is better served by a 503 that
says so, and a message rests better in its queue than in a function.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# Whoever calls the API is told soon that something does not answer.
HTTP_ANSWER_S = 10.0
# Event Grid waits 30 s: https://learn.microsoft.com/azure/event-grid/delivery-and-retry
EVENT_S = 20.0
# A minute less than a claim (`ledger/stored_run.py`) and `functionTimeout` of host.json, so that there is time to give
# back what was begun.
WORK_S = 29 * 60.0

_ends: ContextVar[float] = ContextVar("deadline", default=math.inf)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Within it, whoever asks `seconds_left` is told of a deadline so many seconds from now, or of an earlier one."""
    with ending_at(monotonic() + seconds):
        yield


@contextmanager
def ending_at(moment: float) -> Iterator[None]:
    """As `deadline`, with a moment of the monotonic clock, such as `deadline_of_this_thread` gave."""
    token = _ends.set(min(moment, _ends.get()))
    try:
        yield
    finally:
        # The worker calls one function after another in the same thread, and context with it.
        _ends.reset(token)


def deadline_of_this_thread() -> float:
    """The moment of the monotonic clock; infinite where nobody has set one."""
    return _ends.get()


def put_off(seconds: float) -> None:
    """Moves the deadline of this thread; until the innermost `deadline` ends.

    For who waited for other callers: what he then asks of a service is to be repeated as often as theirs.
    """
    _ends.set(_ends.get() + seconds)


def seconds_left() -> float:
    """Seconds until the deadline, negative after it; infinite where there is none."""
    return _ends.get() - monotonic()


def pool_of_threads(most: int, name: str = "") -> "ThreadPoolExecutor":
    """An executor whose threads work to the deadline of the thread that makes it, and in its context otherwise."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(most, thread_name_prefix=name, initializer=_take_over, initargs=(copy_context(),))


def _take_over(context: Context) -> None:
    for variable, value in context.items():
        variable.set(value)


def new_thread(work: Callable[[], None], name: str) -> Thread:
    """A daemon thread, not started yet, that works to the deadline of the one that makes it."""
    return Thread(target=copy_context().run, args=(work,), name=name, daemon=True)
