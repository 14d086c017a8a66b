"""Many accounts that hang at once: however many of a hub do, or of several, there is room for the others' work."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import product

import pytest

from shared.domain.errors import DeferredError
from shared.storage import account_permits
from shared.storage.account_permits import OF_ALL, OF_HUB, PERMITS, SOURCE_BUSY, AccountPermits, Permit
from tests.acceptance.hub import wait_for
from tests.storage.asked import Ask, Asked

HUB, OTHER = "Contoso", "Fabrikam"
SILENT = [f"https://silent{number}.example" for number in range(6)]
WELL = "https://well.example"
PATIENCE_S = 0.05
NOT_ASKED = "too many accounts do not answer"


@pytest.fixture
def permits() -> AccountPermits:
    return AccountPermits(SOURCE_BUSY, patience_s=PATIENCE_S)


@pytest.fixture
def ask_all(permits: AccountPermits, ask: Ask) -> "AskAll":
    return AskAll(permits, ask)


class AskAll:
    """Asks every account of a list that hangs, with as many pieces of work as it has permits."""

    def __init__(self, permits: AccountPermits, ask: Ask) -> None:
        self._permits, self._ask = permits, ask

    def __call__(self, hub: str, accounts: list[str] = SILENT) -> list[Asked]:
        """Those that are let in, once the others have been put back."""
        asked = [self._ask(self._permits.permit(account, hub)) for account, _ in product(accounts, range(PERMITS))]
        wait_for(lambda: all(one.has_begun or one.is_over for one in asked), "those that are put back", 10)
        return [one for one in asked if one.has_begun]


def end(asked: list[Asked]) -> None:
    """Ends the work after a long time, whether it was answered or in vain."""
    until_slow()
    for one in asked:
        one.answer()
        one.permit.close()


def is_served(permits: AccountPermits, hub: str, account: str = WELL) -> bool:
    with closing(permits.permit(account, hub)) as permit, permit.request():
        return True


def keep_turn(permit: Permit) -> None:
    """One that takes long, after which the work keeps its permit."""
    with permit.request():
        until_slow()


def until_slow() -> None:
    threading.Event().wait(PATIENCE_S * 2)


def test_a_hub_whose_accounts_all_hang_has_few_turns(permits: AccountPermits, ask_all: AskAll) -> None:
    waiting = ask_all(HUB)
    assert len(waiting) == OF_HUB + 1
    for number in range(20):
        assert is_served(permits, OTHER, f"https://other{number}.example")
    end(waiting)
    assert len(ask_all(HUB, [one.permit.account for one in waiting])) == OF_HUB, "they were slow before"


def test_who_is_one_too_many_is_told_why(permits: AccountPermits, ask: Ask, ask_all: AskAll) -> None:
    ask_all(HUB)
    assert NOT_ASKED in ask(permits.permit(SILENT[-1], HUB)).refused()
    permits.learn(HUB, "Last", SILENT[-1])
    with pytest.raises(DeferredError, match=f"SourceBusy: {NOT_ASKED}"):
        permits.check(HUB, "last")
    permits.learn(OTHER, "Last", SILENT[-1])
    permits.check(OTHER, "last")


def test_accounts_that_were_slow_leave_their_own_hub_a_place(
    permits: AccountPermits, ask: Ask, ask_all: AskAll
) -> None:
    waiting = ask_all(HUB)
    end(waiting)
    ask_all(HUB, [one.permit.account for one in waiting])
    until_slow()
    for number in range(20):
        assert is_served(permits, HUB, f"https://well{number}.example")


@pytest.mark.lengthy
def test_all_hubs_together_leave_room(permits: AccountPermits, ask_all: AskAll) -> None:
    hubs = {f"Hub{number}": [f"https://silent{number}.example"] for number in range(6)}
    for hub, accounts in hubs.items():
        first = ask_all(hub, accounts)
        end(first)
    waiting = [one for hub, accounts in hubs.items() for one in ask_all(hub, accounts)]
    assert len(waiting) == OF_ALL
    until_slow()
    assert all(is_served(permits, hub) for hub in hubs)


def test_work_that_asks_nothing_for_now_is_not_without_an_answer(permits: AccountPermits, ask_all: AskAll) -> None:
    """As that which keeps its permit at a slow account while it queues what it has listed there."""
    for number in range(OF_ALL):
        keep_turn(permits.permit(f"https://kept{number}.example", f"Hub{number}"))
    end(ask_all(OTHER, [WELL]))
    assert is_served(permits, OTHER)


def test_it_is_forgotten_after_a_while_that_an_account_was_slow(
    permits: AccountPermits, ask_all: AskAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = ask_all(HUB)
    end(waiting)
    monkeypatch.setattr(account_permits, "_SLOW_FOR_S", 0.0)
    assert len(ask_all(HUB, [one.permit.account for one in waiting])) == OF_HUB + 1


def test_an_account_that_answers_again_is_free_at_once(permits: AccountPermits, ask_all: AskAll) -> None:
    first, _, of_another = ask_all(HUB)
    until_slow()
    first.answer()
    with first.permit.request():  # the next request of the same work, which is quick
        pass
    assert is_served(permits, HUB, first.permit.account)
    assert of_another.permit.account != first.permit.account


def test_work_that_has_begun_is_not_held_up(permits: AccountPermits, ask: Ask, ask_all: AskAll) -> None:
    with closing(permits.permit(WELL, HUB)) as reader:
        with reader.request():
            pass
        ask_all(HUB)
        until_slow()
        with pytest.raises(DeferredError, match=NOT_ASKED):
            is_served(permits, HUB)
        with reader.request():
            pass
        assert is_served(permits, HUB), "it answers"


def test_a_hub_with_many_accounts_that_answer_is_not_limited() -> None:
    permits = AccountPermits(SOURCE_BUSY, patience_s=0.5)
    all_ask = threading.Barrier(12)

    def read(number: int) -> None:
        account = f"https://well{number}.example"
        assert is_served(permits, HUB, account)
        with closing(permits.permit(account, HUB)) as permit, permit.request():
            all_ask.wait(10)

    with ThreadPoolExecutor(12) as pool:
        for one in [pool.submit(read, number) for number in range(12)]:
            one.result(10)


@pytest.mark.lengthy
def test_there_is_room_whatever_happens() -> None:
    """Work of three hubs at accounts of which each answer takes long, and of another hub at those that are well."""
    permits = AccountPermits(SOURCE_BUSY, patience_s=0.02)
    stopped, lock = threading.Event(), threading.Lock()
    unanswered, most = Counter[str](), Counter[str]()

    def wait_in_vain(number: int) -> None:
        nonlocal most
        chance, hub = random.Random(number), f"Hub{number % 3}"
        while not stopped.is_set():
            try:
                with closing(permits.permit(chance.choice(SILENT), hub)) as permit, permit.request():
                    with lock:
                        unanswered.update([hub, "all"])
                        most |= unanswered
                    stopped.wait(chance.choice([0.1, 0.2]))
                    with lock:
                        unanswered.subtract([hub, "all"])
            except DeferredError:
                stopped.wait(0.005)

    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(wait_in_vain, number) for number in range(12)]
        try:
            for number in range(100):
                assert is_served(permits, OTHER, f"https://well{number}.example")
                stopped.wait(0.01)
        finally:
            stopped.set()
        for one in waiting:
            one.result(10)
    assert all(most[f"Hub{number}"] <= OF_HUB + 1 for number in range(3))
    assert OF_ALL <= most["all"] <= OF_ALL + 2, "no more than the first permits of two other hubs"
    assert all(is_served(permits, f"Hub{number}", account) for number, account in product(range(3), SILENT))
