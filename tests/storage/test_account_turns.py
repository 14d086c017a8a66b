"""Turns at an account: handed on while it answers, kept while it does not, and never in the way of another account."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from shared.domain.errors import DeferredError
from shared.storage.account_turns import SOURCE_BUSY, TURNS, AccountTurns
from shared.storage.queues import ATTEMPTS
from tests.acceptance.hub import wait_for

SLOW, OTHER = "https://slow.example", "https://other.example"
PATIENCE_S = 0.05


@pytest.fixture
def turns() -> AccountTurns:
    turns = AccountTurns(SOURCE_BUSY, patience_s=PATIENCE_S)
    turns.learn("Contoso", "Slow", SLOW)
    turns.learn("Contoso", "Other", OTHER)
    return turns


@contextmanager
def hanging(turns: AccountTurns, readers: int = TURNS) -> Iterator[threading.Event]:
    """Readers of the slow account that get no answer until the event is set."""
    answered, asked = threading.Event(), threading.Semaphore(0)

    def read() -> None:
        turn = turns.turn(SLOW)
        with turn:
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


def test_an_account_that_hangs_is_kept_apart_until_it_answers(turns: AccountTurns) -> None:
    with hanging(turns) as answered:
        with pytest.raises(DeferredError, match="SourceBusy"), turns.turn(SLOW):
            pass
        assert is_kept_apart(turns)
        turns.check("Contoso", "Other")
        with turns.turn(OTHER):
            pass
        answered.set()
        wait_for(lambda: not is_kept_apart(turns), "the account's recovery", 10)
    with turns.turn(SLOW):
        pass


def test_fewer_that_hang_leave_a_turn(turns: AccountTurns) -> None:
    with hanging(turns, TURNS - 1), turns.turn(SLOW):
        assert not is_kept_apart(turns)


def test_an_account_that_answers_serves_any_number(turns: AccountTurns) -> None:
    def read(number: int) -> list[int]:
        turn = turns.turn(SLOW)
        found = list(turn.each(iter(range(number))))
        turn.close()
        return found

    with ThreadPoolExecutor(12) as pool:
        assert [len(found) for found in pool.map(read, range(100))] == list(range(100))


def test_a_slow_reader_keeps_its_turn_before_newcomers(turns: AccountTurns) -> None:
    readers = [turns.turn(SLOW) for _ in range(TURNS)]
    entered = threading.Event()
    for reader in readers:
        with reader:
            entered.wait(PATIENCE_S * 2)
    with pytest.raises(DeferredError), turns.turn(SLOW):
        pass
    for reader in readers:
        with reader:  # its next request is quick: the account has recovered
            pass
    with turns.turn(SLOW):
        pass


def test_one_that_asks_by_several_threads_has_its_turn_until_the_last_is_answered(turns: AccountTurns) -> None:
    with ExitStack() as sending:
        for _ in range(TURNS):
            sender = sending.enter_context(closing(turns.turn(SLOW)))
            sending.enter_context(sender)
            with sender:
                pass  # the first of two blocks is in, the second on its way
        with pytest.raises(DeferredError), turns.turn(SLOW):
            pass
    with turns.turn(SLOW):
        pass


def test_those_who_send_without_a_pause_keep_nobody_waiting(turns: AccountTurns) -> None:
    """However quick each of their requests is: whoever waits gives up its place to others."""
    senders = [turns.turn(SLOW) for _ in range(TURNS)]
    entered = threading.Event()
    with ExitStack() as sending:
        for sender in senders:
            sending.enter_context(sender)
        entered.wait(PATIENCE_S * 2)
        for sender in senders:
            with sender:
                pass
        with pytest.raises(DeferredError), turns.turn(SLOW):
            pass
    for sender in senders:
        sender.close()
    with turns.turn(SLOW):
        pass


def test_an_error_gives_the_turn_back(turns: AccountTurns) -> None:
    for _ in range(TURNS * 2):
        with pytest.raises(ValueError, match="broken"), turns.turn(SLOW):
            raise ValueError("broken")


def test_the_numbers_are_those_of_the_host() -> None:
    queues = json.loads((Path(__file__).parents[2] / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
    assert queues["newBatchThreshold"] >= 2 * TURNS
    assert queues["maxDequeueCount"] == ATTEMPTS
