"""Turns at the accounts of others, sources and destinations: one that does not answer must not hold up the others.

An instance carries out a few messages at once. Each is a piece of work, which needs a turn at an account to ask it for
something, and an account has two. So no more than two wait long for an account that hangs: others who come to it are
put back into their queue as soon as it shows, and the instance goes on with the messages of other accounts.

Where the account answers, a piece of work hands its turn on between two requests, if others have waited for longer:

- They stand in line, hub by hub in turn, and those of one hub by when they came. A hub has both turns only while no
  other one waits, or is about to come again because it was put back.
- Who has had a turn before waits for as long as the account answers, since much may be done already. A newcomer is put
  back after a while, lest all are at work on one account.
- Where the account takes long for each answer, a piece of work keeps its turn between its requests, but for one of a
  hub that is to have both no longer. Else newcomers would take those of work that has most of a large blob already.

Many accounts may hang at once. A newcomer to one that has not answered just now is let in only while few turns, of its
hub and of all, are without an answer, whichever accounts they are at. So the instance has room for other work:

- One place is kept for accounts that were quick when they were asked last, or have not been asked lately: those that
  were slow cannot keep the others of their hub out. The first turn of a hub is always to be had for them.
- Who has begun is not held up, but counts while it waits for an answer. A turn ends by the time limits of its requests,
  in about four minutes.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from math import inf
from time import monotonic
from typing import Final

from shared.deadline import seconds_left
from shared.domain.errors import DeferredError
from shared.turns import Line, Place

# Half of `newBatchThreshold` of host.json: the host takes no new messages while more than that many are carried out,
# so two accounts may hang at once: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue
TURNS = 2
# An account that has not answered for so long is slow enough to be kept apart.
PATIENCE_S = 2.0
# Turns that wait for an answer, of one hub and of all, beside which there is none for an account that was slow before.
# For others there is one more: `newBatchThreshold`, so the host goes on to take new messages.
OF_HUB, OF_ALL = 2, 3
# A newcomer waits for so long at an account that answers.
_NEWCOMER_S = 10.0
# By then a message that was put back has come again.
_COMES_AGAIN_S = 70.0
# An account that has not been asked since may be quick again; longer than a message that was put back stays away.
_SLOW_FOR_S = 300.0
# Whoever mends a connector may give it another account, which is learned only by looking.
_KNOWN_FOR_S = 60.0
SOURCE_BUSY, DESTINATION_BUSY = "SourceBusy", "DestinationBusy"
_END: Final = object()


class Turn:
    """The turn of one piece of work at an account: `with turn.request():` round each request, `close()` at its end.

    Several threads of one piece of work may ask at once.
    """

    def __init__(self, turns: "AccountTurns", account: str, hub: str) -> None:
        self.account = account
        self.hub = hub
        self.is_newcomer = True  # until it has had the turn once
        self._turns = turns

    @contextmanager
    def request(self) -> Iterator[None]:
        """Waits until the turn has come, and has it at least while the context is open.

        Raises:
            DeferredError: the account does not answer, or others come first for longer than there is time to wait.
        """
        request = self._turns.begin(self)
        try:
            yield
        finally:
            self._turns.end(request)

    def each[Item](self, items: Iterator[Item]) -> Iterator[Item]:
        """The items, each fetched by a request."""
        while True:
            with self.request():
                item = next(items, _END)
            if item is _END:
                return
            yield item  # type: ignore[misc]

    def close(self) -> None:
        """Gives the turn back, also one that was kept."""
        self._turns.close(self)


@dataclass(eq=False, slots=True)
class _Request(Place):
    """A request, and its place in the line for as long as it waits; its owner is the hub.

    Attributes:
        turn: within which it is made.
        began: when it took its place, and then when it was made.
    """

    turn: Turn
    began: float = field(default_factory=monotonic)


@dataclass(slots=True)
class _Held:
    """What is going on in a turn that somebody has.

    Attributes:
        under_way: requests without an answer yet.
        heard: when the account answered last, or was asked after a pause.
        is_slow: whether it took long for its last answer.
    """

    under_way: set[_Request] = field(default_factory=set)
    heard: float = 0.0
    is_slow: bool = False


class _Account:
    """The turns at one account, and the line for them; whoever calls it holds the lock."""

    def __init__(self, turns: int, patience_s: float) -> None:
        self.line: Line[_Request] = Line()
        self._turns = turns
        self._patience_s = patience_s
        self._held: dict[Turn, _Held] = {}
        self._coming_again: dict[str, float] = {}  # until when to expect which hub
        self._heard = -inf  # when a request ended last
        self._was_slow = False

    def may_begin(self, request: _Request) -> bool:
        """Whether it is the next to be made."""
        self._collect()
        held = self._held.get(request.turn)
        if held is None:
            return self.has_turn_for(request.owner) and self.line.next(self._turns_of_hubs()) is request
        return not self._is_to_share(request.owner) and (held.is_slow or not self._is_after_others(request))

    def has_turn_for(self, hub: str) -> bool:
        """Whether one is free for work of this hub that has none."""
        is_second = self._turns_of_hubs()[hub] > 0
        return len(self._held) < self._turns and not (is_second and self._is_wanted_beside(hub))

    def is_silent(self) -> bool:
        """Whether nobody who has a turn has had an answer lately, and nobody who waits is about to get one."""
        before = monotonic() - self._patience_s
        return (
            bool(self._held)
            and all(held.under_way and held.heard < before for held in self._held.values())
            and not any(self.has_turn_for(place.owner) for place in self.line.places)
        )

    def answers(self) -> bool:
        """Whether it has answered just now, and quickly."""
        return not self._was_slow and self._heard > monotonic() - self._patience_s

    def is_slow(self) -> bool:
        """Whether it was slow when it was asked last, not long ago, be it that somebody waits until now."""
        was_slow = self._was_slow and self._heard > monotonic() - _SLOW_FOR_S
        return was_slow or self.unanswered(self._patience_s).total() > 0

    def unanswered(self, for_s: float = 0.0) -> Counter[str]:
        """How many turns of each hub have waited for an answer for so long; none while the account answers others."""
        if self.answers():
            return Counter()
        before = monotonic() - for_s
        return Counter(turn.hub for turn, held in self._held.items() if held.under_way and held.heard <= before)

    def is_held(self, turn: Turn) -> bool:
        """Whether the piece of work has its turn now."""
        return turn in self._held

    def begin(self, request: _Request) -> None:
        """Notes that a request is made."""
        self.line.serve(request)
        self._coming_again.pop(request.owner, None)
        request.turn.is_newcomer = False
        request.began = monotonic()
        held = self._held.setdefault(request.turn, _Held())
        if not held.under_way:
            held.heard = request.began
        held.under_way.add(request)

    def end(self, request: _Request) -> None:
        """Notes that a request was answered, or failed."""
        held = self._held.get(request.turn)
        if held is not None:
            held.under_way.discard(request)
            held.heard = monotonic()
            held.is_slow = held.heard - request.began > self._patience_s
            self._heard, self._was_slow = held.heard, held.is_slow
            self._collect()

    def close(self, turn: Turn) -> None:
        """Takes a turn back from work that is done."""
        self._held.pop(turn, None)

    def put_back(self, hub: str) -> None:
        """Notes that a hub is to come again."""
        self._coming_again[hub] = monotonic() + _COMES_AGAIN_S

    def _collect(self) -> None:
        """Takes back turns between two requests, but for those that are kept."""
        for turn, held in [*self._held.items()]:
            if not held.under_way and (not held.is_slow or self._is_to_share(turn.hub)):
                del self._held[turn]

    def _is_to_share(self, hub: str) -> bool:
        """Whether a hub has a turn that is another hub's."""
        return self._turns_of_hubs()[hub] > 1 and self._is_wanted_beside(hub)

    def _is_wanted_beside(self, hub: str) -> bool:
        """Whether there is another hub that waits, or is to come again."""
        now = monotonic()
        return any(place.owner != hub for place in self.line.places) or any(
            other != hub and until > now for other, until in self._coming_again.items()
        )

    def _is_after_others(self, request: _Request) -> bool:
        """Whether other work has waited for longer than a request of work that has its turn, and is to have it now."""
        turns = self._turns_of_hubs()
        turns[request.owner] -= 1
        before = takewhile(lambda place: place is not request, self.line.places)
        return any(place.turn is not request.turn and turns[place.owner] <= turns[request.owner] for place in before)

    def _turns_of_hubs(self) -> Counter[str]:
        return Counter(turn.hub for turn in self._held)


