"""What is ready at the same time is done together: one thread does it for all that wait.

Many steps cost about the same for one as for fifty: a commit, a request. So while one thread carries out such a step,
the others of this process queue up, and the next in line carries it out for all of them.
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
    """What one thread wants done; whoever does it settles it with a result or an error.

    Attributes:
        ends: the deadline of the thread that wants it.
        is_hurried: whether that is too near for a service to be waited for.
    """

    result: Result | None = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)
    ends: float = field(default_factory=deadline_of_this_thread, init=False)
    is_hurried: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_hurried = self.ends - time.monotonic() < _HURRIED_S

    @property
    def is_settled(self) -> bool:
        """Whether its outcome is known."""
        return self.result is not None or self.error is not None

    def outcome(self) -> Result:
        """The result, once it is settled; raises the error, as far as possible in a copy of its own."""
        if self.error is not None:
            raise _copied(self.error)
        return cast("Result", self.result)


class Line[Item: Waiting[Any]]:
    """The line of this process before something that is done by one thread at a time.

    What is done together ends by the earliest deadline of those who share it: it cannot go on for the others when one
    of them has withdrawn, since it would be done behind his back. He would look for it, not find it, report a failure
    and clean up, and then it would be done after all. So whoever is hurried shares with the hurried only, such as the
    callers of HTTP, and no worker, who has half an hour, fails for want of their time. The kinds take turns in the
    order of who is in front.
    """

    def __init__(self, most: int) -> None:
        """
        Args:
            most: how many are done together at most.
        """
        self._most = most
        self._changed = threading.Condition()
        self._waiting: list[Item] = []
        self._is_busy = False

    @property
    def is_busy(self) -> bool:
        """Whether a thread settles something."""
        return self._is_busy

    @property
    def waiting(self) -> int:
        """How many wait for the next turn."""
        return len(self._waiting)

    def settle(self, item: Item, settle_all: Callable[[list[Item]], None]) -> None:
        """Has an item settled with all that wait beside it, by this thread or by another.

        Args:
            item: not settled yet.
            settle_all: settles every item that it is given, or raises: then the others end with what it raised. What
                ends a thread, such as KeyboardInterrupt, ends this thread alone: the others end with UnavailableError.
                It works to the earliest deadline of those whose items it is given, all of them hurried or none.

        Raises:
            UnavailableError: it was not this item's turn before the deadline of this thread; nothing was done.
        """
        with self._changed:
            self._waiting.append(item)
        try:
            while not item.is_settled:
                self._take_turn(item, settle_all)
        except BaseException:
            # Nobody waits for it any more.
            with self._changed:
                self._waiting = [other for other in self._waiting if other is not item]
                self._changed.notify_all()  # another kind may be in front now
            raise

    def _take_turn(self, item: Item, settle_all: Callable[[list[Item]], None]) -> None:
        """Waits for the next turn and settles those in front, unless another thread settles the item before."""
        with self._changed:
            # Whoever is settled goes on at once, whoever has the next turn.
            if not self._wait(item, _seconds_until(item.ends)) and any(other is item for other in self._waiting):
                raise UnavailableError("StillWaiting", _STILL_WAITING)
            self._wait(item, None)
            if item.is_settled:
                return
            self._is_busy = True
            together = [other for other in self._waiting if other.is_hurried is item.is_hurried][: self._most]
            taken = set(map(id, together))
            self._waiting = [other for other in self._waiting if id(other) not in taken]
        try:
            _settle(together, settle_all)
        finally:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()

    def _wait(self, item: Item, seconds: float | None) -> bool:
        """Waits until an item is settled or it is the turn of its kind; False where that takes longer."""
        return self._changed.wait_for(lambda: item.is_settled or self._is_turn_of(item), seconds)

    def _is_turn_of(self, item: Item) -> bool:
        return not self._is_busy and (not self._waiting or self._waiting[0].is_hurried is item.is_hurried)


class Lines[Item: Waiting[Any]]:
    """A line for each of many things. It lasts while a thread stands in it, so there are never more than threads."""

    def __init__(self, most: int) -> None:
        """
        Args:
            most: how many of one line are done together at most.
        """
        self._most = most
        self._lines: WeakValueDictionary[Hashable, Line[Item]] = WeakValueDictionary()
        self._finding = threading.Lock()

    def line(self, key: Hashable) -> Line[Item]:
        """The line before the thing of this key."""
        with self._finding:
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = Line(self._most)
            return line


def _settle[Item: Waiting[Any]](together: list[Item], settle_all: Callable[[list[Item]], None]) -> None:
    error: Exception = AccountingError("NotSettled", "what waited beside others was left without an outcome")
    try:
        # Nobody waits for the patience of another.
        with ending_at(min(item.ends for item in together)):
            settle_all(together)
    except Exception as raised:  # every thread that waits raises it
        error = raised
    except BaseException:
        message = "what did this for several at once was interrupted; whether it was done is not known"
        error = UnavailableError("Interrupted", message)
        raise
    finally:
        for item in together:
            if not item.is_settled:
                item.error = error


def _seconds_until(moment: float) -> float | None:
    return None if math.isinf(moment) else max(moment - time.monotonic(), 0.0)


def _copied(error: Exception) -> Exception:
    """A copy, since an error that several threads raise gathers the tracebacks of all; itself where there is none."""
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
