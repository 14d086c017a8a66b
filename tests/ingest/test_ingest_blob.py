"""The story of a blob version under crashes and rivals, on real storage: every row once, and true counts."""

from contextlib import AbstractContextManager

import pytest

from shared.app import Services
from shared.arrivals.reconcile import reconcile, wake_left_behind
from shared.arrivals.sweep import carry_out_backfill, request_backfill
from shared.domain.documents.entity_types import InteractionType
from shared.domain.documents.run import Run, RunError, RunKind, RunState
from shared.domain.errors import ClaimLostError, DataError, DeferredError, SupersededError, UnavailableError
from shared.domain.own_names import TABLE_RUNS
from shared.failpoints import FailPoint, arm
from shared.ingest.attempt import take
from shared.ingest.ingest_blob import ingest
from shared.ingest.outcome import Outcome
from shared.ledger.runs import Position, Runs
from shared.ledger.stored_run import StoredRun
from shared.messages.ingest import carry_out_run, give_up, handle_message
from shared.storage.tables import Table
from tests.fault_proxy import Answer, Fault, LoseAnswer, Request, running_proxy
from tests.ingest.conftest import MESSAGE, ROWS, World
from tests.ingest.paused import Paused, paused
from tests.local_services import account_of

STAGED = Outcome.of_rows(3, 0, len(ROWS), {})


def paused_at(world: World, run_id: str, point: FailPoint) -> AbstractContextManager[Paused[Outcome]]:
    """A worker that has taken the run and stands at `point`."""
    attempt = world.take(run_id)
    return paused(lambda: ingest(world.services, attempt), point)


def test_a_crash_after_the_commit_is_recorded_with_true_counts(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    ingest(world.services, world.take(run_id))  # the worker ends before it records the outcome
    assert world.run(run_id).state is RunState.RUNNING
    run = world.ingest(run_id)
    assert (run.state, run.rows_read, run.rows_ingested, run.attempts) == (RunState.SUCCEEDED, 3, 3, 2)
    assert world.committed_rows == 3


@pytest.mark.parametrize("since", ["deleted", "overwritten", "overwritten and ingested", "mapping deleted"])
@pytest.mark.parametrize("then", ["delivered again", "given up"])
def test_what_happens_to_the_blob_after_the_commit_changes_nothing(world: World, since: str, then: str) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    ingest(world.services, world.take(run_id))
    match since:
        case "deleted":
            world.storage.get_blob_client(world.container, "a.csv").delete_blob()
        case "overwritten":
            world.upload("a.csv", "page\n/other\n")
        case "overwritten and ingested":
            newer = world.ingest(world.queue(world.upload("a.csv", "page\n/other\n")), "message-2")
            assert newer.rows_ingested == 1
        case _:
            world.services.definitions.delete_mapping(world.hub, "Landing", "Visits")
    if then == "given up":
        give_up(world.services, {"hub": world.hub, "runId": run_id})
        run = world.run(run_id)
    else:
        run = world.ingest(run_id)
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 3)
    assert world.committed_rows == (4 if since == "overwritten and ingested" else 3)


