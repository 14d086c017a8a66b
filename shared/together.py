"""What is ready at the same time is done together: one thread does it for all that wait.

Many steps cost about the same for one as for fifty: a commit, a request. So while one thread carries out such a step,
the others of this process queue up, and the next in line carries it out for all of them.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast


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
        self._turn = threading.Lock()
        self._change = threading.Lock()
        self._waiting: list[Item] = []

    @property
    def is_busy(self) -> bool:
        """Whether a thread settles something."""
        return self._turn.locked()

    @property
    def waiting(self) -> int:
        """How many wait to be settled."""
        return len(self._waiting)

    def settle(self, item: Item, settle_all: Callable[[list[Item]], None]) -> None:
        """Has an item settled with all that wait beside it, by this thread or by another.

        Args:
            item: not settled yet.
            settle_all: settles every item that it is given, or raises: then the others end with what it raised.
        """
        with self._change:
            self._waiting.append(item)
        with self._turn:
            while not item.is_settled:
                with self._change:
                    together, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                _settle(together, settle_all)


def _settle[Item: Waiting[Any]](together: list[Item], settle_all: Callable[[list[Item]], None]) -> None:
    try:
        settle_all(together)
    except BaseException as error:  # every thread that waits raises it
        for item in together:
            if not item.is_settled:
                item.error = error
