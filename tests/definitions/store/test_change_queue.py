"""Many who change the definitions of one hub at once do so one after another; of too many some are told at once."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import pytest

from infra.local.azurite import Endpoints
from shared.deadline import EVENT_S, deadline
from shared.definitions.definitions import Definitions
from shared.definitions.store.change_queue import MOST_WAITING
from shared.definitions.store.definition_store import Change, Conditions, DefinitionStore
from shared.definitions.store.kinds import HUB
from shared.domain.documents.hubs import Hub
from shared.domain.errors import HubError
from shared.hub_rotation import STEP_S
from shared.storage.tables import Table
from tests.definitions.samples import profile
from tests.local_services import account_of

AT_ONCE = 20


@pytest.fixture
def store(azurite: Endpoints) -> DefinitionStore:
    return DefinitionStore(Table(account_of(azurite), f"t{uuid.uuid4().hex[:12]}"))


def at_once[R](act: Callable[[int], R]) -> list[R | str]:
    """What as many threads get as a request would that has ten seconds, or the code of the error."""
    start = threading.Barrier(AT_ONCE)

    def work(number: int) -> R | str:
        start.wait(30)
        try:
            with deadline(10):
                return act(number)
        except HubError as error:
            return error.code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, range(AT_ONCE)))


@contextmanager
def standing(store: DefinitionStore, hub: str) -> Iterator[None]:
    """Somebody who stands in the middle of a change."""
    reached, go_on = threading.Event(), threading.Event()

    def make(_: Change) -> None:
        reached.set()
        go_on.wait(30)

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(store.change, hub, make)
        assert reached.wait(30)
        try:
            yield
        finally:
            go_on.set()
        working.result(30)


def put(store: DefinitionStore, hub: str, seconds: float = 10) -> str:
    try:
        with deadline(seconds):
            store.change(hub, lambda change: change.put(HUB, (f"n{uuid.uuid4().hex}",), Hub(hub_name="n")))
    except HubError as error:
        return error.code
    return ""


def test_all_who_put_definitions_of_one_hub_at_once_do(definitions: Definitions, hub: str) -> None:
    assert at_once(lambda number: definitions.put_entity_type(hub, f"T{number}", profile())[1]) == [True] * AT_ONCE


def test_no_change_is_made_twice(store: DefinitionStore) -> None:
    calls: list[int] = []

    def count(change: Change) -> None:
        calls.append(1)
        change.connectors += 1
        change.put(HUB, ("n",), Hub(hub_name="n"))

    at_once(lambda _: store.change("contoso", count))
    assert len(calls) == AT_ONCE


def test_of_all_who_make_one_hub_on_condition_one_does(definitions: Definitions) -> None:
    made = at_once(lambda _: definitions.put_hub("New", Hub.from_request({}), Conditions(if_none_match=True))[1])
    assert sorted(map(str, made)) == ["PreconditionFailed"] * (AT_ONCE - 1) + ["True"]


def test_one_more_than_may_wait_is_told_at_once(store: DefinitionStore) -> None:
    with ThreadPoolExecutor(MOST_WAITING) as pool:
        with standing(store, "contoso"):
            waiting = [pool.submit(put, store, "contoso") for _ in range(MOST_WAITING)]
            while len(store._queue._permits._wait_list.waiters) < MOST_WAITING:
                time.sleep(0.01)
            assert put(store, "contoso") == "ChangesBusy"
            assert wait(waiting, 0).done == set()
            assert put(store, "fabrikam") == ""
            with deadline(10):
                assert store.change("contoso", lambda change: change.connectors, is_begun=True) == 0
            assert put(store, "contoso", seconds=EVENT_S) == "ChangesBusy"
            assert put(store, "contoso", seconds=STEP_S) == ""  # work goes on without a permit
        assert {one.result(30) for one in waiting} == {""}


def test_who_asks_another_service_lets_the_others_go_first(store: DefinitionStore) -> None:
    calls: list[str] = []

    def make(change: Change) -> None:
        calls.append("slow")
        if len(calls) == 1:
            with ThreadPoolExecutor(1) as pool:
                calls.append(pool.submit(put, store, "contoso").result(30))
        change.put(HUB, ("slow",), Hub(hub_name="slow"))

    with deadline(10):
        store.change("contoso", make, asks_outside=True)
    assert calls == ["slow", "", "slow"]
    assert store.get(HUB, "contoso", "slow")
