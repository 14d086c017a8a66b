"""Permits are shared fairly: whoever always has somebody in line does not keep another one out."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from time import monotonic

import pytest

from shared.deadline import deadline, deadline_of_this_thread
from shared.permits import Permits
from tests.local.waiting import eventually

LINES = {
    # name: (who come while "a" has the permit, whose permit it is then, one after the other)
    "one owner, in order": ("aaa", "aaa"),
    "another one is next": ("aaab", "baaa"),
    "one after the other": ("aaabbb", "babab"),
    "who was not there yet is first": ("aabc", "bcaa"),
    "a full line of one": ("aaaaaa", "aaa"),
    "the last of the longest makes room": ("aaabbbc", "bcaba"),
}


def test_who_does_not_wait_gets_what_is_free() -> None:
    permits = Permits(most_of_one=1, most=2, within_s=60, at_once_of_one=1, at_once=2)
    with permits.permit("a") as waited, permits.permit_now("a") as second, permits.permit_now("b") as other:
        assert (waited, second, other) == (True, False, True)
        with permits.permit_now("c") as third:
            assert not third
    with permits.permit_now("a") as again:
        assert again


@pytest.mark.parametrize(("coming", "expected"), LINES.values(), ids=LINES)
def test_owners_take_turns(coming: str, expected: str) -> None:
    permits = Permits(most_of_one=4, most=6, within_s=60)
    order: list[str] = []

    def visit(owner: str) -> bool:
        with permits.permit(owner) as has_permit:
            if has_permit:
                order.append(owner)
            return has_permit

    visits: list[Future[bool]] = []
    with ThreadPoolExecutor(len(coming)) as pool, permits.permit("a") as has_permit:
        assert has_permit
        for number, owner in enumerate(coming, 1):
            visits.append(pool.submit(visit, owner))
            eventually(partial(_have_come, permits, visits, number))
        assert order == []
    assert "".join(order) == expected
    assert sum(visit.result() for visit in visits) == len(expected)
    with permits.permit("b") as has_permit:
        assert has_permit


def test_several_have_a_turn_at_once_and_fewer_of_one_owner() -> None:
    permits = Permits(most_of_one=4, most=8, within_s=60, at_once_of_one=2, at_once=3)
    done = {owner: threading.Event() for owner in "abc"}

    def visit(owner: str) -> bool:
        with permits.permit(owner) as has_permit:
            return has_permit and done[owner].wait(60)

    visits: list[Future[bool]] = []
    with ThreadPoolExecutor(6) as pool:
        for number, owner in enumerate("aaabbc", 1):
            visits.append(pool.submit(visit, owner))
            eventually(partial(_are_there, permits, number))
        assert _owners(permits) == "aab"
        done["b"].set()
        eventually(lambda: _owners(permits) == "aac")
        done["c"].set()
        eventually(lambda: [visit.done() for visit in visits] == [False, False, False, True, True, True])
        assert (_owners(permits), _in_line(permits)) == ("aa", 1)
        done["a"].set()
    assert all(visit.result() for visit in visits)


def test_who_has_room_gets_a_turn_though_several_come_free_at_once() -> None:
    permits = Permits(most_of_one=8, most=16, within_s=60, at_once_of_one=4, at_once=4)
    begins = threading.Barrier(4)

    def visit(owner: str) -> bool:
        with permits.permit(owner) as has_permit:
            begins.wait(10)  # passes where four have a permit at once
            return has_permit

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(visit, "aaaabbbbaaaabbbb"))


def test_nobody_waits_longer_than_agreed() -> None:
    permits = Permits(most_of_one=4, most=6, within_s=0.01)
    with permits.permit("a"), permits.permit("b") as has_permit:
        assert not has_permit
    with permits.permit("b") as has_permit:
        assert has_permit


def test_the_time_of_who_waited_begins_with_the_turn() -> None:
    permits = Permits(most_of_one=4, most=6, within_s=60)

    def visit() -> tuple[bool, bool]:
        with deadline(10):
            ends = deadline_of_this_thread()
            with permits.permit("b") as has_permit:
                waited_s = deadline_of_this_thread() - ends
                return has_permit, waited_s >= min_waited_s

    with ThreadPoolExecutor(1) as pool:
        with permits.permit("a"):
            visited = pool.submit(visit)
            eventually(lambda: _in_line(permits) == 1)
            in_line = monotonic()
            eventually(lambda: monotonic() > in_line)
            min_waited_s = monotonic() - in_line
        assert visited.result() == (True, True)


def test_a_turn_ends_with_whatever_ends_it() -> None:
    permits = Permits(most_of_one=1, most=1, within_s=0)

    def fail() -> None:
        with permits.permit("a") as has_permit:
            assert has_permit
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail()


def _have_come(permits: Permits, visits: list[Future[bool]], number: int) -> bool:
    return _in_line(permits) + _sent_away(visits) == number


def _are_there(permits: Permits, number: int) -> bool:
    return _in_line(permits) + len(permits._having) == number


def _in_line(permits: Permits) -> int:
    return len(permits._wait_list.waiters)


def _owners(permits: Permits) -> str:
    return "".join(waiter.owner for waiter in permits._having)


def _sent_away(visits: list[Future[bool]]) -> int:
    return sum(visit.done() for visit in visits)