def test_a_paused_worker_loses_its_claim_and_writes_nothing(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    paused = world.take(run_id)
    assert world.ingest(run_id).state is RunState.SUCCEEDED  # the same message, delivered again
    with pytest.raises(ClaimLostError):
        paused.note_staged(STAGED, Position(1, None), world.visit)
    with pytest.raises(ClaimLostError):
        paused.release(RunError(code="Late", message="too late"))
    assert world.run(run_id).state is RunState.SUCCEEDED
    assert world.committed_rows == 3


def test_two_workers_in_the_middle_commit_once(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    first = world.take(run_id)
    first.note_staged(STAGED, Position(1, None), world.visit)
    second = world.take(run_id)
    ingest(world.services, second)
    with pytest.raises(ClaimLostError):
        ingest(world.services, first)
    assert world.committed_rows == 3


@pytest.mark.parametrize(
    "error", [SupersededError("BlobOverwritten", "overwritten"), DataError("TooManyRejects", "too many")], ids=str
)
def test_rows_that_come_in_while_the_blob_is_read_again_are_recorded(world: World, error: DataError) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    with paused_at(world, run_id, FailPoint.CLAIM_CHECKED) as paused:

        def meanwhile() -> None:
            paused.end()
            raise error

        arm(FailPoint.BATCH_STAGED, meanwhile)
        run = world.ingest(run_id)  # the same message, delivered again
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 3)
    assert world.committed_rows == 3


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_rejects_per_run": 2}, "TooManyRejects"),
        ({"max_read_minutes": 0}, "TooSlow"),
        ({"max_blob_bytes": 20}, "TooLarge"),
    ],
)
def test_a_run_ends_at_its_limits_and_nothing_is_visible(world: World, limits: dict[str, int], code: str) -> None:
    run_id = world.queue(world.upload("a.csv", f"{ROWS}a,b\nc,d\ne,f\n"))
    services = Services(world.services.settings.model_copy(update=limits))
    carry_out_run(services, world.hub, run_id, MESSAGE)
    stored = world.stored(run_id)
    assert stored.run.error is not None
    assert (stored.run.state, stored.run.error.code, stored.run.rows_ingested) == (RunState.FAILED, code, 0)
    assert not stored.is_retryable  # it would end the same way
    assert (stored.rejects is None) is (code != "TooManyRejects")
    assert (stored.run.bytes_read == 0) is (code == "TooLarge")  # its size is known before it is read
    assert world.committed_rows == 0


