"""Turns at an account: handed on while it answers, kept while it does not, and never in the way of another account."""

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
from shared.storage import account_turns
from shared.storage.account_turns import OF_ALL, SOURCE_BUSY, TURNS, AccountTurns, Turn
from shared.storage.queues import ATTEMPTS
from tests.acceptance.hub import wait_for
from tests.storage.asked import Ask, Asked

SLOW, OTHER = "https://slow.example", "https://other.example"
PATIENCE_S = 0.05
NO_ANSWER, BUSY = "does not answer", "others come first"


@pytest.fixture
def turns() -> AccountTurns:
    turns = AccountTurns(SOURCE_BUSY, patience_s=PATIENCE_S, newcomer_s=PATIENCE_S)
    turns.learn("Contoso", "Slow", SLOW)
    turns.learn("Contoso", "Other", OTHER)
    return turns


@pytest.fixture
def patient() -> AccountTurns:
    """Turns for which nothing is slow, and who waits is woken by whatever it waits for."""
    return AccountTurns(SOURCE_BUSY, patience_s=600, newcomer_s=600)


@contextmanager
def hanging(turns: AccountTurns, readers: int = TURNS) -> Iterator[threading.Event]:
    """Readers of the slow account that get no answer until the event is set."""
    answered, asked = threading.Event(), threading.Semaphore(0)

    def read() -> None:
        turn = turns.turn(SLOW, "Contoso")
        with turn.request():
            asked.release()
            answered.wait()
        turn.close()

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


def is_kept_apart(turns: AccountTurns) -> bool:
    try:
        turns.check("contoso", "SLOW")
    except DeferredError:
        return True
    return False


def is_served(turns: AccountTurns, hub: str = "Contoso", account: str = SLOW) -> bool:
    with turns.turn(account, hub).request():
        return True


def until(seconds: float) -> Iterator[None]:
    """Comes again and again for as long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield


def test_an_account_that_hangs_is_kept_apart_until_it_answers(turns: AccountTurns) -> None:
    with hanging(turns) as answered:
        with pytest.raises(DeferredError, match=f"SourceBusy.*{NO_ANSWER}"):
            is_served(turns)
        assert is_kept_apart(turns)
        turns.check("Contoso", "Other")
        assert is_served(turns, account=OTHER)
        answered.set()
        wait_for(lambda: not is_kept_apart(turns), "the account's recovery", 10)
    assert is_served(turns)


def test_a_connector_with_another_account_is_not_put_back_for_long(
    turns: AccountTurns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells an instance that its owner has mended it, so the account is looked up again now and then."""
    with hanging(turns):
        wait_for(lambda: is_kept_apart(turns), "its silence", 10)
        monkeypatch.setattr(account_turns, "_KNOWN_FOR_S", 0.0)
        assert not is_kept_apart(turns)


def test_fewer_that_hang_leave_a_turn(turns: AccountTurns) -> None:
    with hanging(turns, TURNS - 1), turns.turn(SLOW, "Contoso").request():
        assert not is_kept_apart(turns)


def test_an_account_that_answers_serves_any_number(turns: AccountTurns) -> None:
    def read(number: int) -> list[int]:
        turn = turns.turn(SLOW, "Contoso")
        found = list(turn.each(iter(range(number))))
        turn.close()
        return found

    with ThreadPoolExecutor(12) as pool:
        assert [len(found) for found in pool.map(read, range(100))] == list(range(100))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("hub", ["Contoso", "Fabrikam"], ids=["same hub", "another hub"])
def test_those_who_send_without_a_pause_keep_nobody_waiting(threads: int, hub: str) -> None:
    """Neither those who send several blocks at once, nor those who read one piece after another."""
    turns = AccountTurns(SOURCE_BUSY, patience_s=0.3)
    stopped = threading.Event()
    sent: Counter[Turn] = Counter()

    def send(turn: Turn) -> None:
        while not stopped.is_set():
            with turn.request():
                time.sleep(0.002)
            sent[turn] += 1

    senders = [turns.turn(SLOW, "Contoso") for _ in range(TURNS)]
    with ThreadPoolExecutor(TURNS * threads) as pool:
        sending = [pool.submit(send, turn) for turn in senders for _ in range(threads)]
        try:
            wait_for(lambda: len(sent) == TURNS, "the first blocks", 10)
            for _ in until(0.6):
                assert is_served(turns, hub)
        finally:
            stopped.set()
        for one in sending:
            one.result(10)


