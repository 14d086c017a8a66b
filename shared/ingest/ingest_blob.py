"""The story of a blob version, top to bottom: claimed by its message, it is decided, staged, committed and ended.

Order of what is written: the data, then the run's record, then what follows from it. A crash between any two
is safe: the same message comes again, and the fence of the commit (`lake/changes/append.py`) lets each version in once.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from shared.app import Services
from shared.domain.documents.run import RunState, run_ledger_key
from shared.domain.errors import (
    ArchivedError,
    CommitConflictError,
    DataError,
    GoneError,
    HubError,
    RefusedError,
    RequestError,
    SkippedError,
)
from shared.domain.own_names import rejects_path
from shared.failpoints import FailPoint, failpoint
from shared.ingest.attempt import Attempt, end
from shared.ingest.beside import ask_those_who_wait, readers_beside, wait_for_others
from shared.ingest.complete import complete
from shared.ingest.decide import Work, check_definitions, decide, earlier_outcome, fence, is_as_read
from shared.ingest.outcome import Outcome, Uncompleted
from shared.ingest.reject_file import RejectFile
from shared.ingest.run_target import find_mapping, not_completed
from shared.ingest.stage import stage_rows
from shared.ledger.claim import Claim, last_reason
from shared.ledger.runs import Position
from shared.ledger.stored_run import StoredRun
from shared.telemetry.metrics import record_lag
from shared.telemetry.spans import span
from shared.work_folder import work_folder

if TYPE_CHECKING:
    from shared.lake.log.part import UploadedPart


@dataclass(frozen=True, slots=True)
class Staged:
    """A blob whose rows lie ready, in files that no table names yet.

    Attributes:
        outcome: how the run ends once they are committed; with an error there is nothing to commit.
        place: where the blob version is to stand among all.
        modified: when the blob was committed at its source.
        uploaded: the files; none where every row was refused.
    """

    outcome: Outcome
    position: Position
    modified: datetime
    uploaded: "Sequence[UploadedPart]" = ()


def ingest_blob(services: Services, attempt: Attempt) -> None:
    """Ingests one blob version for one mapping, exactly once however often it is called.

    Raises:
        TransientError, FatalError, or anything unexpected: the message is to be delivered again.
        ClaimLostError: another worker has taken the run over, or its hub is gone.
        DeferredError: the mapping is paused or the source is busy; the run is Queued as before.
    """

    def refuse(error: HubError) -> None:
        retryable = _may_be_fixed(error)
        with span("end"):
            end(attempt, Outcome.of_error(error), attempt.elapsed_ms(), retryable=retryable)
        if not retryable:
            ask_those_who_wait(services, attempt.stored, attempt.beside)

    outcome = attempt.carry_out(lambda: ingest(services, attempt), refuse)
    if outcome is not None:
        with span("end"):
            end(attempt, outcome, attempt.elapsed_ms())
        failpoint(FailPoint.RUN_ENDED)
        ask_those_who_wait(services, attempt.stored, attempt.beside, waits=outcome.waits)


def give_up_run(services: Services, stored: StoredRun) -> None:
    """Ends a run whose message has exhausted its attempts, with the reason of the last one.

    Committed rows stay: where only what comes after the commit failed, the run ends as they say.

    Raises:
        ClaimLostError: the run goes on elsewhere at this very moment.
        TransientError: whether the rows are committed cannot be seen.
    """
    claim, reason = Claim(services.runs, services.clock, stored), last_reason(stored.run)
    attempt = fence(services, stored)
    if attempt is None:
        end(claim, Outcome.of_reason(reason), 0, retryable=not reason.is_ours)
        return
    outcome = Outcome.of_staged(stored, attempt)
    failure = not_completed(services, stored, reason.message, outcome.asked)
    end(claim, outcome.but(failure), 0)
    with services.definitions.consistent_read():
        mapping = find_mapping(services, stored)
        beside = readers_beside(services, mapping, stored.version) if mapping else ()
    ask_those_who_wait(services, stored, beside)


def ingest(services: Services, attempt: Attempt) -> Outcome:
    """Carries a claimed run to where its end can be recorded.

    It ends without rows only once no earlier attempt can commit any.
    """
    try:
        outcome = _ingest(services, attempt)
    except (RequestError, DataError, RefusedError):
        earlier = earlier_outcome(services, attempt)
        if earlier is None:
            raise
        return earlier
    return outcome if outcome.error is None else earlier_outcome(services, attempt) or outcome


def _ingest(services: Services, attempt: Attempt) -> Outcome:
    with span("decide"):
        work = decide(services, attempt)
    if isinstance(work, Outcome):
        return work
    with work.source:
        with _while_there(services, attempt, work):
            with span("stage"):
                staged = stage(services, attempt, work)
            with span("commit"):
                outcome = commit(services, attempt, work, staged)
        # A file with rejects stays where it is: whoever corrects it needs it.
        if outcome.state is not RunState.SUCCEEDED:
            return outcome
        if is_as_read(services, attempt, work):
            return outcome.but(_complete(services, attempt, work))
    failure = complete(services, replace(attempt.stored, owes=work.mapping.document.completion.value))
    failpoint(FailPoint.BLOB_COMPLETED)
    return outcome.but(failure)


@contextmanager
def _while_there(services: Services, attempt: Attempt, work: Work) -> Iterator[None]:
    try:
        with services.definitions.while_there(attempt.hub, work.entity_type):
            yield
    except GoneError as error:
        raise SkippedError("TypeGone", f"{error.message}; nothing of the blob was ingested") from error


def stage(services: Services, attempt: Attempt, work: Work) -> Staged:
    """Reads the blob: its rows into files of the lake, what it refuses into the file of rejects.

    Raises:
        HubError: the blob cannot be read, or is another version by now.
    """
    modified = work.source.open()
    position = attempt.position(services.arrivals.position(modified, work.source.version.sequencer))
    mapping, settings = work.mapping.document, services.settings
    uploaded: Sequence[UploadedPart] = ()
    with work_folder() as folder:
        rule = mapping.mapping_properties.error_management
        with RejectFile(folder / "rejects.csv", rule, settings.max_rejects_per_run) as rejects:
            try:
                staged = stage_rows(
                    work.source,
                    mapping,
                    work.entity_type.document,
                    work.changes,
                    rejects,
                    folder,
                    run_id=attempt.run.run_id,
                    order=position.order,
                    now=services.clock.now(),
                    settings=settings,
                )
                uploaded = staged.uploaded
                outcome = Outcome.of_rows(staged.rows, rejects.count, work.source.bytes_read, staged.details)
            except DataError as error:
                outcome = Outcome.of_error(error, rejects.count, work.source.bytes_read)
        if rejects.count:
            # A path of its own: the record names the rejects of the attempt whose rows were committed.
            path = rejects_path(attempt.hub, attempt.run.run_id, uuid.uuid4().hex[:12])
            services.run_files.upload_file(path, rejects.path)
            outcome = replace(outcome, rejects=path)
            failpoint(FailPoint.REJECTS_STORED)
    return Staged(replace(outcome, asked=mapping.completion), position, modified, uploaded)


def commit(services: Services, attempt: Attempt, work: Work, staged: Staged) -> Outcome:
    """Commits staged rows, unless a concurrent attempt has; how the run ends.

    Raises:
        SkippedError: mapping or type are gone. SupersededError: a newer version was ingested.
        ClaimLostError: another worker has the run.
        CommitConflictError: another version was numbered meanwhile that stands behind this one; stage again.
    """
    outcome = staged.outcome
    if outcome.error is not None:
        return outcome
    try:
        number = attempt.note_staged(outcome, staged.position, work.entity_type.document)
    except CommitConflictError:
        work.source.check_current()  # most likely it was overwritten
        raise
    failpoint(FailPoint.COUNTS_NOTED)
    if outcome.ingested or attempt.has_rivals:
        # Looked at once more, now that the version has its number: who finds a newer one there comes later in the
        # numbers, and an overwritten version must not come in after the one that overwrote it.
        work.source.check_current()
        check_definitions(services, attempt, work)
        attempt.check()
        failpoint(FailPoint.CLAIM_CHECKED)
        once_id = run_ledger_key(attempt.run.run_id)
        if not work.changes.commit(staged.uploaded, attempt.ledger_key, number, attempt.number, once_id):
            # A concurrent attempt has committed; the counts of the run are those of its rows.
            outcome = attempt.staged(work.changes.committed_by(once_id) or attempt.number)
        else:
            record_lag((services.clock.machine_now() - staged.modified).total_seconds())
        failpoint(FailPoint.ROWS_COMMITTED)
    return outcome


def _complete(services: Services, attempt: Attempt, work: Work) -> Uncompleted | None:
    """Moves or deletes the file if its mapping asks for that and nobody else needs it; why it was not done, or None."""
    failure = wait_for_others(services, work.mapping, attempt.stored.version, attempt.beside)
    failure = failure or work.source.complete(work.mapping.document)
    failpoint(FailPoint.BLOB_COMPLETED)
    return failure


def _may_be_fixed(error: HubError) -> bool:
    """Whether the owner of a source or an administrator can make the same attempt succeed."""
    return isinstance(error, RefusedError | RequestError) and not isinstance(error, ArchivedError)