def test_a_paused_worker_does_not_commit_under_the_counts_of_another(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    with paused_at(world, run_id, FailPoint.COUNTS_NOTED) as paused:
        world.take(run_id)
        with pytest.raises(ClaimLostError):
            paused.end()
    assert world.committed_rows == 0
    assert world.ingest(run_id).rows_ingested == 3


def test_a_paused_worker_leaves_the_rejects_of_a_run_that_has_ended(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", f"{ROWS}/more,cells\n"))
    with paused_at(world, run_id, FailPoint.PARTS_UPLOADED) as paused:
        assert world.ingest(run_id).state is RunState.PARTIALLY_SUCCEEDED
        path = str(world.stored(run_id).rejects)
        stored = world.services.run_files.properties(path)
        with pytest.raises(ClaimLostError):
            paused.end()
    assert world.stored(run_id).rejects == path
    assert world.services.run_files.properties(path) == stored
    assert world.committed_rows == 3


@pytest.mark.parametrize("ended", ["deleted", "refused", "all rejected", "given up"])
def test_an_attempt_that_comes_to_its_commit_when_the_run_has_ended_brings_nothing(world: World, ended: str) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    with paused_at(world, run_id, FailPoint.CLAIM_CHECKED) as paused:
        match ended:
            case "deleted":
                world.storage.get_blob_client(world.container, "a.csv").delete_blob()
            case "refused":
                world.put_mapping(structure=[{"propertyName": "Page", "columnName": "gone"}])
            case "all rejected":
                strict = InteractionType.from_request(
                    {"fields": [{"fieldName": "Page", "fieldType": "Edm.String", "maxLength": 2}]}
                )
                world.services.definitions.put_entity_type(world.hub, "Visit", strict)
        if ended == "given up":
            give_up(world.services, {"hub": world.hub, "runId": run_id})
        else:
            world.ingest(run_id)  # the same message, delivered again
        run = world.run(run_id)
        assert run.state.is_final
        assert run.rows_ingested == 0
        with pytest.raises(ClaimLostError):
            paused.end()
    assert world.run(run_id) == run
    assert world.committed_rows == 0


def test_a_run_that_was_closed_comes_in_when_it_is_tried_again(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    structure = [{"propertyName": "Page", "columnName": "gone"}]
    with paused_at(world, run_id, FailPoint.CLAIM_CHECKED) as paused:
        world.put_mapping(structure=structure)
        assert world.ingest(run_id).state is RunState.FAILED
        with pytest.raises(ClaimLostError):
            paused.end()
    world.put_mapping()
    request_backfill(world.services, world.mapping)
    world.work_off()
    assert world.run(run_id).rows_ingested == 3
    assert world.committed_rows == 3


def test_counts_and_rejects_are_those_of_the_attempt_that_commits(world: World) -> None:
    """Both read the file in their own way, since the mapping changed; who is first has brought its rows in."""
    run_id = world.queue(world.upload("a.csv", "page,n\n/a,1\n/b,2\n/c\n"))
    with paused_at(world, run_id, FailPoint.CLAIM_CHECKED) as paused:
        (first,) = world.stored(run_id).notes.values()
        world.put_mapping(
            format={"columnDelimiter": ";"},
            hasHeader=False,
            structure=[{"propertyName": "Page", "columnName": "column1"}],
        )

        def meanwhile() -> None:
            paused.end()

        arm(FailPoint.CLAIM_CHECKED, meanwhile)
        run = world.ingest(run_id)
    assert (run.state, run.rows_read, run.rows_ingested, run.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 3, 2, 1)
    assert world.stored(run_id).rejects == first.rejects
    assert world.committed_rows == 2


def test_a_run_that_succeeds_at_last_has_no_rejects(world: World) -> None:
    world.put_mapping(errorManagement={"errorManagementType": "StopImport"})
    run_id = world.queue(world.upload("a.csv", f"{ROWS}/more,cells\n"))
    assert world.ingest(run_id).state is RunState.FAILED
    assert world.stored(run_id).rejects is not None
    world.put_mapping(format={"columnDelimiter": ";"}, structure=[{"propertyName": "Page", "columnName": "page"}])
    world.services.runs.save(world.stored(run_id).with_run(state=RunState.QUEUED, error=None, finished_at=None))
    assert world.ingest(run_id, "message-2").state is RunState.SUCCEEDED
    assert world.stored(run_id).rejects is None


def test_a_run_goes_on_whose_last_write_got_no_answer(world: World) -> None:
    """The note is written, its answer lost, and the look for it fails: the run is still its worker's."""
    run_id = world.queue(world.upload("a.csv", ROWS))
    with running_proxy(world.azurite.table) as proxy:
        account = account_of(world.azurite, table=proxy.endpoint)
        writes = 0

        def plan(request: Request) -> Fault | None:
            nonlocal writes
            if request.method == "POST" and "$batch" in request.target:
                writes += 1
                return LoseAnswer() if writes == 1 else None
            return Answer(503, "ServerBusy") if writes == 1 else None

        def break_storage() -> None:
            proxy.plan = plan

        world.services.runs = Runs(Table(account, TABLE_RUNS), world.services.clock)
        arm(FailPoint.PARTS_UPLOADED, break_storage)
        with pytest.raises(UnavailableError):
            world.ingest(run_id)
        arm(FailPoint.PARTS_UPLOADED, lambda: None)
        run = world.ingest(run_id)  # the same message, delivered again
    assert (run.state, run.rows_ingested, run.attempts) == (RunState.SUCCEEDED, 3, 2)
    assert world.committed_rows == 3


@pytest.mark.parametrize(
    ("error", "reason", "attempts"),
    [
        (UnavailableError("SourceUnavailable", "it does not answer"), "SourceUnavailable", 1),
        (ValueError("a bug"), "InternalError", 1),
        (DeferredError("SourceBusy", "others are before it"), "SourceBusy", 0),
    ],
    ids=["transient", "unexpected", "deferred"],
)
def test_a_run_is_given_back_though_the_last_write_to_it_got_no_answer(
    world: World, error: Exception, reason: str, attempts: int
) -> None:
    def work() -> None:
        world.services.runs.save(world.stored(run_id))  # as a write does of which the worker knows nothing
        raise error

    run_id = world.queue(world.upload("a.csv", ROWS))
    with pytest.raises(type(error)):
        world.take(run_id).carry_out(work, lambda _: None)
    run = world.stored(run_id).run
    assert (run.state, run.attempts, run.error and run.error.code) == (RunState.QUEUED, attempts, reason)
    assert world.ingest(run_id, "message-2").state is RunState.SUCCEEDED


def test_another_message_does_not_disturb_a_worker(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    world.take(run_id)
    assert take(world.services, world.hub, run_id, "message-2") is None
    assert world.run(run_id).attempts == 1


def test_rows_that_are_in_make_no_failed_run(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    attempt = world.take(run_id)
    ingest(world.services, attempt)
    attempt.release(RunError(code="VaultUnavailable", message="the vault does not answer"))
    assert world.run(run_id).state is RunState.QUEUED
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    run = world.run(run_id)
    assert (run.state, run.error, run.rows_ingested) == (RunState.SUCCEEDED, None, 3)
    assert run.details["completeOperation"] == "the vault does not answer"
    assert world.committed_rows == 3


def test_a_file_without_a_good_row_whose_completion_fails_is_done(world: World) -> None:
    world.put_mapping(completeOperation={"completionOperationType": "MoveFile", "destinationFolder": "nowhere/done"})
    run_id = world.queue(world.upload("a.csv", "page\n"))
    attempt = world.take(run_id)
    attempt.note_staged(Outcome.of_rows(0, 0, 5, {}), Position(1, None), world.visit)
    attempt.release(RunError(code="VaultUnavailable", message="the vault does not answer"))
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    run = world.run(run_id)
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 0)
    assert run.details["completeOperation"] == "the vault does not answer"


def test_a_run_tried_in_vain_keeps_its_reason_and_is_taken_up_again(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    world.take(run_id).release(RunError(code="VaultUnavailable", message="the vault does not answer"))
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    failed = world.stored(run_id)
    assert failed.run.error is not None
    assert (failed.run.state, failed.run.error.code) == (RunState.FAILED, "VaultUnavailable")
    assert failed.is_retryable
    backfill = request_backfill(world.services, world.services.definitions.mapping(world.hub, "Landing", "Visits"))
    carry_out_backfill(world.services, world.hub, "Landing", "Visits", backfill.number)
    run = world.ingest(run_id, "message-2")
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 3)
    assert world.committed_rows == 3


def test_a_run_whose_worker_dies_each_time_is_not_tried_for_ever(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    world.take(run_id)
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    stored = world.stored(run_id)
    assert stored.run.error is not None
    assert (stored.run.error.code, stored.is_retryable) == ("WorkerLost", False)


def test_an_older_version_never_comes_in_after_a_newer_one(world: World) -> None:
    old = world.queue(world.upload("a.csv", ROWS))
    paused = world.take(old)
    paused.note_staged(STAGED, Position(1, None), world.visit)
    new = world.queue(world.upload("a.csv", "page\n/other\n"))
    assert world.ingest(new, "message-2").state is RunState.SUCCEEDED
    assert world.ingest(old).state is RunState.SUPERSEDED
    assert world.committed_rows == 1


def test_a_vault_that_does_not_answer_leaves_the_run_to_the_next_attempt(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    # Nobody listens there any more: a new process, which has nothing in its cache, meets a dead vault.
    dead = Services(world.services.settings)
    world.vault.stop()
    with pytest.raises(UnavailableError):
        carry_out_run(dead, world.hub, run_id, MESSAGE)
    run = world.run(run_id)
    assert run.error is not None
    assert (run.state, run.error.code) == (RunState.QUEUED, "VaultUnavailable")


def test_only_ingest_runs_are_woken(world: World) -> None:
    services = world.services
    ours = world.queue(world.upload("a.csv", ROWS))
    export = Run(run_id="e" * 32, kind=RunKind.EXPORT, queued_at=services.clock.now())
    assert services.runs.create(StoredRun(hub=world.hub, run=export))
    carry_out_run(services, world.hub, export.run_id, MESSAGE)
    assert world.run(export.run_id).state is RunState.QUEUED
    services.runs.save(world.stored(ours))
    changed = world.stored(ours).changed
    list(wake_left_behind(services, world.hub))
    assert world.stored(ours).changed == changed, "it is not left behind yet"


def test_messages_that_nobody_understands_are_dropped(world: World) -> None:
    messages: list[object] = [None, [], {"hub": 1}, {"hub": world.hub, "runId": "0" * 32}]
    for message in messages:
        handle_message(world.services, message, MESSAGE)
        give_up(world.services, message)


def test_a_retry_waits_longer_each_time(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    attempt = world.take(run_id)
    attempt.release(RunError(code="VaultUnavailable", message="the vault does not answer"))
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    reconcile(world.services)
    assert world.run(run_id).state is RunState.FAILED, "too early"