def test_one_that_has_begun_asks_by_several_threads_at_once(patient: AccountTurns) -> None:
    all_ask = threading.Barrier(3)

    def send(turn: Turn) -> None:
        for _ in range(20):
            with turn.request():
                all_ask.wait(10)

    with ThreadPoolExecutor(3) as pool, closing(patient.turn(SLOW, "Contoso")) as turn:
        for one in [pool.submit(send, turn) for _ in range(3)]:
            one.result(10)


def test_who_came_first_is_next(patient: AccountTurns, ask: Ask) -> None:
    works = [patient.turn(SLOW, "Contoso") for _ in range(TURNS + 2)]
    under_way = [ask(work).begun() for work in works[:TURNS]]
    waiting = [ask(work) for work in works[TURNS:]]
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


def test_a_hub_has_both_turns_only_while_no_other_waits(patient: AccountTurns, ask: Ask) -> None:
    contoso = [patient.turn(SLOW, "Contoso") for _ in range(4)]
    fabrikam = [patient.turn(SLOW, "Fabrikam") for _ in range(2)]
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


def test_work_of_a_hub_with_one_turn_goes_on_past_those_who_may_not_have_it(patient: AccountTurns, ask: Ask) -> None:
    ask(patient.turn(SLOW, "Contoso")).begun()  # never answered
    sender = patient.turn(SLOW, "Fabrikam")
    sending = ask(sender).begun()
    waiting = ask(patient.turn(SLOW, "Contoso"))
    ask(sender).begun()
    sending.answer()
    assert not waiting.has_begun


def test_a_slow_reader_keeps_its_turn_before_newcomers(turns: AccountTurns) -> None:
    readers = [turns.turn(SLOW, "Contoso") for _ in range(TURNS)]
    for reader in readers:
        slow_request(reader)
    with pytest.raises(DeferredError, match=f"SourceBusy.*{BUSY}"):
        is_served(turns)
    assert not is_kept_apart(turns), "nobody waits for an answer"
    for reader in readers:
        with reader.request():  # it is quick: the account has recovered
            pass
    assert is_served(turns)


def slow_request(turn: Turn) -> None:
    with turn.request():
        threading.Event().wait(PATIENCE_S * 2)


def test_another_hub_that_was_put_back_finds_a_turn_when_it_comes_again(turns: AccountTurns, ask: Ask) -> None:
    """However slow the account is: else two large blobs of one hub would keep the other one out until they are done."""
    readers = [turns.turn(SLOW, "Contoso") for _ in range(TURNS)]
    reading = [ask(reader).begun() for reader in readers]
    assert NO_ANSWER in ask(turns.turn(SLOW, "Fabrikam")).refused()
    reading[0].answer()
    assert NO_ANSWER in ask(readers[0]).refused()
    assert is_served(turns, "Fabrikam")
    reading[1].answer()
    assert is_served(turns)


def test_a_reader_that_kept_its_turn_gives_it_to_another_hub(turns: AccountTurns) -> None:
    readers = [turns.turn(SLOW, "Contoso") for _ in range(TURNS)]
    for reader in readers:
        slow_request(reader)
    assert is_served(turns, "Fabrikam")


def test_an_account_that_answers_one_of_those_who_ask_is_not_called_silent(ask: Ask) -> None:
    turns = AccountTurns(SOURCE_BUSY, patience_s=0.3)
    turns.learn("Contoso", "Slow", SLOW)
    ask(turns.turn(SLOW, "Contoso")).begun()  # never answered
    sender, stopped = turns.turn(SLOW, "Contoso"), threading.Event()

    def send() -> None:
        while not stopped.is_set():
            with sender.request():
                time.sleep(0.002)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            for _ in until(0.6):
                assert not is_kept_apart(turns)
                assert is_served(turns)
        finally:
            stopped.set()
        sending.result(10)


