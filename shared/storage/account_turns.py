"""Turns at the accounts of others, sources and destinations: one that does not answer must not hold up the others.

An instance carries out a few messages at once. A request to such an account takes a turn for as long as it waits for
the answer; an account that answers gives its turns back within milliseconds, so nobody notices. One that hangs keeps
them, and whatever else is to be asked of it is put back into the queue instead of waiting as well.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.domain.errors import DeferredError

# Half of `newBatchThreshold` of host.json: the host takes no new messages while more than that many are carried out,
# so two accounts may hang at once: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue
TURNS = 2
# An account that has not answered for so long is slow enough to be kept apart.
PATIENCE_S = 2.0
SOURCE_BUSY, DESTINATION_BUSY = "SourceBusy", "DestinationBusy"
_END: Final = object()


@dataclass(slots=True)
class _Held:
    """A turn that is taken.

    Attributes:
        since: when it was taken.
        asked: when its newest request began.
        requests: how many are under way.
    """

    since: float = field(default_factory=time.monotonic)
    asked: float = 0.0
    requests: int = 0


class AccountTurns:
    """The turns at every account, for all threads of the process."""

    def __init__(self, code: str, turns: int = TURNS, patience_s: float = PATIENCE_S) -> None:
        """
        Args:
            code: of the error where every turn is taken.
            turns: at one account.
            patience_s: seconds after which an account is slow.
        """
        self._code = code
        self._turns = turns
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._held: dict[str, dict[Turn, _Held]] = {}
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
                    raise self._busy(account)

    def turn(self, account: str) -> "Turn":
        """For one that reads from the account, or writes to it."""
        return Turn(self, account)

    def take(self, turn: "Turn") -> None:
        """Waits for a free turn, as long as others get theirs, and begins a request.

        Raises:
            DeferredError: every turn is kept by one that gets no answer, or only slow ones, or has much to send.
        """
        with self._changed:
            held = self._held.setdefault(turn.account, {})
            while turn not in held and len(held) >= self._turns:
                if self._is_stuck(turn.account):
                    raise self._busy(turn.account)
                self._changed.wait(self._patience_s / 4)
            mine = held.setdefault(turn, _Held())
            mine.asked = time.monotonic()
            mine.requests += 1

    def give_back(self, turn: "Turn") -> None:
        """Ends a request, and gives the turn back where no other of the same one is under way.

        Whoever has waited long for an answer keeps it for the next request. Otherwise newcomers would take the turns of
        those that have most of a large blob already.
        """
        with self._changed:
            mine = self._held.setdefault(turn.account, {}).get(turn)
            if mine is None:
                return
            mine.requests -= 1
            if not mine.requests and time.monotonic() - mine.asked <= self._patience_s:
                self._drop(turn)

    def end(self, turn: "Turn") -> None:
        """Gives back a turn that was kept: there is no next request."""
        with self._changed:
            self._drop(turn)

    def _drop(self, turn: "Turn") -> None:
        if self._held.setdefault(turn.account, {}).pop(turn, None) is not None:
            self._changed.notify_all()

    def _is_stuck(self, account: str) -> bool:
        held = self._held.get(account, {})
        newest = max((one.since for one in held.values()), default=0.0)
        return len(held) >= self._turns and time.monotonic() - newest > self._patience_s

    def _busy(self, account: str) -> DeferredError:
        message = f"{account} does not answer the requests that it has already; this one waits until it does"
        return DeferredError(self._code, message, account)


class Turn:
    """The turn of one piece of work at an account: `with turn:` round each request, `close()` at its end.

    Several threads of one piece of work may ask at once.
    """

    def __init__(self, turns: AccountTurns, account: str) -> None:
        self.account = account
        self._turns = turns

    def __enter__(self) -> None:
        self._turns.take(self)

    def __exit__(self, *_: object) -> None:
        self._turns.give_back(self)

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
        self._turns.end(self)
