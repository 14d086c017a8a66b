"""Turns at the accounts that blobs are read from: one that does not answer must not hold up the others.

An instance carries out a few messages at once. A request to a source account takes a turn for as long as it waits
for the answer; an account that answers gives its turns back within milliseconds, so nobody notices. One that hangs
keeps them, and whatever else is to be read from it is put back into the queue instead of waiting as well.
"""

import threading
import time
from collections.abc import Iterator
from typing import Final

from shared.domain.errors import DeferredError

# Half of `newBatchThreshold` of host.json: the host takes no new messages while more than that many are carried out,
# so two accounts may hang at once: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue
TURNS = 2
# An account that has not answered for so long is slow enough to be kept apart.
PATIENCE_S = 2.0
_END: Final = object()


class SourceTurns:
    """The turns at every account, for all threads of the process."""

    def __init__(self, turns: int = TURNS, patience_s: float = PATIENCE_S) -> None:
        self._turns = turns
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._since: dict[str, dict[Turn, float]] = {}
        self._accounts: dict[tuple[str, str], str] = {}

    def learn(self, hub: str, connector: str, account: str) -> None:
        """Keeps in mind which account a connector reads."""
        self._accounts[hub.casefold(), connector.casefold()] = account

    def check(self, hub: str, connector: str) -> None:
        """Looks, without asking anybody, whether there is any use in beginning.

        Raises:
            DeferredError: the connector's account does not answer those who wait for it already.
        """
        account = self._accounts.get((hub.casefold(), connector.casefold()))
        if account is not None:
            with self._changed:
                if self._is_stuck(account):
                    raise _busy(account)

    def turn(self, account: str) -> "Turn":
        """For one reader of the account."""
        return Turn(self, account)

    def take(self, turn: "Turn") -> None:
        """Waits for a free turn, as long as others get theirs.

        Raises:
            DeferredError: every turn is taken by a reader that gets no answer, or only slow ones.
        """
        account = turn.account
        with self._changed:
            taken = self._since.setdefault(account, {})
            while turn not in taken and not self._is_free(account):
                if self._is_stuck(account):
                    raise _busy(account)
                self._changed.wait(self._patience_s / 4)
            taken[turn] = time.monotonic()

    def give_back(self, turn: "Turn", *, ended: bool) -> None:
        """Gives a turn back; a reader that has waited long for an answer keeps it for its next request.

        Otherwise newcomers would take the turns of those that have most of a large blob already.

        Args:
            turn: that was taken.
            ended: whether there is no next request.
        """
        with self._changed:
            taken = self._since.setdefault(turn.account, {})
            began = taken.get(turn)
            if began is not None and (ended or time.monotonic() - began <= self._patience_s):
                del taken[turn]
                self._changed.notify_all()

    def _is_free(self, account: str) -> bool:
        return len(self._since.get(account, {})) < self._turns

    def _is_stuck(self, account: str) -> bool:
        taken = self._since.get(account, {})
        return len(taken) >= self._turns and time.monotonic() - max(taken.values()) > self._patience_s


class Turn:
    """One reader's turn at an account: `with turn:` round each request, `close()` at the end of its work."""

    def __init__(self, turns: SourceTurns, account: str) -> None:
        self.account = account
        self._turns = turns

    def __enter__(self) -> None:
        self._turns.take(self)

    def __exit__(self, *_: object) -> None:
        self._turns.give_back(self, ended=False)

    def each[Item](self, items: Iterator[Item]) -> Iterator[Item]:
        """The items, each fetched within the turn."""
        while True:
            with self:
                item = next(items, _END)
            if item is _END:
                return
            yield item  # type: ignore[misc]

    def close(self) -> None:
        """Gives the turn back, also one that was kept."""
        self._turns.give_back(self, ended=True)


def _busy(account: str) -> DeferredError:
    message = f"{account} does not answer the requests that it has already; this one waits until it does"
    return DeferredError("SourceBusy", message, account)
