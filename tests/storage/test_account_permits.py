"""Permits for an account: handed on while it answers, kept while it does not, never in the way of other accounts."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from shared.deadline import deadline, pool_of_threads
from shared.domain.errors import DeferredError
from shared.storage import account_permits
from shared.storage.account_permits import OF_ALL, PERMITS, SOURCE_BUSY, AccountPermits, Permit
from shared.storage.queues import ATTEMPTS
from tests.acceptance.hub import wait_for
from tests.storage.asked import Ask, Asked

SLOW, OTHER = "https://slow.example", "https://other.example"
PATIENCE_S = 0.05
NO_ANSWER, BUSY = "does not answer", "others come first"


@pytest.fixture
def permits() -> AccountPermits:
    permits = AccountPermits(SOURCE_BUSY, patience_s=PATIENCE_S, newcomer_s=PATIENCE_S)
    permits.learn("Contoso", "Slow", SLOW)
    permits.learn("Contoso", "Other", OTHER)
    return permits


@pytest.fixture
def patient() -> AccountPermits:
    """Permits for which nothing is slow, and who waits is woken by whatever it waits for."""
    return AccountPermits(SOURCE_BUSY, patience_s=600, newcomer_s=600)


@contextmanager
def hanging(permits: AccountPermits, readers: int = PERMITS) -> Iterator[threading.Event]:
    """Readers of the slow account that get no answer until the event is set."""
    answered, asked = threading.Event(), threading.Semaphore(0)

    def read() -> None:
        permit = permits.permit(SLOW, "Contoso")
        with permit.request():
            asked.release()
            answered.wait()
        permit.close()

    with ThreadPoolExecutor(readers) as pool:
        try:
            reading = [pool.submit(read) for _ in range(readers)]
            for _ in range(readers):
                assert asked.acquire(timeout=10)
            yield answered
        finally:
            answered.set()
        for one in reading:
            one.result(10)


def is_kept_apart(permits: AccountPermits) -> bool:
    try:
        permits.check("contoso", "SLOW")
    except DeferredError:
        return True
    return False


def is_served(permits: AccountPermits, hub: str = "Contoso", account: str = SLOW) -> bool:
    with permits.permit(account, hub).request():
        return True


def until(seconds: float) -> Iterator[None]:
    """Comes again and again for as long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield


def test_an_account_that_hangs_is_kept_apart_until_it_answers(permits: AccountPermits) -> None:
    with hanging(permits) as answered:
        with pytest.raises(DeferredError, match=f"SourceBusy.*{NO_ANSWER}"):
            is_served(permits)
        assert is_kept_apart(permits)
        permits.check("Contoso", "Other")
        assert is_served(permits, account=OTHER)
        answered.set()
        wait_for(lambda: not is_kept_apart(permits), "the account's recovery", 10)
    assert is_served(permits)


