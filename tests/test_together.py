"""What waits beside each other is done together, and each gets its own outcome."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import pytest

from shared.domain.errors import AccountingError
from shared.together import Line, Waiting


@dataclass(slots=True)
class Number(Waiting[int]):
    value: int


class Doubling:
    """Doubles numbers; the first ones it is given only when it is let."""

    def __init__(self, line: Line[Number], odd_one_out: Callable[[], None] = lambda: None) -> None:
        self.groups: list[list[int]] = []
        self.began, self.may_go_on = Event(), Event()
        self._line = line
        self._odd_one_out = odd_one_out

    def double(self, value: int) -> int | None:
        item = Number(value)
        self._line.settle(item, self._settle)
        return item.outcome()

    def _settle(self, items: list[Number]) -> None:
        self.groups.append([item.value for item in items])
        self.began.set()
        assert self.may_go_on.wait(30)
        for item in items:
            if item.value == 13:
                self._odd_one_out()
            item.result = 2 * item.value


def while_one_is_busy(doubling: Doubling, line: Line[Number], values: range) -> list[int | Exception | None]:
    """What becomes of values that arrive while the value 1 is being doubled."""

    def outcome(value: int) -> int | Exception | None:
        try:
            return doubling.double(value)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(len(values) + 1) as threads:
        first = threads.submit(outcome, 1)
        assert doubling.began.wait(30)
        others = [threads.submit(outcome, value) for value in values]
        while line.waiting < len(values):
            pass
        doubling.may_go_on.set()
        return [first.result(), *(other.result() for other in others)]


def test_those_that_arrive_meanwhile_are_settled_together() -> None:
    line: Line[Number] = Line(most=64)
    doubling = Doubling(line)
    assert while_one_is_busy(doubling, line, range(2, 8)) == [2, 4, 6, 8, 10, 12, 14]
    assert [sorted(group) for group in doubling.groups] == [[1], [2, 3, 4, 5, 6, 7]]


def test_no_more_than_allowed_are_settled_together() -> None:
    line: Line[Number] = Line(most=4)
    doubling = Doubling(line)
    assert while_one_is_busy(doubling, line, range(2, 12)) == [2 * value for value in range(1, 12)]
    assert [len(group) for group in doubling.groups] == [1, 4, 4, 2]


def test_an_error_is_the_error_of_all_that_are_not_settled() -> None:
    def fail() -> None:
        raise ValueError("13")

    line: Line[Number] = Line(most=64)
    doubling = Doubling(line, fail)
    found = while_one_is_busy(doubling, line, range(12, 16))
    assert found[0] == 2
    # Those before it were settled, in whatever order they came.
    at = doubling.groups[1].index(13)
    settled = {2 * value for value in doubling.groups[1][:at]}
    assert {value for value in found[1:] if isinstance(value, int)} == settled
    assert sum(isinstance(value, ValueError) for value in found) == 4 - len(settled)
    with pytest.raises(ValueError, match="13"):
        doubling.double(13)
    assert doubling.double(5) == 10


def test_what_is_left_unsettled_does_not_wait_for_ever() -> None:
    item: Waiting[int] = Waiting()
    Line[Waiting[int]](most=2).settle(item, lambda _: None)
    with pytest.raises(AccountingError):
        item.outcome()
