"""The story of a blob version, top to bottom: take, fence, look, stage, commit, complete, end.

Order of what is written: the data, then the run's record, then what follows from it. A crash between any two
is safe: the same message comes again, and the fence of the commit (`lake/changes/append.py`) lets each version in once.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.app import Services
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.mappings import CompletionOperationType, Mapping
from shared.domain.documents.run import RunState, run_ledger_key
from shared.domain.errors import (
    ClaimLostError,
    CommitConflictError,
    DataError,
    DeferredError,
    GoneError,
    HubError,
    NotFoundError,
    RefusedError,
    RequestError,
    SkippedError,
)
from shared.domain.places import rejects_path
from shared.failpoints import FailPoint, failpoint
from shared.ingest.attempt import Attempt, end, last_reason
from shared.ingest.beside import ask_those_who_wait, readers_beside, wait_for_others
from shared.ingest.complete import complete
from shared.ingest.outcome import OUR_FAULTS, Outcome, notes_of
from shared.ingest.reject_file import RejectFile
from shared.ingest.run_target import find_mapping, not_completed
from shared.ingest.source import Source, open_source
from shared.ingest.stage import stage_rows
from shared.ledger.stored_run import StoredRun
from shared.work_folder import work_folder

if TYPE_CHECKING:
    from shared.lake.changes.append import Changes

logger = logging.getLogger(__name__)

MAPPING_PAUSED = "MappingPaused"


def ingest_blob(services: Services, attempt: Attempt) -> None:
    """Ingests one blob version for one mapping, exactly once however often it is called.

    Raises:
        TransientError, FatalError, or anything unexpected: the message is to be delivered again.
        ClaimLostError: another worker has taken the run over, or its hub is gone.
        DeferredError: the mapping is paused or the source is busy; the run is Queued as before.
    """

    def refuse(error: HubError) -> None:
        retryable = _may_be_mended(error)
        attempt.end(Outcome.of_error(error), retryable=retryable)
        if not retryable:
            ask_those_who_wait(services, attempt.stored, attempt.beside)

    outcome = attempt.carry_out(lambda: _ingest(services, attempt), refuse)
    if outcome is not None:
        attempt.end(outcome)
        failpoint(FailPoint.RUN_ENDED)
        ask_those_who_wait(services, attempt.stored, attempt.beside, waits=outcome.waits)


def give_up_run(services: Services, stored: StoredRun) -> None:
    """Ends a run whose message was tried in vain, with the reason of the last attempt.

    Rows that are in are in: where only what comes after the commit failed, the run ends as they say.

    Raises:
        ClaimLostError: the run goes on elsewhere at this very moment.
        TransientError: whether the rows are in cannot be seen.
    """
    reason = last_reason(stored.run)
    attempt = _close(services, stored)
    if attempt is None:
        end(services, stored, Outcome.of_reason(reason), 0, retryable=reason.code not in OUR_FAULTS)
        return
    failure = not_completed(services, stored, reason.message)
    end(services, stored, Outcome.of_staged(stored.run, attempt).but(failure), 0)
    with services.definitions.one_look():
        mapping = find_mapping(services, stored)
        beside = readers_beside(services, mapping, stored.version) if mapping else ()
    ask_those_who_wait(services, stored, beside)


def _close(services: Services, stored: StoredRun) -> int | None:
    """The attempt that brought the run's rows in; if there is none, no attempt until now will bring them any more."""
    run = stored.run
    try:
        kind, name = EntityKind(run.entity_type or ""), run.entity_type_name or ""
        entity_type = services.definitions.entity_type(stored.hub, kind, name).document
    except NotFoundError:
        return None
    number, key = stored.number, stored.ledger_key
    if number is None or key is None:
        return None
    changes = services.changes(entity_type)
    return _brought_by(stored, lambda once_id: changes.close(key, number, stored.takes, once_id))


