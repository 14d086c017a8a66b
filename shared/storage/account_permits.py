"""Permits to call the accounts of others, sources and destinations: one that hangs must not hold up the others.

An instance works on a few messages at once. Each is a piece of work, which needs a permit before it sends an account a
request, and an account has two. So at most two pieces of work wait long for an account that hangs: others that come to
it are requeued as soon as it is known to hang, and the instance goes on with messages for other accounts.

While an account answers, a piece of work hands its permit on between two requests if others have waited longer:

- Permits go round the hubs, and within a hub to whoever came first. A hub has both permits only while no other hub
  waits, or is about to come again because it was requeued.
- Work that has had a permit before waits for as long as the account answers, since much of it may be done already. A
  newcomer is requeued after a while, lest all of them wait at one account.
- While each answer takes long, a piece of work keeps its permit between its requests, unless its hub has both and
  another hub waits. Otherwise newcomers would overtake work that has already read most of a large blob.

Many accounts may hang at once. A newcomer to an account that has not just answered is let in only while few permits
are without an answer, of its hub and of all hubs, whichever accounts they are for. So the instance has room for others:

- One permit is reserved for accounts that were quick when last asked, or have not been asked lately: slow ones cannot
  keep out the others of their hub. The first permit of a hub is always available for them.
- Work under way is not held up, but counts while it waits for an answer. It ends by the time limits of its requests, in
  about four minutes.
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
from shared.permits import Waiter, WaitList

# Half of `newBatchThreshold` of host.json: the host takes no new messages while more than that many are carried out,
# so two accounts may hang at once: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue
PERMITS = 2
# An account that has not answered for so long is slow enough to be kept apart.
PATIENCE_S = 2.0
# Permits without an answer, of one hub and of all, that leave none for an account that was slow before. Other accounts
# get one more: `newBatchThreshold`, so that the host still fetches new messages.
OF_HUB, OF_ALL = 2, 3
# A newcomer waits for so long at an account that answers.
_NEWCOMER_S = 10.0
# By then a message that was requeued has come again.
_COMES_AGAIN_S = 70.0
# An account that has not been asked since may be quick again; longer than a message that was requeued stays away.
_SLOW_FOR_S = 300.0
# Whoever mends a connector may give it another account, which is learned only by looking.
_KNOWN_FOR_S = 60.0
SOURCE_BUSY, DESTINATION_BUSY = "SourceBusy", "DestinationBusy"
_END: Final = object()


class Permit:
    """The permit of one piece of work for an account: `with permit.request():` around requests, `close()` at the end.

    Several threads of one piece of work may ask at once.
    """

    def __init__(self, permits: "AccountPermits", account: str, hub: str) -> None:
        self.account = account
        self.hub = hub
        self.is_newcomer = True  # until it has had the permit once
        self._permits = permits

    @contextmanager
    def request(self) -> Iterator[None]:
        """Waits for the permit and holds it at least until the context ends.

        Raises:
            DeferredError: the account does not answer, or others come first for longer than there is time to wait.
        """
        request = self._permits.begin(self)
        try:
            yield
        finally:
            self._permits.end(request)

    def each[Item](self, items: Iterator[Item]) -> Iterator[Item]:
        """The items, each fetched by a request."""
        while True:
            with self.request():
                item = next(items, _END)
            if item is _END:
                return
            yield item  # type: ignore[misc]

    def close(self) -> None:
        """Returns the permit, also if it was kept between requests."""
        self._permits.close(self)


@dataclass(eq=False, slots=True)
class _Request(Waiter):
    """A request, which waits first; its owner is the hub.

    Attributes:
        permit: under which it is sent.
        began: when it began to wait, and then when it was sent.
    """

    permit: Permit
    began: float = field(default_factory=monotonic)


@dataclass(slots=True)
class _Held:
    """The requests under a permit that is held.

    Attributes:
        under_way: requests without an answer yet.
        heard: when the account answered last, or was asked after a pause.
        is_slow: whether it took long for its last answer.
    """

    under_way: set[_Request] = field(default_factory=set)
    heard: float = 0.0
    is_slow: bool = False


class _Account:
    """The permits of one account and who waits for them; callers hold the lock."""

    def __init__(self, permits: int, patience_s: float) -> None:
        self.wait_list: WaitList[_Request] = WaitList()
        self._permits = permits
        self._patience_s = patience_s
        self._held: dict[Permit, _Held] = {}
        self._coming_again: dict[str, float] = {}  # until when to expect which hub
        self._heard = -inf  # when a request ended last
        self._was_slow = False

    def may_begin(self, request: _Request) -> bool:
        """Whether it is the next to be made."""
        self._collect()
        held = self._held.get(request.permit)
        if held is None:
            return self.has_permit_for(request.owner) and self.wait_list.next(self._permits_of_hubs()) is request
        return not self._is_to_share(request.owner) and (held.is_slow or not self._is_after_others(request))

    def has_permit_for(self, hub: str) -> bool:
        """Whether one is free for work of this hub that has none."""
        is_second = self._permits_of_hubs()[hub] > 0
        return len(self._held) < self._permits and not (is_second and self._is_wanted_beside(hub))

    def is_silent(self) -> bool:
        """Whether nobody who has a permit has had an answer lately, and nobody who waits is about to get one."""
        before = monotonic() - self._patience_s
        return (
            bool(self._held)
            and all(held.under_way and held.heard < before for held in self._held.values())
            and not any(self.has_permit_for(waiter.owner) for waiter in self.wait_list.waiters)
        )

    def answers(self) -> bool:
        """Whether it has answered just now, and quickly."""
        return not self._was_slow and self._heard > monotonic() - self._patience_s

    def is_slow(self) -> bool:
        """Whether it was slow when it was asked last, not long ago, be it that somebody waits until now."""
        was_slow = self._was_slow and self._heard > monotonic() - _SLOW_FOR_S
        return was_slow or self.unanswered(self._patience_s).total() > 0

    def unanswered(self, for_s: float = 0.0) -> Counter[str]:
        """How many permits of each hub have waited for an answer for so long; none while the account answers others."""
        if self.answers():
            return Counter()
        before = monotonic() - for_s
        return Counter(permit.hub for permit, held in self._held.items() if held.under_way and held.heard <= before)

    def is_held(self, permit: Permit) -> bool:
        """Whether the piece of work has its permit now."""
        return permit in self._held

    def begin(self, request: _Request) -> None:
        """Notes that a request is made."""
        self.wait_list.serve(request)
        self._coming_again.pop(request.owner, None)
        request.permit.is_newcomer = False
        request.began = monotonic()
        held = self._held.setdefault(request.permit, _Held())
        if not held.under_way:
            held.heard = request.began
        held.under_way.add(request)

    def end(self, request: _Request) -> None:
        """Notes that a request was answered, or failed."""
        held = self._held.get(request.permit)
        if held is not None:
            held.under_way.discard(request)
            held.heard = monotonic()
            held.is_slow = held.heard - request.began > self._patience_s
            self._heard, self._was_slow = held.heard, held.is_slow
            self._collect()

    def close(self, permit: Permit) -> None:
        """Takes a permit back from work that is done."""
        self._held.pop(permit, None)

    def note_requeued(self, hub: str) -> None:
        """Notes that a hub is to come again."""
        self._coming_again[hub] = monotonic() + _COMES_AGAIN_S

    def _collect(self) -> None:
        """Takes back permits between two requests, but for those that are kept."""
        for permit, held in [*self._held.items()]:
            if not held.under_way and (not held.is_slow or self._is_to_share(permit.hub)):
                del self._held[permit]

    def _is_to_share(self, hub: str) -> bool:
        """Whether a hub has a permit that is another hub's."""
        return self._permits_of_hubs()[hub] > 1 and self._is_wanted_beside(hub)

    def _is_wanted_beside(self, hub: str) -> bool:
        """Whether there is another hub that waits, or is to come again."""
        now = monotonic()
        return any(waiter.owner != hub for waiter in self.wait_list.waiters) or any(
            other != hub and until > now for other, until in self._coming_again.items()
        )

    def _is_after_others(self, request: _Request) -> bool:
        """Whether other work has waited longer than a request of work that holds a permit, and is to have that now."""
        permits = self._permits_of_hubs()
        permits[request.owner] -= 1
        before = takewhile(lambda waiter: waiter is not request, self.wait_list.waiters)
        return any(
            waiter.permit is not request.permit and permits[waiter.owner] <= permits[request.owner] for waiter in before
        )

    def _permits_of_hubs(self) -> Counter[str]:
        return Counter(permit.hub for permit in self._held)


