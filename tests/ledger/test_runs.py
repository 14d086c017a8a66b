"""The record of runs on Azurite: made once, changed by one at a time, listed newest first, always small enough."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.azurite import Endpoints
from shared.domain.documents.run import RunError, RunState
from shared.domain.errors import (
    CommitConflictError,
    DeferredError,
    FatalError,
    PreconditionError,
    ThrottledError,
    UnavailableError,
    asked_to_wait_s,
)
from shared.domain.rest import LONGEST_REST_S
from shared.ledger.run_document import read_run, write_run
from shared.ledger.runs import Position, Runs
from shared.ledger.stored_run import RESTED, StoredRun
from shared.storage.tables import Table
from tests.fault_proxy import Answer, CutAnswer, Fault, LoseAnswer, running_proxy
from tests.ledger.sample_runs import CLOCK, START, created, run
from tests.local_services import account_of
from tests.one_request import batch, is_transaction


def wins(calls: Sequence[Callable[[], object]]) -> list[object]:
    """The results of calls made at once, leaving out those that came too late."""

    def call(one: Callable[[], object]) -> object:
        try:
            return one()
        except PreconditionError:
            return None

    with ThreadPoolExecutor(len(calls)) as pool:
        return [result for result in pool.map(call, calls) if result]


def test_a_run_comes_back_as_it_was(runs: Runs) -> None:
    until = START + timedelta(minutes=30)
    given_run = replace(run(rows_read=2**40, details={"note": "ü"}), number=7, is_retryable=True).claimed("w", until)
    found = created(runs, given_run)
    assert found.changed is not None
    assert found.etag
    assert replace(found, etag="", changed=None) == given_run
    assert runs.get("contoso", "a") == replace(found, hub="contoso")
    assert runs.get("Contoso", "b") is None
    assert runs.get("Fabrikam", "a") is None
    assert runs.get("Contoso", "a/../b") is None


def test_of_ten_callers_one_creates_the_run(runs: Runs) -> None:
    for number in range(3):
        callers = [partial(runs.create, run(f"r{number}")) for _ in range(10)]
        assert wins(callers) == [True]
    assert len(runs.page("Contoso")[0]) == 3


def test_a_run_that_is_there_is_not_created_again(runs: Runs) -> None:
    stored = created(runs, run())
    saved = runs.save(stored.with_run(state=RunState.SUCCEEDED))
    assert not runs.create(run())
    assert runs.get("Contoso", "a") == saved


def test_of_ten_changes_one_holds(runs: Runs) -> None:
    stored = created(runs, run())
    workers = [f"w{number}" for number in range(10)]
    won = wins([partial(runs.save, stored.claimed(worker, START)) for worker in workers])
    assert len(won) == 1
    assert runs.get("Contoso", "a") == won[0]


def test_a_saved_run_can_be_saved_again(runs: Runs) -> None:
    stored = created(runs, run())
    for attempt in range(3):
        stored = runs.save(stored.with_run(attempts=attempt, state=RunState.RUNNING))
    stored = runs.save(stored.with_run(state=RunState.FAILED, error=RunError(code="X", message="y")))
    stored = runs.save(stored.with_run(state=RunState.FAILED, attempts=9))
    stored = runs.save(stored.with_run(state=RunState.QUEUED, error=None))
    stored = runs.save(stored.with_run(state=RunState.SUCCEEDED))
    assert runs.get("Contoso", "a") == stored
    with pytest.raises(PreconditionError):
        runs.save(replace(stored, etag="W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""))


def numbered(runs: Runs, stored: StoredRun, order: int) -> StoredRun:
    return runs.number_version(stored, runs.position_of(stored, order))


def test_versions_are_numbered_one_by_one(runs: Runs) -> None:
    first = numbered(runs, created(runs, run("a")), 5)
    second = numbered(runs, created(runs, run("b")), 6)
    other = numbered(runs, replace(created(runs, run("c")), ledger_key="another blob"), 4)
    assert (first.number, second.number, other.number) == (1, 2, 1)
    assert (first.order, second.order, other.order) == (5, 6, 4)
    again = numbered(runs, first, 9)
    assert (again.number, again.order) == (1, 5)
    assert runs.get("Contoso", "a") == again


def test_a_version_is_put_behind_those_of_its_blob(runs: Runs) -> None:
    first, second = created(runs, run("a")), created(runs, run("b"))
    placed_early = runs.position_of(second, 5)
    assert runs.position_of(first, 5) == placed_early == Position(5, None)
    first = runs.number_version(first, runs.position_of(first, 5))
    assert [runs.position_of(second, order).order for order in (3, 5, 9)] == [6, 6, 9]
    assert runs.position_of(first, 9).order == 5
    with pytest.raises(CommitConflictError):
        runs.number_version(second, placed_early)
    assert runs.get("Contoso", "b") == second


def test_versions_that_are_numbered_at_once_get_numbers_of_their_own(runs: Runs) -> None:
    stored = [created(runs, run(f"r{index}")) for index in range(10)]

    def number(item: StoredRun) -> StoredRun:
        while True:
            try:
                return numbered(runs, item, 1)
            except CommitConflictError:
                continue

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(number, stored))
    assert sorted(item.number or 0 for item in found) == list(range(1, 11))
    for item in found:
        assert runs.get("Contoso", item.run.run_id) == item


def test_a_run_is_numbered_once_whoever_asks(runs: Runs) -> None:
    stored = created(runs, run())
    assert len(wins([lambda: numbered(runs, stored, 1)] * 8)) == 1
    found = runs.get("Contoso", "a")
    assert found is not None
    assert found.number == 1
    assert numbered(runs, replace(created(runs, run("b")), ledger_key="key"), 2).number == 2


def test_a_run_that_was_changed_meanwhile_gets_no_number(runs: Runs) -> None:
    stored = created(runs, run())
    runs.save(stored.with_run(attempts=1))
    with pytest.raises(PreconditionError):
        numbered(runs, stored, 1)
    assert numbered(runs, created(runs, run("b")), 1).number == 1


def test_a_run_without_a_blob_cannot_be_numbered(runs: Runs) -> None:
    with pytest.raises(FatalError):
        numbered(runs, replace(created(runs, run(blob=None)), ledger_key=None), 1)


@pytest.mark.parametrize(
    "act",
    [
        lambda runs, stored: runs.save(stored.with_run(attempts=5)).run.attempts == 5,
        lambda runs, stored: numbered(runs, stored, 1).number == 1,
        lambda runs, _: runs.create(run("new")),
    ],
)
@pytest.mark.parametrize("fault", [LoseAnswer(), CutAnswer(1)], ids=["no answer", "cut in the body"])
def test_a_write_whose_answer_is_lost_counts_once(
    azurite: Endpoints, table: Table, act: Callable[[Runs, StoredRun], bool], fault: Fault
) -> None:
    stored = created(Runs(table, CLOCK), run())
    with running_proxy(azurite.table) as proxy:
        proxy.break_once(fault, is_transaction)
        assert act(Runs(Table(account_of(azurite, table=proxy.endpoint), table.name), CLOCK), stored)
        assert sum(is_transaction(request) for request in proxy.requests) == 1


def test_runs_saved_together_each_find_their_own_write_where_the_answer_is_lost(
    azurite: Endpoints, table: Table
) -> None:
    ids = [f"r{number}" for number in range(10)]
    runs = Runs(table, CLOCK)
    stored = [replace(created(runs, run(run_id)), ledger_key=run_id) for run_id in ids]
    with running_proxy(azurite.table) as proxy:
        proxy.break_once(LoseAnswer(), is_transaction)
        shared = Table(account_of(azurite, table=proxy.endpoint), table.name)
        acts = [partial(numbered, Runs(shared, CLOCK), each, 1) for each in stored]
        found = batch(shared, acts, "contoso")
        assert sum(is_transaction(request) for request in proxy.requests) == 1
    assert found == [runs.get("Contoso", run_id) for run_id in ids]
    later = [numbered(runs, replace(created(runs, run(f"{run_id}b")), ledger_key=run_id), 2) for run_id in ids]
    first = [each for each in found if isinstance(each, StoredRun)]
    assert [each.number for each in (*first, *later)] == [1] * 10 + [2] * 10


def test_a_write_that_never_came_through_is_reported(azurite: Endpoints, table: Table) -> None:
    stored = created(Runs(table, CLOCK), run())
    with running_proxy(azurite.table) as proxy:
        proxy.plan = lambda request: Answer(503, "ServerBusy") if is_transaction(request) else None
        broken = Runs(Table(account_of(azurite, table=proxy.endpoint), table.name), CLOCK)
        for attempt in (lambda: broken.save(stored), lambda: broken.create(run("new"))):
            with pytest.raises(UnavailableError):
                attempt()
    assert Runs(table, CLOCK).get("Contoso", "a") == stored
    assert Runs(table, CLOCK).get("Contoso", "new") is None


SIGNS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | SIGNS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SIGNS, inner, max_size=4),
    max_leaves=10,
)


@given(
    message=SIGNS,
    times=st.sampled_from([1, 500, 20_000]),
    details=st.dictionaries(st.text("abc", min_size=1, max_size=5), JSON, max_size=4),
    many=st.sampled_from([0, 10, 30_000]),
)
def test_every_run_fits_into_its_row(message: str, times: int, details: dict[str, Any], many: int) -> None:
    document = run(error=RunError(code="X", message=message * times), details=details).run
    document = document.model_copy(update={"details": {**details, "columns": [message] * many}})
    text = write_run(document)
    assert len(text.encode("utf-16-le")) // 2 <= 30_000
    found = read_run(text)
    assert found.error is not None
    assert len(found.error.message.encode()) <= 8 * 1024
    if times == 1 and many <= 10:
        assert found == read_run(json.dumps(document.to_json()))


def test_what_is_cut_says_so() -> None:
    found = read_run(write_run(run(details={"columns": ["name" * 5] * 10_000, "kept": 1}).run))
    assert found.details["kept"] == 1
    assert 100 < len(found.details["columns"]) < 10_000
    assert found.details["columns"][-1] == " [cut]"
    cut = read_run(write_run(run(error=RunError(code="X", message="ü" * 9000)).run))
    assert cut.error is not None
    assert cut.error.message.endswith("ü [cut]")


@given(st.lists(st.floats(0, 604_800), max_size=40), st.integers(1, 3))
def test_a_run_rests_for_a_day_in_all(asks: list[float], attempts: int) -> None:
    """Whoever asks, and for however long; what it is not put to rest for is an attempt."""
    stored, rested = run(state=RunState.RUNNING, attempts=attempts), 0
    for asked in asks:
        error = ThrottledError("Throttled", "busy", retry_after_s=asked)
        wanted, before = asked_to_wait_s(error), stored.run.attempts
        stored = stored.given_back(RunError(code="Throttled", message="busy"), START, wanted)
        raised: Exception = error
        try:
            stored.raise_if_resting(error, START)
        except DeferredError as deferred:
            raised = deferred
        delay_s = raised.rest_s if isinstance(raised, DeferredError) else None
        assert stored.rests(START) == (delay_s is not None) == (wanted is not None and rested < LONGEST_REST_S)
        if delay_s is None:
            assert asked_to_wait_s(error) is None, "no message rests either"
            assert stored.run.attempts == before
        else:
            assert min(asked, LONGEST_REST_S) <= delay_s <= min(1.1 * asked + 1, LONGEST_REST_S)
            assert stored.claimed_until == START + timedelta(seconds=delay_s)
            rested += delay_s
        stored = stored.begun(START)
    assert rested < 2 * LONGEST_REST_S
    assert RESTED not in stored.with_run(state=RunState.SUCCEEDED).released().run.details