def _brought_by(stored: StoredRun, ask: Callable[[str], int | None]) -> int | None:
    """The attempt that brought in what it had noted before its commit; None where there is none.

    Args:
        ask: looks an attempt up in the table by the id of the run's transaction.
    """
    notes = notes_of(stored.run)
    if stored.number is None or not notes:
        return None
    if not any(note["ingested"] for note in notes.values()):
        return max(map(int, notes))  # there was nothing to commit
    return ask(run_ledger_key(stored.run.run_id))


def _ingest(services: Services, attempt: Attempt) -> Outcome:
    try:
        outcome = _bring_in(services, attempt)
    except (RequestError, DataError, RefusedError):
        earlier = _earlier_outcome(services, attempt)
        if earlier is None:
            raise
        return earlier
    return outcome if outcome.error is None else _earlier_outcome(services, attempt) or outcome


def _earlier_outcome(services: Services, attempt: Attempt) -> Outcome | None:
    """What an attempt that was taken for dead has brought in; if there is none, there will be none any more."""
    brought_by = _close(services, attempt.stored) if attempt.has_rivals else None
    return None if brought_by is None else attempt.staged(brought_by)


def _bring_in(services: Services, attempt: Attempt) -> Outcome:
    with services.definitions.one_look():
        mapping = find_mapping(services, attempt.stored)
        if mapping is not None and mapping.document.is_paused:
            raise DeferredError(MAPPING_PAUSED, "the mapping is paused; the run goes on when it is resumed")
        if mapping is not None:
            attempt.beside = readers_beside(services, mapping, attempt.stored.version)
        else:
            _check_hub(services, attempt.stored)
        entity_type = _entity_type(services, attempt, mapping)
        changes = services.changes(entity_type.document)
        brought_by = _brought_by(attempt.stored, changes.committed_by)
        if brought_by is not None:
            # A crash came between the commit and the run's record. What has happened since does not change that.
            outcome = attempt.staged(brought_by)
            if outcome.state is not RunState.SUCCEEDED:
                return outcome
            return outcome.but(complete(services, attempt.stored))
        if mapping is None:
            raise SkippedError("MappingGone", "the mapping was deleted; nothing of the blob was ingested")
        source = open_source(services, mapping, attempt.stored.version)
    with source:
        try:
            with services.definitions.while_there(attempt.hub, entity_type):
                outcome = _stage_and_commit(services, attempt, mapping, entity_type, changes, source)
        except GoneError as error:
            raise SkippedError("TypeGone", f"{error.message}; nothing of the blob was ingested") from error
        # A file with rejects stays where it is: whoever corrects it needs it.
        if outcome.state is not RunState.SUCCEEDED:
            return outcome
        asked = mapping.document.completion
        is_as_read = asked is CompletionOperationType.DO_NOTHING or _is_as_read(services, attempt, mapping, entity_type)
        if is_as_read:
            failure = wait_for_others(services, mapping, attempt.stored.version, attempt.beside)
            failure = failure or source.complete(mapping.document)
    if not is_as_read:
        failure = complete(services, replace(attempt.stored, owes=asked.value))
    failpoint(FailPoint.BLOB_COMPLETED)
    return outcome.but(failure)


def _is_as_read(
    services: Services, attempt: Attempt, mapping: Stored[Mapping], entity_type: Stored[EntityType]
) -> bool:
    """Whether mapping and type are those that the file was read by; others may have been PUT beside it meanwhile."""
    with services.definitions.one_look():
        attempt.beside = readers_beside(services, mapping, attempt.stored.version)
        present = find_mapping(services, attempt.stored)
        if present is None or present.etag != mapping.etag:
            return False
        try:
            return _entity_type(services, attempt, present).instance_id == entity_type.instance_id
        except SkippedError:
            return False


