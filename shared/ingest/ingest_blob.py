"""The story of a blob version, top to bottom: take, fence, look, stage, commit, complete, end.

Order of what is written: the data, then the run's record, then what follows from it. A crash between any two
is safe: the same message comes again, and the fence of the commit (`lake/changes.py`) lets each version in once.
"""

import logging
from typing import TYPE_CHECKING

from shared.app import Services
from shared.definitions.store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.entity_types import EntityKind, EntityType
from shared.domain.errors import (
    ClaimLostError,
    DataError,
    FatalError,
    HubError,
    NotFoundError,
    Recovery,
    RefusedError,
    RequestError,
    SkippedError,
    recovery,
)
from shared.domain.mappings import Mapping
from shared.domain.places import rejects_path
from shared.domain.run import RunError, RunState
from shared.ingest.attempt import Attempt, take
from shared.ingest.correct_run import correct_run
from shared.ingest.outcome import Outcome
from shared.ingest.reject_file import RejectFile
from shared.ingest.source import Source, open_source
from shared.ingest.stage import stage_rows
from shared.ingest.work_folder import work_folder

if TYPE_CHECKING:
    from shared.lake.changes import Changes

logger = logging.getLogger(__name__)


def ingest_blob(services: Services, hub: str, run_id: str, worker: str) -> None:
    """Ingests one blob version for one mapping, or a correction of its rows, exactly once however often it is called.

    Args:
        services: of the process.
        hub: name of the hub.
        run_id: the recorded run.
        worker: id of the queue message; it tells a second delivery from a second message.

    Raises:
        TransientError, FatalError, or anything unexpected: the message is to be delivered again.
    """
    attempt = take(services, hub, run_id, worker)
    if attempt is None:
        return
    try:
        if attempt.stored.correction is None:
            _carry_out(services, attempt)
        else:
            correct_run(services, attempt)
    except ClaimLostError:
        logger.info("run %s is in the hands of another worker", run_id)


def _carry_out(services: Services, attempt: Attempt) -> None:
    try:
        outcome = _ingest(services, attempt)
    except ClaimLostError:
        raise
    except HubError as error:
        if recovery(error) is Recovery.RETRY:
            attempt.release(RunError(code=error.code, message=error.message))
            raise
        attempt.end(Outcome.of_error(error), retryable=_may_be_mended(error))
    except Exception as error:
        message = f"an unexpected {type(error).__name__} ended the attempt; the log has it under this run's id"
        logger.exception("run %s failed unexpectedly", attempt.run.run_id)
        attempt.release(RunError(code="InternalError", message=message))
        raise
    else:
        attempt.end(outcome)


def _ingest(services: Services, attempt: Attempt) -> Outcome:
    mapping = _mapping(services, attempt)
    entity_type = _entity_type(services, attempt, mapping)
    changes = services.lake.changes(attempt.hub, entity_type)
    number = attempt.number()
    if changes.committed_number(attempt.ledger_key) == number:
        # A crash came between the commit and the run's record. What has happened since does not change that.
        outcome = attempt.staged()
        if mapping is None or outcome.state is not RunState.SUCCEEDED:
            return outcome
        return outcome.with_note("completeOperation", _complete(services, mapping, attempt))
    if mapping is None:
        raise SkippedError("MappingGone", "the mapping was deleted; nothing of the blob was ingested")
    source = open_source(services, mapping, _version(attempt))
    outcome = _stage_and_commit(services, attempt, mapping.document, entity_type, changes, source, number)
    # A file with rejects stays where it is: whoever corrects it needs it.
    if outcome.state is not RunState.SUCCEEDED:
        return outcome
    return outcome.with_note("completeOperation", source.complete(mapping.document))


def _complete(services: Services, mapping: Stored[Mapping], attempt: Attempt) -> str | None:
    try:
        return open_source(services, mapping, _version(attempt)).complete(mapping.document)
    except HubError as error:
        if recovery(error) is Recovery.RETRY:
            raise
        return error.message


def _stage_and_commit(
    services: Services,
    attempt: Attempt,
    mapping: Mapping,
    entity_type: EntityType,
    changes: "Changes",
    source: Source,
    number: int,
) -> Outcome:
    source.check_current()
    with work_folder() as folder:
        with RejectFile(folder / "rejects.csv", mapping.mapping_properties.error_management) as rejects:
            try:
                staged = stage_rows(
                    source,
                    mapping,
                    entity_type,
                    changes,
                    rejects,
                    folder,
                    run_id=attempt.run.run_id,
                    now=services.clock.now(),
                    settings=services.settings,
                )
                outcome = Outcome.of_rows(staged.rows, rejects.count, source.bytes_read, staged.details)
            except DataError as error:
                outcome = Outcome.of_error(error, rejects.count, source.bytes_read)
        if rejects.count:
            services.run_files.upload_file(rejects_path(attempt.hub, attempt.run.run_id), rejects.path)
    if outcome.error is None and staged.rows:
        attempt.note_staged(outcome)
        # An overwritten version must not come in after the one that overwrote it.
        source.check_current()
        changes.commit(staged.uploaded, attempt.ledger_key, number)
    return outcome


def _mapping(services: Services, attempt: Attempt) -> Stored[Mapping] | None:
    """The mapping as it is now; None where it was deleted, also if another was made of the same name."""
    run = attempt.run
    try:
        mapping = services.definitions.mapping(attempt.hub, run.connector or "", run.mapping or "")
    except NotFoundError:
        return None
    return mapping if mapping.instance_id == attempt.mapping_instance else None


def _entity_type(services: Services, attempt: Attempt, mapping: Stored[Mapping] | None) -> EntityType:
    run = attempt.run
    kind, name = EntityKind(run.entity_type or ""), run.entity_type_name or ""
    if mapping is not None:
        kind, name = mapping.document.entity_type, mapping.document.entity_type_name
    try:
        return services.definitions.entity_type(attempt.hub, kind, name).document
    except NotFoundError as error:
        raise SkippedError("TypeGone", f"{error.message}; nothing of the blob was ingested") from error


def _version(attempt: Attempt) -> BlobVersion:
    blob = attempt.run.blob
    if blob is None:
        raise FatalError("RunWithoutBlob", f"the run {attempt.run.run_id} has no blob to ingest")
    return BlobVersion(blob.container, blob.path, blob.etag, blob.size, blob.sequencer)


def _may_be_mended(error: HubError) -> bool:
    """Whether the owner of a source or an administrator can make the same attempt succeed."""
    return isinstance(error, RefusedError | RequestError) and error.code != "BlobArchived"
