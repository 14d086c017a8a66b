"""Who may overwrite whom in the record of a run, whatever its kind."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra.local.azurite import Endpoints
from shared.clock import Clock
from shared.domain.documents.run import Run, RunError, RunKind, RunState
from shared.domain.errors import ClaimLostError, GoneError, HubError, ThrottledError, UnavailableError
from shared.ledger.claim import Claim, claim_run, end_run, last_reason
from shared.ledger.runs import Runs
from shared.ledger.stored_run import Ending, StoredRun
from shared.settings import Settings
from shared.storage.tables import Table
from tests.local_services import account_of

START = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
CLOCK = Clock(Settings())
WHY = RunError(code="Late", message="it was late")
DONE = Ending(RunState.SUCCEEDED, ingested=3, rejected=1, duration_ms=7, details={"note": "ü"})


@pytest.fixture
def runs(azurite: Endpoints) -> Runs:
    return Runs(Table(account_of(azurite), f"runs{uuid.uuid4().hex[:12]}"), CLOCK)


@pytest.fixture(params=[RunKind.INGEST, RunKind.EXPORT, RunKind.KPI])
def first(request: pytest.FixtureRequest) -> StoredRun:
    return StoredRun("Contoso", Run(run_id="a", kind=request.param, queued_at=START))


@pytest.fixture
def find(runs: Runs, first: StoredRun) -> Callable[[], StoredRun | None]:
    return lambda: runs.get_or_create(first, lambda: True)


def recorded(runs: Runs) -> StoredRun:
    stored = runs.get("Contoso", "a")
    assert stored is not None
    return stored


def claimed(runs: Runs, find: Callable[[], StoredRun | None], worker: str) -> Claim:
    stored = claim_run(runs, CLOCK, find, worker)
    assert stored is not None
    return Claim(runs, CLOCK, stored)


def test_a_run_is_one_workers_until_it_ends(runs: Runs, find: Callable[[], StoredRun | None]) -> None:
    claim = claimed(runs, find, "first")
    assert (claim.run.state, claim.run.attempts) == (RunState.RUNNING, 1)
    assert claim_run(runs, CLOCK, find, "second") is None
    claim.check()
    claim.end(DONE, rejects="a/rejects.csv")
    stored = recorded(runs)
    run = stored.run
    assert (run.state, run.rows_read, run.rows_ingested, run.rows_rejected) == (RunState.SUCCEEDED, 4, 3, 1)
    assert (run.error, run.duration_ms, run.details) == (None, 7, {"note": "ü"})
    assert (stored.claimed_by, stored.claimed_until, stored.rejects) == (None, None, "a/rejects.csv")
    assert run.finished_at is not None
    assert claim_run(runs, CLOCK, find, "second", lambda stored: not stored.run.state.is_final) is None


def test_what_an_end_does_not_tell_stays_as_it_is(runs: Runs, find: Callable[[], StoredRun | None]) -> None:
    claimed(runs, find, "first").end(DONE)
    claimed(runs, find, "second").end(Ending(RunState.FAILED, WHY))
    run = recorded(runs).run
    assert (run.state, run.error, run.attempts) == (RunState.FAILED, WHY, 2)
    assert (run.rows_read, run.duration_ms, run.details) == (4, 7, {"note": "ü"})


@pytest.mark.parametrize("since", ["redelivered", "run out", "given up"])
def test_who_lost_its_claim_writes_nothing(runs: Runs, find: Callable[[], StoredRun | None], since: str) -> None:
    claim = claimed(runs, find, "first")
    match since:
        case "redelivered":
            claimed(runs, find, "first")
        case "run out":
            claim.save(replace(claim.stored, claimed_until=CLOCK.machine_now() - timedelta(seconds=1)))
            claimed(runs, find, "second")
        case _:
            end_run(runs, CLOCK, find, lambda stored: Ending(RunState.FAILED, last_reason(stored.run)), lambda _: True)
            assert recorded(runs).run.error == RunError.worker_lost()
    before = recorded(runs)
    for write in (
        claim.check,
        lambda: claim.save(claim.stored),
        lambda: claim.release(WHY),
        lambda: claim.requeue(WHY),
        lambda: claim.end(DONE),
    ):
        with pytest.raises(ClaimLostError):
            write()
    assert recorded(runs) == before


def test_a_run_that_may_not_end_stays_as_it_is(runs: Runs, find: Callable[[], StoredRun | None]) -> None:
    claim = claimed(runs, find, "first")
    end_run(runs, CLOCK, find, lambda _: DONE, lambda stored: not stored.run.state.is_final and stored.run.attempts > 1)
    claim.end(Ending(RunState.SKIPPED, WHY))
    assert recorded(runs).run.state is RunState.SKIPPED


@pytest.mark.parametrize(
    ("error", "code", "attempts"),
    [
        (UnavailableError("SourceUnavailable", "it does not answer"), "SourceUnavailable", 1),
        (ThrottledError("Throttled", "busy", retry_after_s=600), "Throttled", 0),
        (ValueError("a bug"), "InternalError", 1),
    ],
    ids=str,
)
def test_a_run_that_may_succeed_later_is_released(
    runs: Runs, find: Callable[[], StoredRun | None], error: Exception, code: str, attempts: int
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(HubError if isinstance(error, HubError) else ValueError):
        claimed(runs, find, "first").carry_out(fail, lambda _: pytest.fail("it is no refusal"))
    stored = recorded(runs)
    assert (stored.run.state, stored.run.attempts, stored.run.error and stored.run.error.code) == (
        RunState.QUEUED,
        attempts,
        code,
    )
    assert stored.rests(CLOCK.machine_now()) is (attempts == 0)
    assert last_reason(stored.run) == stored.run.error


def test_a_refusal_is_told_and_ends_the_work(runs: Runs, find: Callable[[], StoredRun | None]) -> None:
    def fail() -> None:
        raise GoneError("KpiNotFound", "it is gone")

    refusals: list[HubError] = []
    assert claimed(runs, find, "first").carry_out(fail, refusals.append) is None
    assert [refusal.code for refusal in refusals] == ["KpiNotFound"]
    assert recorded(runs).run.state is RunState.RUNNING


@pytest.mark.parametrize(
    "error", [UnavailableError("StorageUnavailable", "it does not answer"), ValueError("a bug")], ids=str
)
def test_what_fails_after_the_end_does_not_undo_it(
    runs: Runs, find: Callable[[], StoredRun | None], error: Exception
) -> None:
    claim = claimed(runs, find, "first")

    def end_and_fail() -> None:
        claim.end(DONE)
        raise error

    with pytest.raises(type(error)):
        claim.carry_out(end_and_fail, lambda _: pytest.fail("it is no refusal"))
    assert recorded(runs).run.state is RunState.SUCCEEDED
