"""What waits beside each other is done together, and each gets its own outcome."""

import math
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Event

import pytest

from shared.batching import BatchQueue, Waiting
from shared.deadline import deadline, seconds_left
from shared.domain.errors import (
    AccountingError,
    ConflictError,
    Fault,
    InvalidRequestError,
    ThrottledError,
    UnavailableError,
)
from tests.local.waiting import eventually
from tests.one_request import until_waiting


@dataclass(slots=True)
class Number(Waiting[int]):
    value: int


class Doubling:
    """Doubles numbers; the first ones it is given only when it is let."""

    def __init__(self, queue: BatchQueue[Number], odd_one_out: Callable[[], None] = lambda: None) -> None:
        self.groups: list[list[int]] = []
        self.began, self.may_go_on = Event(), Event()
        self._queue = queue
        self._odd_one_out = odd_one_out

    def double(self, value: int) -> int | None:
        item = Number(value)
        self._queue.submit(item, self._process)
        return item.outcome()

    def _process(self, items: list[Number]) -> None:
        self.groups.append([item.value for item in items])
        self.began.set()
        assert self.may_go_on.wait(30)
        for item in items:
            if item.value == 13:
                self._odd_one_out()
            item.result = 2 * item.value


def while_one_is_busy(doubling: Doubling, queue: BatchQueue[Number], values: range) -> list[int | BaseException | None]:
    """What becomes of values that arrive in this order while the value 1 is being doubled."""

    def outcome(value: int) -> int | BaseException | None:
        try:
            return doubling.double(value)
        except BaseException as error:
            return error

    with ThreadPoolExecutor(len(values) + 1) as threads:
        first = threads.submit(outcome, 1)
        assert doubling.began.wait(30)
        others = []
        for number, value in enumerate(values, 1):
            others.append(threads.submit(outcome, value))
            until_waiting(queue, number)
        doubling.may_go_on.set()
        return [first.result(), *(other.result() for other in others)]


def test_those_that_arrive_meanwhile_are_settled_together() -> None:
    queue: BatchQueue[Number] = BatchQueue(most=64)
    doubling = Doubling(queue)
    assert while_one_is_busy(doubling, queue, range(2, 8)) == [2, 4, 6, 8, 10, 12, 14]
    assert [sorted(group) for group in doubling.groups] == [[1], [2, 3, 4, 5, 6, 7]]


def test_no_more_than_allowed_are_settled_together() -> None:
    queue: BatchQueue[Number] = BatchQueue(most=4)
    doubling = Doubling(queue)
    assert while_one_is_busy(doubling, queue, range(2, 12)) == [2 * value for value in range(1, 12)]
    assert [len(group) for group in doubling.groups] == [1, 4, 4, 2]


def test_an_error_is_the_error_of_all_that_are_not_settled() -> None:
    def fail() -> None:
        raise ValueError("13")

    queue: BatchQueue[Number] = BatchQueue(most=64)
    doubling = Doubling(queue, fail)
    found = while_one_is_busy(doubling, queue, range(12, 16))
    assert found[0] == 2
    # The one before it was settled.
    assert found[1] == 24
    assert [type(value) for value in found[2:]] == [ValueError] * 3
    with pytest.raises(ValueError, match="13"):
        doubling.double(13)
    assert doubling.double(5) == 10


def test_what_is_left_unsettled_does_not_wait_for_ever() -> None:
    item: Waiting[int] = Waiting()
    BatchQueue[Waiting[int]](most=2).submit(item, lambda _: None)
    with pytest.raises(AccountingError):
        item.outcome()


class OddError(Exception):
    """Cannot be made from what it keeps."""

    def __init__(self, value: int, reason: str) -> None:
        super().__init__(f"{value} is {reason}")


def four_that_wait(error: BaseException, most: int = 64) -> tuple[Doubling, list[int | BaseException | None]]:
    """What becomes of the values 13 to 16 that wait together, of which the first fails."""

    def fail() -> None:
        raise error

    queue: BatchQueue[Number] = BatchQueue(most)
    doubling = Doubling(queue, fail)
    found = while_one_is_busy(doubling, queue, range(13, 17))
    assert queue.waiting == 0
    assert doubling.double(5) == 10
    return doubling, found[1:]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("13"),
        OSError(13, "not allowed", "file"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "not allowed"),
        ConflictError("Odd", "13 is odd", "value", [Fault("Odd", "value", "13 is odd")]),
        InvalidRequestError([Fault("Odd", "value", "13 is odd")]),
        ThrottledError("Throttled", "13 is too many", retry_after_s=1.5),
    ],
)
def test_each_thread_raises_an_error_of_its_own(error: Exception) -> None:
    cause = KeyError("cause")
    error.__cause__ = cause
    _, outcomes = four_that_wait(error)
    found = [each for each in outcomes if isinstance(each, Exception)]
    assert len({id(each) for each in (error, *found)}) == 5
    for each in found:
        assert type(each) is type(error)
        assert (str(each), each.args, vars(each)) == (str(error), error.args, vars(error))
        assert each.__cause__ is cause
    # The steps down to where it was raised, and those of one thread alone.
    assert len({len(traceback.extract_tb(each.__traceback__)) for each in found}) == 1
    assert all(traceback.extract_tb(each.__traceback__)[-1].name == "fail" for each in found)


