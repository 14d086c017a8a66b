"""Blob versions that are ready at the same time share a commit.

A commit costs the same whether it brings one file or fifty, and each makes the log longer. So while one thread commits
to a table, the others of this process queue up, and the next in line commits for all of them.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.lake.parts import UploadedPart

_MOST = 64


@dataclass(slots=True)
class Arrival:
    """A blob version that is to be committed; whoever commits it settles it.

    Attributes:
        app_id, number: the transaction that says it is committed.
        is_new: whether it was committed now; None while it is not settled.
        error: why it was not committed.
    """

    uploaded: Sequence[UploadedPart]
    app_id: str
    number: int
    is_new: bool | None = None
    error: Exception | None = None

    @property
    def is_settled(self) -> bool:
        """Whether its outcome is known."""
        return self.is_new is not None or self.error is not None


class CommitLine:
    """The line before one table, in this process."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._change = threading.Lock()
        self._waiting: list[Arrival] = []

    def commit(self, arrival: Arrival, commit_all: Callable[[list[Arrival]], None]) -> bool:
        """Commits an arrival with all that wait beside it.

        Args:
            arrival: the blob version.
            commit_all: settles every arrival that it is given, or raises.

        Returns:
            Whether it was committed now.

        Raises:
            Whatever the commit raised.
        """
        with self._change:
            self._waiting.append(arrival)
        with self._turn:
            while not arrival.is_settled:
                with self._change:
                    together, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                _settle(together, commit_all)
        if arrival.error is not None:
            raise arrival.error
        return bool(arrival.is_new)


def _settle(together: list[Arrival], commit_all: Callable[[list[Arrival]], None]) -> None:
    try:
        commit_all(together)
    except Exception as error:  # every thread that waits raises it
        for arrival in together:
            if not arrival.is_settled:
                arrival.error = error
