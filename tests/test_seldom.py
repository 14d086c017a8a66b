"""What there are many reasons for is done after each of them, but not as often."""

from itertools import pairwise

import pytest

from shared import seldom
from shared.seldom import Seldom


class Time:
    now = 1000.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(seldom, "monotonic", lambda: time.now)
    return time


def test_it_is_done_after_each_reason_and_ever_more_seldom(time: Time) -> None:
    rare = Seldom(2, 16, most=8)
    done: list[float] = []
    for tenth in range(1000):
        time.now = 1000 + tenth / 10
        seconds = rare.due_in("key")
        if seconds is not None:
            done.append(time.now + seconds)
        assert done[-1] >= time.now, "whatever reason there is, it is done after that"
    apart = [round(later - earlier) for earlier, later in pairwise(done)]
    assert apart == [2, 4, 8, 16, 16, 16, 16, 16, 16]


def test_it_begins_anew_after_a_while_and_when_it_could_not_be_done(time: Time) -> None:
    rare = Seldom(2, 16, most=8)
    assert [rare.due_in("key"), rare.due_in("key"), rare.due_in("other")] == [0, 2, 0]
    rare.forget("key")
    assert [rare.due_in("key"), rare.due_in("key"), rare.due_in("key")] == [0, 2, None]
    time.now += 18
    assert [rare.due_in("key"), rare.due_in("key")] == [0, 2]


def test_only_the_newest_are_remembered(time: Time) -> None:
    rare = Seldom(2, 16, most=2)
    assert [rare.due_in(key) for key in ("a", "b", "c", "c")] == [0, 0, 0, 2]
    assert rare.due_in("a") == 0