class AccountPermits:
    """The permits at every account, for all threads of the process."""

    def __init__(
        self, code: str, permits: int = PERMITS, patience_s: float = PATIENCE_S, newcomer_s: float = _NEWCOMER_S
    ) -> None:
        """
        Args:
            code: of the error where there is no permit to be had.
            permits: at one account.
            patience_s: seconds without an answer after which an account is slow.
            newcomer_s: seconds that work waits for its first permit at an account that answers.
        """
        self._code = code
        self._patience_s = patience_s
        self._newcomer_s = newcomer_s
        self._changed = threading.Condition()
        self._accounts: defaultdict[str, _Account] = defaultdict(lambda: _Account(permits, patience_s))
        self._accounts_of: dict[tuple[str, str], tuple[str, float]] = {}  # each with when it was learned

    def learn(self, hub: str, connector: str, account: str) -> None:
        """Keeps in mind for a while which account a connector reads."""
        self._accounts_of[hub.casefold(), connector.casefold()] = account, monotonic()

    def check(self, hub: str, connector: str) -> None:
        """Tells, without a request, whether it is worth beginning.

        It knows nothing of a connector whose account nobody has learned lately: whoever goes on learns it.

        Raises:
            DeferredError: the connector's account does not answer those who ask it already.
        """
        name, learned = self._accounts_of.get((hub.casefold(), connector.casefold()), ("", -inf))
        if learned > monotonic() - _KNOWN_FOR_S:
            with self._changed:
                account = self._accounts[name]
                is_pointless = account.is_silent() and not account.has_permit_for(hub.casefold())
                if is_pointless or self._waits_for_others(account, hub.casefold()):
                    raise self._requeue(name, hub.casefold())

    def permit(self, account: str, hub: str) -> Permit:
        """For a piece of work of a hub that reads from the account, or writes to it."""
        return Permit(self, account, hub.casefold())

    def begin(self, permit: Permit) -> _Request:
        """Waits until a request may be sent; raises DeferredError if waiting is pointless."""
        request = _Request(permit.hub, permit)
        with self._changed:
            account = self._accounts[permit.account]
            account.wait_list.enter(request)
            try:
                while not self._may_begin(account, request):
                    if self._is_pointless(account, request):
                        raise self._requeue(permit.account, permit.hub)
                    self._changed.wait(self._patience_s / 4)
                account.begin(request)
            finally:
                account.wait_list.leave(request)
                self._changed.notify_all()
        return request

    def end(self, request: _Request) -> None:
        """Ends a request, and returns the permit unless it is kept."""
        with self._changed:
            self._accounts[request.permit.account].end(request)
            self._changed.notify_all()

    def close(self, permit: Permit) -> None:
        """Returns a permit: no request follows."""
        with self._changed:
            self._accounts[permit.account].close(permit)
            self._changed.notify_all()

    def _may_begin(self, account: _Account, request: _Request) -> bool:
        is_let_in = not request.permit.is_newcomer or self._has_room(account, request.owner)
        return is_let_in and account.may_begin(request)

    def _waits_for_others(self, account: _Account, hub: str) -> bool:
        """Whether other accounts are silent, for which a newcomer does not get a permit that is free."""
        return account.has_permit_for(hub) and not self._has_room(account, hub, self._patience_s)

    def _has_room(self, account: _Account, hub: str, for_s: float = 0.0) -> bool:
        """Whether a newcomer may add a permit without an answer to those that have had none for so long."""
        if account.answers():
            return True
        unanswered = sum((each.unanswered(for_s) for each in self._accounts.values()), Counter[str]())
        if account.is_slow():
            return unanswered[hub] < OF_HUB and unanswered.total() < OF_ALL
        return not unanswered[hub] or (unanswered[hub] <= OF_HUB and unanswered.total() <= OF_ALL)

    def _is_pointless(self, account: _Account, request: _Request) -> bool:
        if account.is_held(request.permit):
            return False  # its own requests are under way: they end, or give the work up
        waited_s = monotonic() - request.began
        if seconds_left() <= 0 or account.is_silent():
            return True
        is_newcomer = request.permit.is_newcomer
        return is_newcomer and (waited_s > self._newcomer_s or self._waits_for_others(account, request.owner))

    def _requeue(self, name: str, hub: str) -> DeferredError:
        account = self._accounts[name]
        account.note_requeued(hub)
        if account.is_silent():
            message = f"{name} does not answer the requests that it has already; this one waits until it does"
        elif self._waits_for_others(account, hub):
            message = f"too many accounts do not answer; this one waits until they do, since {name} may not either"
        else:
            message = f"{name} answers, but others come first there for now; this waits until it is less busy"
        return DeferredError(self._code, message, name)