class AccountTurns:
    """The turns at every account, for all threads of the process."""

    def __init__(
        self, code: str, turns: int = TURNS, patience_s: float = PATIENCE_S, newcomer_s: float = _NEWCOMER_S
    ) -> None:
        """
        Args:
            code: of the error where there is no turn to be had.
            turns: at one account.
            patience_s: seconds without an answer after which an account is slow.
            newcomer_s: seconds that work waits for its first turn at an account that answers.
        """
        self._code = code
        self._patience_s = patience_s
        self._newcomer_s = newcomer_s
        self._changed = threading.Condition()
        self._accounts: defaultdict[str, _Account] = defaultdict(lambda: _Account(turns, patience_s))
        self._accounts_of: dict[tuple[str, str], tuple[str, float]] = {}  # each with when it was learned

    def learn(self, hub: str, connector: str, account: str) -> None:
        """Keeps in mind for a while which account a connector reads."""
        self._accounts_of[hub.casefold(), connector.casefold()] = account, monotonic()

    def check(self, hub: str, connector: str) -> None:
        """Looks, without asking anybody, whether there is any use in beginning.

        Says nothing of a connector of which nobody has learned the account lately: whoever goes on learns it.

        Raises:
            DeferredError: the connector's account does not answer those who ask it already.
        """
        name, learned = self._accounts_of.get((hub.casefold(), connector.casefold()), ("", -inf))
        if learned > monotonic() - _KNOWN_FOR_S:
            with self._changed:
                account = self._accounts[name]
                is_in_vain = account.is_silent() and not account.has_turn_for(hub.casefold())
                if is_in_vain or self._waits_for_others(account, hub.casefold()):
                    raise self._put_back(name, hub.casefold())

    def turn(self, account: str, hub: str) -> Turn:
        """For a piece of work of a hub that reads from the account, or writes to it."""
        return Turn(self, account, hub.casefold())

    def begin(self, turn: Turn) -> _Request:
        """Waits until a request may be made; DeferredError where that is in vain."""
        request = _Request(turn.hub, turn)
        with self._changed:
            account = self._accounts[turn.account]
            account.line.enter(request)
            try:
                while not self._may_begin(account, request):
                    if self._is_in_vain(account, request):
                        raise self._put_back(turn.account, turn.hub)
                    self._changed.wait(self._patience_s / 4)
                account.begin(request)
            finally:
                account.line.leave(request)
                self._changed.notify_all()
        return request

    def end(self, request: _Request) -> None:
        """Ends a request, and with it the turn, unless that is kept."""
        with self._changed:
            self._accounts[request.turn.account].end(request)
            self._changed.notify_all()

    def close(self, turn: Turn) -> None:
        """Gives a turn back: there is no next request."""
        with self._changed:
            self._accounts[turn.account].close(turn)
            self._changed.notify_all()

    def _may_begin(self, account: _Account, request: _Request) -> bool:
        is_let_in = not request.turn.is_newcomer or self._has_room(account, request.owner)
        return is_let_in and account.may_begin(request)

    def _waits_for_others(self, account: _Account, hub: str) -> bool:
        """Whether other accounts are silent, for which a newcomer does not get a turn that is free."""
        return account.has_turn_for(hub) and not self._has_room(account, hub, self._patience_s)

    def _has_room(self, account: _Account, hub: str, for_s: float = 0.0) -> bool:
        """Whether a newcomer may add a turn without an answer to those that have had none for so long."""
        if account.answers():
            return True
        unanswered = sum((each.unanswered(for_s) for each in self._accounts.values()), Counter[str]())
        if account.is_slow():
            return unanswered[hub] < OF_HUB and unanswered.total() < OF_ALL
        return not unanswered[hub] or (unanswered[hub] <= OF_HUB and unanswered.total() <= OF_ALL)

    def _is_in_vain(self, account: _Account, request: _Request) -> bool:
        if account.is_held(request.turn):
            return False  # its own requests are under way: they end, or give the work up
        waited_s = monotonic() - request.began
        if seconds_left() <= 0 or account.is_silent():
            return True
        is_newcomer = request.turn.is_newcomer
        return is_newcomer and (waited_s > self._newcomer_s or self._waits_for_others(account, request.owner))

    def _put_back(self, name: str, hub: str) -> DeferredError:
        account = self._accounts[name]
        account.put_back(hub)
        if account.is_silent():
            message = f"{name} does not answer the requests that it has already; this one waits until it does"
        elif self._waits_for_others(account, hub):
            message = f"too many accounts do not answer; this one waits until they do, since {name} may not either"
        else:
            message = f"{name} answers, but others come first there for now; this waits until it is less busy"
        return DeferredError(self._code, message, name)