def test_a_connector_with_another_account_is_not_put_back_for_long(
    permits: AccountPermits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells an instance that its owner has mended it, so the account is looked up again now and then."""
    with hanging(permits):
        wait_for(lambda: is_kept_apart(permits), "its silence", 10)
        monkeypatch.setattr(account_permits, "_KNOWN_FOR_S", 0.0)
        assert not is_kept_apart(permits)


def test_fewer_that_hang_leave_a_turn(permits: AccountPermits) -> None:
    with hanging(permits, PERMITS - 1), permits.permit(SLOW, "Contoso").request():
        assert not is_kept_apart(permits)


def test_an_account_that_answers_serves_any_number(permits: AccountPermits) -> None:
    def read(number: int) -> list[int]:
        permit = permits.permit(SLOW, "Contoso")
        found = list(permit.each(iter(range(number))))
        permit.close()
        return found

    with ThreadPoolExecutor(12) as pool:
        assert [len(found) for found in pool.map(read, range(100))] == list(range(100))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("hub", ["Contoso", "Fabrikam"], ids=["same hub", "another hub"])
def test_those_who_send_without_a_pause_keep_nobody_waiting(threads: int, hub: str) -> None:
    """Neither those who send several blocks at once, nor those who read one piece after another."""
    permits = AccountPermits(SOURCE_BUSY, patience_s=0.3)
    stopped = threading.Event()
    sent: Counter[Permit] = Counter()

    def send(permit: Permit) -> None:
        while not stopped.is_set():
            with permit.request():
                time.sleep(0.002)
            sent[permit] += 1

    senders = [permits.permit(SLOW, "Contoso") for _ in range(PERMITS)]
    with ThreadPoolExecutor(PERMITS * threads) as pool:
        sending = [pool.submit(send, permit) for permit in senders for _ in range(threads)]
        try:
            wait_for(lambda: len(sent) == PERMITS, "the first blocks", 10)
            for _ in until(0.6):
                assert is_served(permits, hub)
        finally:
            stopped.set()
        for one in sending:
            one.result(10)


def test_one_that_has_begun_asks_by_several_threads_at_once(patient: AccountPermits) -> None:
    all_ask = threading.Barrier(3)

    def send(permit: Permit) -> None:
        for _ in range(20):
            with permit.request():
                all_ask.wait(10)

    with ThreadPoolExecutor(3) as pool, closing(patient.permit(SLOW, "Contoso")) as permit:
        for one in [pool.submit(send, permit) for _ in range(3)]:
            one.result(10)


def test_who_came_first_is_next(patient: AccountPermits, ask: Ask) -> None:
    works = [patient.permit(SLOW, "Contoso") for _ in range(PERMITS + 2)]
    under_way = [ask(work).begun() for work in works[:PERMITS]]
    waiting = [ask(work) for work in works[PERMITS:]]
    again = ask(works[0])  # while its first one is under way: others have waited for longer
    assert not any(one.has_begun for one in [*waiting, again])
    under_way[0].answer()
    waiting[0].begun()
    assert not any(one.has_begun for one in [waiting[1], again])
    under_way[1].answer()
    waiting[1].begun()
    assert not again.has_begun
    waiting[0].answer()
    again.begun()


def test_a_hub_has_both_turns_only_while_no_other_waits(patient: AccountPermits, ask: Ask) -> None:
    contoso = [patient.permit(SLOW, "Contoso") for _ in range(4)]
    fabrikam = [patient.permit(SLOW, "Fabrikam") for _ in range(2)]
    first, second = (ask(work).begun() for work in contoso[:2])
    of_contoso = [ask(work) for work in contoso[2:]]  # they came before Fabrikam
    of_fabrikam = [ask(work) for work in fabrikam]
    first.answer()
    of_fabrikam[0].begun()
    second.answer()
    of_contoso[0].begun()
    of_fabrikam[0].answer()
    of_fabrikam[1].begun()
    assert not of_contoso[1].has_begun
    of_fabrikam[1].answer()
    of_contoso[1].begun()


def test_work_of_a_hub_with_one_turn_goes_on_past_those_who_may_not_have_it(patient: AccountPermits, ask: Ask) -> None:
    ask(patient.permit(SLOW, "Contoso")).begun()  # never answered
    sender = patient.permit(SLOW, "Fabrikam")
    sending = ask(sender).begun()
    waiting = ask(patient.permit(SLOW, "Contoso"))
    ask(sender).begun()
    sending.answer()
    assert not waiting.has_begun


def test_a_slow_reader_keeps_its_turn_before_newcomers(permits: AccountPermits) -> None:
    readers = [permits.permit(SLOW, "Contoso") for _ in range(PERMITS)]
    for reader in readers:
        slow_request(reader)
    with pytest.raises(DeferredError, match=f"SourceBusy.*{BUSY}"):
        is_served(permits)
    assert not is_kept_apart(permits), "nobody waits for an answer"
    for reader in readers:
        with reader.request():  # it is quick: the account has recovered
            pass
    assert is_served(permits)


def slow_request(permit: Permit) -> None:
    with permit.request():
        threading.Event().wait(PATIENCE_S * 2)


def test_another_hub_that_was_put_back_finds_a_turn_when_it_comes_again(permits: AccountPermits, ask: Ask) -> None:
    """However slow the account is: else two large blobs of one hub would keep the other one out until they are done."""
    readers = [permits.permit(SLOW, "Contoso") for _ in range(PERMITS)]
    reading = [ask(reader).begun() for reader in readers]
    assert NO_ANSWER in ask(permits.permit(SLOW, "Fabrikam")).refused()
    reading[0].answer()
    assert NO_ANSWER in ask(readers[0]).refused()
    assert is_served(permits, "Fabrikam")
    reading[1].answer()
    assert is_served(permits)


def test_a_reader_that_kept_its_turn_gives_it_to_another_hub(permits: AccountPermits) -> None:
    readers = [permits.permit(SLOW, "Contoso") for _ in range(PERMITS)]
    for reader in readers:
        slow_request(reader)
    assert is_served(permits, "Fabrikam")


def test_an_account_that_answers_one_of_those_who_ask_is_not_called_silent(ask: Ask) -> None:
    permits = AccountPermits(SOURCE_BUSY, patience_s=0.3)
    permits.learn("Contoso", "Slow", SLOW)
    ask(permits.permit(SLOW, "Contoso")).begun()  # never answered
    sender, stopped = permits.permit(SLOW, "Contoso"), threading.Event()

    def send() -> None:
        while not stopped.is_set():
            with sender.request():
                time.sleep(0.002)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            for _ in until(0.6):
                assert not is_kept_apart(permits)
                assert is_served(permits)
        finally:
            stopped.set()
        sending.result(10)


def test_one_that_asks_by_several_threads_has_its_turn_until_the_last_is_answered(
    permits: AccountPermits, ask: Ask
) -> None:
    senders = [permits.permit(SLOW, "Contoso") for _ in range(PERMITS)]
    sending = [(ask(sender).begun(), ask(sender).begun()) for sender in senders]
    for first, _ in sending:
        first.answer()
    assert NO_ANSWER in ask(permits.permit(SLOW, "Contoso")).refused()
    for _, second in sending:
        second.answer()
    for sender in senders:
        sender.close()
    assert is_served(permits)


def test_who_has_begun_waits_longer_than_a_newcomer(ask: Ask) -> None:
    permits = AccountPermits(SOURCE_BUSY, patience_s=1.2, newcomer_s=0.02)
    began = permits.permit(SLOW, "Contoso")
    ask(began).begun().answer()
    others = [ask(permits.permit(SLOW, "Contoso")).begun() for _ in range(PERMITS)]
    again = ask(began)
    assert BUSY in ask(permits.permit(SLOW, "Contoso")).refused()
    others[0].answer()
    again.begun()


def test_nobody_waits_past_the_deadline(ask: Ask) -> None:
    permits = AccountPermits(SOURCE_BUSY, patience_s=1.2)
    began = permits.permit(SLOW, "Contoso")
    ask(began).begun().answer()
    for _ in range(PERMITS):
        ask(permits.permit(SLOW, "Contoso")).begun()
    with deadline(0.01), pool_of_threads(1) as pool:
        assert BUSY in Asked(pool, began).refused()


def test_an_error_gives_the_turn_back(permits: AccountPermits) -> None:
    for _ in range(PERMITS * 2):
        with pytest.raises(ValueError, match="broken"), permits.permit(SLOW, "Contoso").request():
            raise ValueError("broken")


@pytest.mark.parametrize(
    ("patience_s", "outcomes"),
    [(600, {"NoneType", "ConnectionError"}), (0.01, {"NoneType", "ConnectionError", "DeferredError"})],
    ids=["patient", "impatient"],
)
@pytest.mark.lengthy
def test_no_turn_is_lost_whatever_happens(patience_s: float, outcomes: set[str]) -> None:
    """Work of several hubs, in several threads each, of which some are slow, and some fail."""
    permits = AccountPermits(SOURCE_BUSY, patience_s=patience_s, newcomer_s=patience_s)
    lock, under_way, most = threading.Lock(), Counter[Permit](), 0

    def request(permit: Permit, chance: random.Random) -> None:
        nonlocal most
        with permit.request():
            with lock:
                under_way[permit] += 1
                most = max(most, len(+under_way))
            try:
                time.sleep(chance.choice([0, 0, 0.001, 0.015]))
                if chance.random() < 0.1:
                    raise ConnectionError
            finally:
                with lock:
                    under_way[permit] -= 1

    def work(number: int) -> set[str]:
        chance, ended = random.Random(number), set[str]()
        for _ in until(0.7):
            with closing(permits.permit(SLOW, f"Hub{number % 3}")) as permit, ThreadPoolExecutor(3) as pool:
                requests = [pool.submit(request, permit, chance) for _ in range(chance.randrange(1, 8))]
            ended.update(type(one.exception()).__name__ for one in requests)
        return ended

    with ThreadPoolExecutor(8) as pool:
        assert set[str]().union(*pool.map(work, range(8))) == outcomes
    assert most == PERMITS
    with permits.permit(SLOW, "Hub0").request(), permits.permit(SLOW, "Hub1").request():
        pass


def test_the_numbers_are_those_of_the_host() -> None:
    queues = json.loads((Path(__file__).parents[2] / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
    assert queues["newBatchThreshold"] >= max(2 * PERMITS, OF_ALL + 1), "the host takes other messages"
    assert queues["maxDequeueCount"] == ATTEMPTS