def test_an_error_that_cannot_be_copied_is_raised_by_all() -> None:
    error = OddError(13, "odd")
    _, found = four_that_wait(error)
    assert all(each is error for each in found)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)], ids=["interrupted", "exit"])
@pytest.mark.parametrize("most", [1, 64])
def test_what_ends_one_thread_ends_no_other(error: BaseException, most: int) -> None:
    doubling, found = four_that_wait(error, most)
    tried = {value for group in doubling.groups for value in group}
    assert sum(each is error for each in found) == 1
    for value, each in zip(range(13, 17), found, strict=True):
        if each is error:
            # Whoever did it for another one is gone, and what it wanted itself is not done behind its back.
            assert value == 13 or most > 1 or value not in tried
        elif each != 2 * value:
            assert isinstance(each, UnavailableError)
            assert each.code == "Interrupted"


def test_whoever_waits_for_his_turn_waits_no_longer_than_he_has() -> None:
    """And what he wanted is not done behind his back."""
    queue: BatchQueue[Number] = BatchQueue(most=64)
    doubling = Doubling(queue)

    def hurried() -> int | None:
        with deadline(0.05):
            return doubling.double(2)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(doubling.double, 1)
        assert doubling.began.wait(30)
        with pytest.raises(UnavailableError) as failed:
            hurried()
        assert failed.value.code == "StillWaiting"
        assert queue.waiting == 0
        doubling.may_go_on.set()
        assert first.result() == 2
    assert doubling.groups == [[1]]


@pytest.mark.parametrize("first_in_line", [0.5, 1000.0])
def test_whoever_has_time_does_not_share_the_hurry_of_others(first_in_line: float) -> None:
    """A worker's transaction does not fail because an HTTP caller's, which waits beside it, has no time for a retry."""
    queue: BatchQueue[Number] = BatchQueue(most=64)
    groups: list[list[int]] = []
    began, may_go_on = Event(), Event()

    def submit(items: list[Number]) -> None:
        groups.append([item.value for item in items])
        began.set()
        assert may_go_on.wait(30)
        for item in items:
            if item.value != 1 and seconds_left() < 60:
                item.error = UnavailableError("StorageUnavailable", "no time for another try")
            else:
                item.result = item.value

    def within(seconds: float) -> str:
        try:
            with deadline(seconds):
                item = Number(round(10 * seconds))
                queue.submit(item, submit)
                item.outcome()
        except UnavailableError as error:
            return error.code
        return "done"

    others = [first_in_line, 20.0, 1000.0, 30.0, 2000.0]
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(queue.submit, Number(1), submit)
        assert began.wait(30)
        waiting: list[Future[str]] = []

        def all_wait(number: int) -> bool:
            return queue.waiting >= number - waiting[0].done()

        for number, seconds in enumerate(others, 1):
            waiting.append(threads.submit(within, seconds))
            eventually(partial(all_wait, number))
        if first_in_line < 1:
            assert waiting[0].result(30) == "StillWaiting"
        may_go_on.set()
        first.result(30)
        found = [each.result(30) for each in waiting]
    assert found[1:] == ["StorageUnavailable", "done", "StorageUnavailable", "done"]
    kinds = [{value < 600 for value in group} for group in groups[1:]]
    assert all(len(kind) == 1 for kind in kinds)
    assert len(kinds) == 2, "each kind is done together"
    assert kinds[0] == {first_in_line < 1}, "in the order of who is in front"


def test_whoever_does_it_for_others_is_as_hurried_as_they_are() -> None:
    queue: BatchQueue[Number] = BatchQueue(most=64)
    began, may_go_on, left = Event(), Event(), list[float]()

    def submit(items: list[Number]) -> None:
        left.append(seconds_left())
        began.set()
        assert may_go_on.wait(30)
        for item in items:
            item.result = 1

    def within(seconds: float) -> None:
        with deadline(seconds):
            queue.submit(Number(1), submit)

    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(queue.submit, Number(1), submit)]
        assert began.wait(30)
        for number, seconds in enumerate((2000, 1000), 1):
            waiting.append(threads.submit(within, seconds))
            until_waiting(queue, number)
        may_go_on.set()
        for each in waiting:
            each.result()
    assert left[0] == math.inf
    assert 900 < left[1] <= 1000
