"""What is ready at the same time is done together: one thread does it for all that wait.

Many steps cost about the same for one as for fifty: a commit, a request. So while one thread carries out such a step,
the others of this process queue up, and the next in line carries it out for all of them.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from shared.domain.errors import AccountingError


@dataclass(slots=True)
class Waiting[Result]:
    """What one thread wants done; whoever does it settles it with a result or an error."""

    result: Result | None = field(default=None, init=False)
    error: BaseException | None = field(default=None, init=False)

    @property
    def is_settled(self) -> bool:
        """Whether its outcome is known."""
        return self.result is not None or self.error is not None

    def outcome(self) -> Result:
        """The result, once it is settled; raises the error."""
        if self.error is not None:
            raise self.error
        return cast("Result", self.result)


class Line[Item: Waiting[Any]]:
    """The line of this process before something that is done by one thread at a time."""

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
            settle_all: settles every item that it is given, or raises: then the others end with what it raised.
        """
        with self._changed:
            self._waiting.append(item)
        while not item.is_settled:
            with self._changed:
                # Whoever is settled goes on at once, whoever has the next turn.
                self._changed.wait_for(lambda: item.is_settled or not self._is_busy)
                if item.is_settled:
                    return
                self._is_busy = True
                together, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                _settle(together, settle_all)
            finally:
                with self._changed:
                    self._is_busy = False
                    self._changed.notify_all()


def _settle[Item: Waiting[Any]](together: list[Item], settle_all: Callable[[list[Item]], None]) -> None:
    error: BaseException = AccountingError("NotSettled", "what waited beside others was left without an outcome")
    try:
        settle_all(together)
    except BaseException as raised:  # every thread that waits raises it
        error = raised
    for item in together:
        if not item.is_settled:
            item.error = error