def test_one_that_asks_by_several_threads_has_its_turn_until_the_last_is_answered(
    turns: AccountTurns, ask: Ask
) -> None:
    senders = [turns.turn(SLOW, "Contoso") for _ in range(TURNS)]
    sending = [(ask(sender).begun(), ask(sender).begun()) for sender in senders]
    for first, _ in sending:
        first.answer()
    assert NO_ANSWER in ask(turns.turn(SLOW, "Contoso")).refused()
    for _, second in sending:
        second.answer()
    for sender in senders:
        sender.close()
    assert is_served(turns)


def test_who_has_begun_waits_longer_than_a_newcomer(ask: Ask) -> None:
    turns = AccountTurns(SOURCE_BUSY, patience_s=1.2, newcomer_s=0.02)
    began = turns.turn(SLOW, "Contoso")
    ask(began).begun().answer()
    others = [ask(turns.turn(SLOW, "Contoso")).begun() for _ in range(TURNS)]
    again = ask(began)
    assert BUSY in ask(turns.turn(SLOW, "Contoso")).refused()
    others[0].answer()
    again.begun()


def test_nobody_waits_past_the_deadline(ask: Ask) -> None:
    turns = AccountTurns(SOURCE_BUSY, patience_s=1.2)
    began = turns.turn(SLOW, "Contoso")
    ask(began).begun().answer()
    for _ in range(TURNS):
        ask(turns.turn(SLOW, "Contoso")).begun()
    with deadline(0.01), pool_of_threads(1) as pool:
        assert BUSY in Asked(pool, began).refused()


def test_an_error_gives_the_turn_back(turns: AccountTurns) -> None:
    for _ in range(TURNS * 2):
        with pytest.raises(ValueError, match="broken"), turns.turn(SLOW, "Contoso").request():
            raise ValueError("broken")


@pytest.mark.parametrize(
    ("patience_s", "outcomes"),
    [(600, {"NoneType", "ConnectionError"}), (0.01, {"NoneType", "ConnectionError", "DeferredError"})],
    ids=["patient", "impatient"],
)
@pytest.mark.lengthy
def test_no_turn_is_lost_whatever_happens(patience_s: float, outcomes: set[str]) -> None:
    """Work of several hubs, in several threads each, of which some are slow, and some fail."""
    turns = AccountTurns(SOURCE_BUSY, patience_s=patience_s, newcomer_s=patience_s)
    lock, under_way, most = threading.Lock(), Counter[Turn](), 0

    def request(turn: Turn, chance: random.Random) -> None:
        nonlocal most
        with turn.request():
            with lock:
                under_way[turn] += 1
                most = max(most, len(+under_way))
            try:
                time.sleep(chance.choice([0, 0, 0.001, 0.015]))
                if chance.random() < 0.1:
                    raise ConnectionError
            finally:
                with lock:
                    under_way[turn] -= 1

    def work(number: int) -> set[str]:
        chance, ended = random.Random(number), set[str]()
        for _ in until(0.7):
            with closing(turns.turn(SLOW, f"Hub{number % 3}")) as turn, ThreadPoolExecutor(3) as pool:
                requests = [pool.submit(request, turn, chance) for _ in range(chance.randrange(1, 8))]
            ended.update(type(one.exception()).__name__ for one in requests)
        return ended

    with ThreadPoolExecutor(8) as pool:
        assert set[str]().union(*pool.map(work, range(8))) == outcomes
    assert most == TURNS
    with turns.turn(SLOW, "Hub0").request(), turns.turn(SLOW, "Hub1").request():
        pass


def test_the_numbers_are_those_of_the_host() -> None:
    queues = json.loads((Path(__file__).parents[2] / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
    assert queues["newBatchThreshold"] >= max(2 * TURNS, OF_ALL + 1), "the host takes other messages"
    assert queues["maxDequeueCount"] == ATTEMPTS
