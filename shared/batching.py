"""Group commit: of the threads that want the same kind of step done, one does it for all of them as a batch.

Many steps cost about the same for one item as for fifty: a commit, a request. So while one thread carries out such a
step, the other threads of this process queue up, and the next of them carries it out for all.
"""

import math
import threading
import time
from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakValueDictionary

from shared.deadline import deadline_of_this_thread, ending_at
from shared.domain.errors import AccountingError, UnavailableError

# Whoever has less time left than the longest pause of a request (`storage/retries.py`) is hurried.
_HURRIED_S = 60.0
_STILL_WAITING = (
    "the hub's storage account is slow to answer the reads and writes that came before this one; nothing was done. "
    "Send it again in a minute; if that does not help, look at the account's latency and throttling in the portal"
)


@dataclass(slots=True)
class Waiting[Result]:
    """An item that one thread waits for; whoever processes it sets its result or its error.

    Attributes:
        ends: the deadline of the waiting thread.
        is_hurried: whether that deadline is too near to wait for a slow service.
    """

    result: Result | None = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)
    ends: float = field(default_factory=deadline_of_this_thread, init=False)
    is_hurried: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_hurried = self.ends - time.monotonic() < _HURRIED_S

    @property
    def is_done(self) -> bool:
        """Whether it has a result or an error."""
        return self.result is not None or self.error is not None

    def outcome(self) -> Result:
        """Returns the result once it is done, or raises the error, if possible as a copy for this thread."""
        if self.error is not None:
            raise _copied(self.error)
        return cast("Result", self.result)


class BatchQueue[Item: Waiting[Any]]:
    """The threads of this process that wait for a step which one of them does at a time, for all.

    A batch ends by the earliest deadline of its items. It cannot go on without an item whose thread has given up: the
    thread would look for the effect, miss it, report a failure and clean up, and then the effect would come after all.
    So hurried items, such as those of HTTP callers, are batched apart from the others, and no worker with half an hour
    fails for want of a caller's time. Whichever kind waits in front goes next.
    """

    def __init__(self, most: int) -> None:
        """
        Args:
            most: items of one batch, at most.
        """
        self._most = most
        self._changed = threading.Condition()
        self._waiting: list[Item] = []
        self._is_busy = False

    @property
    def is_busy(self) -> bool:
        """Whether a batch is being processed."""
        return self._is_busy

    @property
    def waiting(self) -> int:
        """How many items wait for the next batch."""
        return len(self._waiting)

    def submit(self, item: Item, process: Callable[[list[Item]], None]) -> None:
        """Waits until an item is done, processed by this thread or another one with whatever waits beside it.

        Args:
            item: not done yet.
            process: sets the outcome of every item of a batch, or raises: then the others get what it raised. What ends
                a thread, such as KeyboardInterrupt, ends this thread alone: the others get UnavailableError. It works
                to the earliest deadline of the batch, whose items are all hurried or none of them.

        Raises:
            UnavailableError: the deadline of this thread passed before the item was in a batch; nothing was done.
        """
        with self._changed:
            self._waiting.append(item)
        try:
            while not item.is_done:
                self._lead(item, process)
        except BaseException:
            # Nobody waits for it any more.
            with self._changed:
                self._waiting = [other for other in self._waiting if other is not item]
                self._changed.notify_all()  # another kind may be in front now
            raise

    def _lead(self, item: Item, process: Callable[[list[Item]], None]) -> None:
        """Waits to process the next batch, unless another thread is done with the item first."""
        with self._changed:
            # A thread whose item is done returns at once, even if the next batch is already running.
            if not self._wait(item, _seconds_until(item.ends)) and any(other is item for other in self._waiting):
                raise UnavailableError("StillWaiting", _STILL_WAITING)
            self._wait(item, None)
            if item.is_done:
                return
            self._is_busy = True
            batch = [other for other in self._waiting if other.is_hurried is item.is_hurried][: self._most]
            chosen = set(map(id, batch))
            self._waiting = [other for other in self._waiting if id(other) not in chosen]
        try:
            _process(batch, process)
        finally:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()

    def _wait(self, item: Item, seconds: float | None) -> bool:
        """Waits until an item is done or this thread may process a batch; False if that takes longer."""
        return self._changed.wait_for(lambda: item.is_done or self._may_lead(item), seconds)

    def _may_lead(self, item: Item) -> bool:
        return not self._is_busy and (not self._waiting or self._waiting[0].is_hurried is item.is_hurried)


class BatchQueues[Item: Waiting[Any]]:
    """One queue per key. A queue exists while a thread uses it, so there are never more queues than threads."""

    def __init__(self, most: int) -> None:
        """
        Args:
            most: items of one batch, at most.
        """
        self._most = most
        self._queues: WeakValueDictionary[Hashable, BatchQueue[Item]] = WeakValueDictionary()
        self._finding = threading.Lock()

    def queue(self, key: Hashable) -> BatchQueue[Item]:
        """Returns the queue of a key."""
        with self._finding:
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = BatchQueue(self._most)
            return queue


def _process[Item: Waiting[Any]](batch: list[Item], process: Callable[[list[Item]], None]) -> None:
    error: Exception = AccountingError("NotSettled", "an item of a batch was left without an outcome")
    try:
        # Nobody waits for the patience of another.
        with ending_at(min(item.ends for item in batch)):
            process(batch)
    except Exception as raised:  # every thread that waits raises it
        error = raised
    except BaseException:
        message = "the thread that did this for several was interrupted; whether it was done is not known"
        error = UnavailableError("Interrupted", message)
        raise
    finally:
        for item in batch:
            if not item.is_done:
                item.error = error


def _seconds_until(moment: float) -> float | None:
    return None if math.isinf(moment) else max(moment - time.monotonic(), 0.0)


def _copied(error: Exception) -> Exception:
    """A copy, since an error raised by several threads gathers all their tracebacks; else the error itself."""
    try:
        copied = copy(error)
        is_whole = type(copied) is type(error) and (str(copied), vars(copied)) == (str(error), vars(error))
    except Exception:
        return error
    if not is_whole:
        return error
    copied.__cause__, copied.__context__ = error.__cause__, error.__context__
    copied.__suppress_context__ = error.__suppress_context__
    return copied.with_traceback(error.__traceback__)
