"""Documents and changes on Azurite: names in any case, revisions, and rules that hold under races."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.azurite import Endpoints
from shared.definitions.store.definition_store import Change, Conditions, DefinitionStore, Kept, Stored
from shared.definitions.store.kinds import HUB, KPI, MAPPING, PROFILE
from shared.domain.documents.hubs import Hub
from shared.domain.errors import (
    NotFoundError,
    PreconditionError,
    RequestTooLargeError,
    UnavailableError,
)
from shared.storage.tables import Table
from tests.definitions.samples import kpi, profile
from tests.fault_proxy import Answer, LoseAnswer, running_proxy
from tests.local_services import account_of
from tests.thorough import examples


@pytest.fixture
def store(table: Table) -> DefinitionStore:
    return DefinitionStore(table)


def put(store: DefinitionStore, name: str, hub: str = "contoso", text: str = "") -> Stored[Hub]:
    return store.change(hub, lambda change: change.put(HUB, (name,), Hub(hub_name=name, description=text)))


def test_a_document_is_found_in_any_case(store: DefinitionStore) -> None:
    stored = put(store, "Contoso", text="ü")
    assert store.get(HUB, "CONTOSO", "cOnToSo") == stored
    assert store.get(HUB, "contoso", "other") is None
    assert store.get(HUB, "fabrikam", "contoso") is None
    assert store.get(PROFILE, "contoso", "contoso") is None
    with pytest.raises(NotFoundError, match="other") as missing:
        store.require(HUB, "contoso", "other")
    assert missing.value.code == "HubNotFound"


def test_every_write_is_a_new_revision_of_the_same_instance(store: DefinitionStore) -> None:
    first = put(store, "a")

    def again(change: Change) -> Stored[Hub]:
        return change.put(HUB, ("a",), Hub(hub_name="a"), first.instance_id, {"account": "x"})

    second = store.change("contoso", again)
    assert second.instance_id == first.instance_id
    assert second.etag != first.etag
    assert store.get(HUB, "contoso", "a") == second
    assert second.internal == {"account": "x"}


def test_lists_are_by_name_and_of_one_kind(store: DefinitionStore) -> None:
    for name in ("b", "C", "a"):
        put(store, name)
    store.change("contoso", lambda change: change.put(KPI, ("a",), kpi()))
    store.change("fabrikam", lambda change: change.put(HUB, ("z",), Hub(hub_name="z")))
    assert [stored.document.hub_name for stored in store.all(HUB, "Contoso")] == ["a", "b", "C"]
    assert store.all(MAPPING, "contoso") == []


def test_a_list_below_a_parent_is_of_that_parent(store: DefinitionStore) -> None:
    for parent, name in (("files", "m1"), ("files2", "m2"), ("file", "m3"), ("Files", "m4")):
        store.change(
            "contoso",
            lambda change, p=parent, n=name: change.put(HUB, (p, n), Hub(hub_name=n)),  # type: ignore[misc]
        )
    assert [stored.document.hub_name for stored in store.all(HUB, "contoso", "FILES")] == ["m1", "m4"]


@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    times=st.sampled_from([1, 900, 2000]),
)
def test_a_document_of_any_length_comes_back(store: DefinitionStore, text: str, times: int) -> None:
    long = (text * times)[:40_000]
    put(store, "long", text=long)
    found = store.get(HUB, "contoso", "long")
    assert found is not None
    assert found.document.description == long


def test_a_document_that_shrinks_keeps_nothing_of_the_old(store: DefinitionStore) -> None:
    put(store, "a", text="x" * 100_000)
    stored = put(store, "a", text="y")
    assert store.get(HUB, "contoso", "a") == stored


def test_a_document_that_does_not_fit_is_refused(store: DefinitionStore) -> None:
    with pytest.raises(RequestTooLargeError):
        put(store, "a", text="x" * 500_000)
    assert store.get(HUB, "contoso", "a") is None


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rounds=st.lists(
        st.dictionaries(st.sampled_from("abcdefghijkl"), st.none() | st.text("xy", max_size=2), max_size=12),
        min_size=2,
        max_size=4,
    )
)
def test_a_list_that_is_read_on_is_as_if_it_were_read_anew(
    store: DefinitionStore, rounds: list[dict[str, str | None]]
) -> None:
    elsewhere, hub = DefinitionStore(store._table), uuid.uuid4().hex

    def names() -> list[Kept[Hub]]:
        with store.consistent_read():
            return store.kept(HUB, hub)

    for texts in rounds:

        def make(change: Change, texts: dict[str, str | None] = texts) -> None:
            there = {kept.name for kept in elsewhere.kept(HUB, hub)}
            for name, text in texts.items():
                if text is not None:
                    change.put(HUB, (name,), Hub(hub_name=name, description=text))
                elif name in there:
                    change.delete(HUB, name)

        elsewhere.change(hub, make)
        assert names() == elsewhere.kept(HUB, hub)


def test_a_change_that_saw_something_old_is_made_again(store: DefinitionStore) -> None:
    put(store, "a", text="0")
    begun, others_done = threading.Event(), threading.Event()
    seen: list[str | None] = []

    def slow(change: Change) -> None:
        present = store.require(HUB, "contoso", "a").document.description
        seen.append(present)
        if len(seen) == 1:
            begun.set()
            assert others_done.wait(30)
        change.put(HUB, ("b",), Hub(hub_name="b", description=present))

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(store.change, "contoso", slow)
        assert begun.wait(30)
        put(store, "a", text="1")
        others_done.set()
        running.result()
    assert seen == ["0", "1"]
    assert store.require(HUB, "contoso", "b").document.description == "1"


def test_no_count_is_lost_under_a_race(store: DefinitionStore) -> None:
    put(store, "n", text="0")

    def count(_: int) -> None:
        def make(change: Change) -> None:
            present = int(store.require(HUB, "contoso", "n").document.description or 0)
            change.put(HUB, ("n",), Hub(hub_name="n", description=str(present + 1)))
            change.connectors += 1

        store.change("contoso", make)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(count, range(20)))
    assert store.require(HUB, "contoso", "n").document.description == "20"
    assert store.change("contoso", lambda change: change.connectors) == 20


def test_hubs_do_not_wait_for_each_other(store: DefinitionStore) -> None:
    calls = []

    def nested(change: Change) -> Stored[Hub]:
        calls.append(1)
        put(store, "x", hub="fabrikam")
        return change.put(HUB, ("a",), Hub(hub_name="a"))

    store.change("contoso", nested)
    assert calls == [1]


@pytest.mark.parametrize(
    ("conditions", "when_absent", "when_present"),
    [
        (Conditions(), True, True),
        (Conditions(if_none_match=True), True, False),
        (Conditions(if_match="*"), False, True),
        (Conditions(if_match="abc"), False, True),
        (Conditions(if_match='"abc"'), False, True),
        (Conditions(if_match='W/"abc"'), False, True),
        (Conditions(if_match="other"), False, False),
        (Conditions(if_match=""), False, False),
    ],
)
def test_conditions(conditions: Conditions, when_absent: bool, when_present: bool) -> None:
    present = Stored(profile(), "abc", "i")

    def holds(stored: Stored[object] | None) -> bool:
        try:
            conditions.check(stored)
        except PreconditionError as error:
            return error.code != "PreconditionFailed"
        return True

    assert (holds(None), holds(replace(present))) == (when_absent, when_present)


def test_a_commit_whose_answer_is_lost_counts_once(azurite: Endpoints, table: Table) -> None:
    with running_proxy(azurite.table) as proxy:
        proxied = DefinitionStore(Table(account_of(azurite, table=proxy.endpoint), table.name))
        put(proxied, "a")
        calls = []

        def make(change: Change) -> Stored[Hub]:
            calls.append(1)
            change.connectors += 1
            return change.put(HUB, ("b",), Hub(hub_name="b"))

        proxy.break_once(LoseAnswer(), lambda request: "$batch" in request.target)
        stored = proxied.change("contoso", make)
    assert calls == [1]
    assert DefinitionStore(table).get(HUB, "contoso", "b") == stored
    assert DefinitionStore(table).change("contoso", lambda change: change.connectors) == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda store: put(store, "b"),
        lambda store: store.get(HUB, "contoso", "a"),
        lambda store: store.all(HUB, "contoso"),
    ],
)
def test_a_table_that_is_down_is_unavailable(
    azurite: Endpoints, table: Table, act: Callable[[DefinitionStore], object]
) -> None:
    put(DefinitionStore(table), "a")
    with running_proxy(azurite.table) as proxy:
        proxy.plan = lambda _: Answer(503, "ServerBusy")
        with pytest.raises(UnavailableError):
            act(DefinitionStore(Table(account_of(azurite, table=proxy.endpoint), table.name)))
    assert DefinitionStore(table).get(HUB, "contoso", "b") is None
