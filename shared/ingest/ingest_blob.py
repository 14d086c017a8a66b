"""The story of a blob version, top to bottom: claim, look, stage, commit, complete, finish.

Order of what is written: the data, then the run's record, then what follows from it. A crash between any two
is safe: the same message comes again, and the fence of the commit (`lake/changes.py`) lets each version in once.
"""

import logging
import tempfile
from pathlib import Path

from shared.app import Services
from shared.definitions.store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.entity_types import EntityType
from shared.domain.errors import (
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
from shared.domain.run import RunError
from shared.ingest.claim import claim, release
from shared.ingest.finish import Outcome, finish, keep_counts, keep_rejects
from shared.ingest.reject_file import RejectFile
from shared.ingest.source import Source, open_source
from shared.ingest.stage import stage_rows
from shared.ledger.runs import StoredRun

logger = logging.getLogger(__name__)


def ingest_blob(services: Services, hub: str, run_id: str, worker: str) -> None:
    """Ingests one blob version for one mapping, exactly once however often it is called.

    Args:
        hub: name of the hub.
        run_id: the recorded run.
        worker: id of the queue message; it tells a second delivery from a second message.

    Raises:
        TransientError, FatalError, or anything unexpected: the message is to be delivered again.
    """
    stored = claim(services, hub, run_id, worker)
    if stored is None:
        return
    began_ms = services.clock.monotonic_ms()
    retryable = False
    try:
        outcome = _ingest(services, stored)
    except HubError as error:
        if recovery(error) is Recovery.RETRY:
            release(services, stored, RunError(code=error.code, message=error.message))
            raise
        # A source that refuses us, or a setting that is wrong, may be mended; the reconciler looks again.
        retryable = isinstance(error, RefusedError | RequestError)
        outcome = Outcome.of_error(error)
    except Exception as error:
        message = f"an unexpected {type(error).__name__} ended the attempt; the log has it under this run's id"
        logger.exception("run %s failed unexpectedly", run_id)
        release(services, stored, RunError(code="InternalError", message=message))
        raise
    finish(services, stored, outcome, services.clock.monotonic_ms() - began_ms, retryable=retryable)


def _ingest(services: Services, stored: StoredRun) -> Outcome:
    mapping, entity_type = _definitions(services, stored)
    source = open_source(services, mapping, _version(stored))
    stored = services.runs.number_version(stored)
    app_id, number = stored.ledger_key or "", stored.number or 0
    changes = services.lake.changes(stored.hub, entity_type)
    if changes.committed_number(app_id) == number:
        # A crash came between the commit and the run's record: the counts were kept before the commit.
        return _completed(Outcome.of_record(stored.run), source, mapping.document)

    source.check_current()
    rule = mapping.document.mapping_properties.error_management
    with tempfile.TemporaryDirectory(prefix="ingest-") as folder:
        rejects = RejectFile(Path(folder, "rejects.csv"), rule)
        try:
            staged = stage_rows(
                source,
                mapping.document,
                entity_type,
                changes,
                rejects,
                Path(folder),
                run_id=stored.run.run_id,
                now=services.clock.now(),
                settings=services.settings,
            )
        except DataError as error:
            keep_rejects(services, stored, rejects)
            return Outcome.of_error(error, rejects.count, source.bytes_read)
        keep_rejects(services, stored, rejects)
        outcome = Outcome.of_rows(staged.rows, rejects.count, source.bytes_read, staged.details)
        keep_counts(services, stored, outcome)
        if staged.rows:
            # An overwritten version must not come in after the one that overwrote it.
            source.check_current()
            changes.commit(staged.uploaded, app_id, number)
    return _completed(outcome, source, mapping.document)


def _completed(outcome: Outcome, source: Source, mapping: Mapping) -> Outcome:
    return outcome.with_note("completeOperation", source.complete(mapping))


def _definitions(services: Services, stored: StoredRun) -> tuple[Stored[Mapping], EntityType]:
    """The mapping and type as they are now; the attempt works with these to its end."""
    run = stored.run
    try:
        mapping = services.definitions.mapping(stored.hub, run.connector or "", run.mapping or "")
        kind, name = mapping.document.entity_type, mapping.document.entity_type_name
        entity_type = services.definitions.entity_type(stored.hub, kind, name).document
    except NotFoundError as error:
        raise SkippedError("MappingGone", f"{error.message}; the blob was not ingested") from error
    if mapping.instance_id != stored.mapping_instance:
        raise SkippedError("MappingGone", "the mapping was deleted and made anew; the new one has its own run")
    return mapping, entity_type


def _version(stored: StoredRun) -> BlobVersion:
    blob = stored.run.blob
    if blob is None:
        raise FatalError("RunWithoutBlob", f"the run {stored.run.run_id} of kind {stored.run.kind} names no blob")
    return BlobVersion(blob.container, blob.path, blob.etag, blob.size, blob.sequencer)