def _stage_and_commit(
    services: Services,
    attempt: Attempt,
    mapping: Stored[Mapping],
    entity_type: Stored[EntityType],
    changes: "Changes",
    source: Source,
) -> Outcome:
    modified = source.open()
    place = attempt.place(services.arrivals.place(modified, source.version.sequencer))
    with work_folder() as folder:
        rule, most = mapping.document.mapping_properties.error_management, services.settings.max_rejects_per_run
        with RejectFile(folder / "rejects.csv", rule, most) as rejects:
            try:
                staged = stage_rows(
                    source,
                    mapping.document,
                    entity_type.document,
                    changes,
                    rejects,
                    folder,
                    run_id=attempt.run.run_id,
                    order=place.order,
                    now=services.clock.now(),
                    settings=services.settings,
                )
                outcome = Outcome.of_rows(staged.rows, rejects.count, source.bytes_read, staged.details)
            except DataError as error:
                outcome = Outcome.of_error(error, rejects.count, source.bytes_read)
        if rejects.count:
            # A path of its own: the record names the rejects of the attempt whose rows came in.
            path = rejects_path(attempt.hub, attempt.run.run_id, uuid.uuid4().hex[:12])
            services.run_files.upload_file(path, rejects.path)
            outcome = replace(outcome, rejects=path)
            failpoint(FailPoint.REJECTS_STORED)
    if outcome.error is not None:
        return outcome
    try:
        number = attempt.note_staged(outcome, place, entity_type.document)
    except CommitConflictError:
        source.check_current()  # most likely it was overwritten
        raise
    failpoint(FailPoint.COUNTS_NOTED)
    if staged.rows or attempt.has_rivals:
        # Looked at once more, now that the version has its number: who finds a newer one there comes later in the
        # numbers, and an overwritten version must not come in after the one that overwrote it.
        source.check_current()
        _check_definitions(services, attempt, entity_type)
        attempt.check_claim()
        failpoint(FailPoint.CLAIM_CHECKED)
        once_id = run_ledger_key(attempt.run.run_id)
        if not changes.commit(staged.uploaded, attempt.ledger_key, number, attempt.take, once_id):
            # One that was taken for dead has committed; the counts of the run are those of its rows.
            outcome = attempt.staged(changes.committed_by(once_id) or attempt.take)
        failpoint(FailPoint.ROWS_COMMITTED)
    return outcome


def _check_hub(services: Services, stored: StoredRun) -> None:
    """Takes a run back that was recorded behind the deletion of its hub: another hub of the name must not keep it.

    Raises:
        ClaimLostError: there is no such run any more.
    """
    try:
        hub_instance = services.definitions.hub(stored.hub).instance_id
    except NotFoundError:
        hub_instance = None
    if stored.hub_instance not in {None, hub_instance}:
        services.runs.take_back(stored)
        raise ClaimLostError("HubGone", f"the hub of the run {stored.run.run_id} is gone, and the run with it")


def _check_definitions(services: Services, attempt: Attempt, entity_type: Stored[EntityType]) -> None:
    """Raises SkippedError where mapping or type were deleted while the blob was read, or made anew."""
    with services.definitions.one_look():
        mapping = find_mapping(services, attempt.stored)
        if mapping is None:
            raise SkippedError("MappingGone", "the mapping was deleted while the blob was read; nothing was ingested")
        attempt.beside = readers_beside(services, mapping, attempt.stored.version)
        if _entity_type(services, attempt, mapping).instance_id != entity_type.instance_id:
            raise SkippedError("TypeGone", "the type was made anew while the blob was read; nothing was ingested")


def _entity_type(services: Services, attempt: Attempt, mapping: Stored[Mapping] | None) -> Stored[EntityType]:
    run = attempt.run
    kind, name = EntityKind(run.entity_type or ""), run.entity_type_name or ""
    if mapping is not None and not notes_of(run):
        kind, name = mapping.document.entity_type, mapping.document.entity_type_name
    try:
        return services.definitions.entity_type(attempt.hub, kind, name)
    except NotFoundError as error:
        raise SkippedError("TypeGone", f"{error.message}; nothing of the blob was ingested") from error


def _may_be_mended(error: HubError) -> bool:
    """Whether the owner of a source or an administrator can make the same attempt succeed."""
    return isinstance(error, RefusedError | RequestError) and error.code != "BlobArchived"
