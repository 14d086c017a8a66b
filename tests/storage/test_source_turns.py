"""Turns at an account: handed on while it answers, kept while it does not, and never in the way of another account."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.domain.errors import DeferredError
from shared.ingest.messages import ATTEMPTS
from shared.storage.source_turns import TURNS, SourceTurns
from tests.acceptance.hub import wait_for

SLOW, OTHER = "https://slow.example", "https://other.example"
PATIENCE_S = 0.05


@pytest.fixture
def turns() -> SourceTurns:
    turns = SourceTurns(patience_s=PATIENCE_S)
    turns.learn("Contoso", "Slow", SLOW)
    turns.learn("Contoso", "Other", OTHER)
    return turns


@contextmanager
def hanging(turns: SourceTurns, readers: int = TURNS) -> Iterator[threading.Event]:
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


def is_kept_apart(turns: SourceTurns) -> bool:
    try:
        turns.check("contoso", "SLOW")
    except DeferredError:
        return True
    return False


def test_an_account_that_hangs_is_kept_apart_until_it_answers(turns: SourceTurns) -> None:
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


def test_fewer_that_hang_leave_a_turn(turns: SourceTurns) -> None:
    with hanging(turns, TURNS - 1), turns.turn(SLOW):
        assert not is_kept_apart(turns)


def test_an_account_that_answers_serves_any_number(turns: SourceTurns) -> None:
    def read(number: int) -> list[int]:
        turn = turns.turn(SLOW)
        found = list(turn.each(iter(range(number))))
        turn.close()
        return found

    with ThreadPoolExecutor(12) as pool:
        assert [len(found) for found in pool.map(read, range(100))] == list(range(100))


def test_a_slow_reader_keeps_its_turn_before_newcomers(turns: SourceTurns) -> None:
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


def test_an_error_gives_the_turn_back(turns: SourceTurns) -> None:
    for _ in range(TURNS * 2):
        with pytest.raises(ValueError, match="broken"), turns.turn(SLOW):
            raise ValueError("broken")


def test_the_numbers_are_those_of_the_host() -> None:
    queues = json.loads((Path(__file__).parents[2] / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
    assert queues["newBatchThreshold"] >= 2 * TURNS
    assert queues["maxDequeueCount"] == ATTEMPTS
