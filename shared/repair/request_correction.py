"""Taking a corrected CSV for a run: it is checked as far as a caller can wait, kept, and handed to the queue."""

import logging

from shared.app import Services
from shared.arrivals.match import queue_run
from shared.domain.documents.correction import Correction, digest_of
from shared.domain.documents.run import RunKind, RunState
from shared.domain.errors import ConflictError, NotFoundError, PreconditionError
from shared.domain.own_names import correction_path
from shared.failpoints import FailPoint, failpoint
from shared.hub_records import delete_files_of_gone_run
from shared.ingest.run_target import mapping_to_read_with, type_of
from shared.ledger.stored_run import StoredRun

logger = logging.getLogger(__name__)

READ_AT_ONCE = 64 * 1024**2
"""Bytes of rejects that a caller can wait for, about a second; among more the queue finds the rows' own."""


def request_correction(services: Services, hub: str, run_id: str, content: bytes, encoding: str | None) -> StoredRun:
    """Takes a corrected CSV for a run, once; the same bytes again change nothing.

    Args:
        services: of the process.
        hub: name of the hub.
        run_id: of the run.
        content: the corrected CSV.
        encoding: that the request declared, if any.

    Returns:
        The run: Queued where the correction waits, ended where it was carried out before.

    Raises:
        NotFoundError: no such run. ConflictError: the run has nothing to correct, or is in progress.
        InvalidRequestError: the rows cannot be read, or fit to no reject; nothing was taken. Of a run whose rejects
            have more than `READ_AT_ONCE` bytes the latter is found by the queue, and stands in the run's `repairs`.
    """
    digest = digest_of(content)
    while True:
        stored = services.runs.get(hub, run_id)
        if stored is None:
            raise NotFoundError("RunNotFound", f"the hub {hub!r} has no such run; /runs lists them", "runId")
        if services.runs.has_taken(stored, digest):
            return _taken_before(services, stored, digest)
        _check_correctable(stored)
        rows = _count_rows(services, stored, content, encoding)
        services.run_files.upload_bytes(correction_path(hub, run_id, digest), content, content_type="text/csv")
        failpoint(FailPoint.CORRECTION_STORED)
        now = services.clock.now()
        queued = stored.with_run(state=RunState.QUEUED, finished_at=None)
        correction = Correction(digest=digest, encoding=encoding, rows=rows, requested_at=now)
        try:
            taken = services.runs.accept_correction(queued, correction)
        except (ConflictError, PreconditionError):
            delete_files_of_gone_run(services, hub, run_id)
            continue  # somebody else has changed the run: look again
        failpoint(FailPoint.CORRECTION_CLAIMED)
        queue_run(services, taken)
        logger.info("run %s was given a correction of %s rows", run_id, rows)
        return taken


def bytes_to_read(services: Services, stored: StoredRun, content: bytes) -> int:
    """Bytes that taking a correction reads: of its rows or of the rejects, whichever are more."""
    from shared.repair.open_rejects import size_of_rejects

    rejects = size_of_rejects(services, stored)
    return max(len(content), rejects if rejects <= READ_AT_ONCE else 0)


def _taken_before(services: Services, stored: StoredRun, digest: str) -> StoredRun:
    correction = stored.correction
    if stored.run.state is RunState.QUEUED and correction is not None and correction.digest == digest:
        queue_run(services, stored)  # whoever took it may have died before it was sent
    return stored


def _count_rows(services: Services, stored: StoredRun, content: bytes, encoding: str | None) -> int:
    """Reads the rows as the queue will, and sees whether each has its reject, unless it takes too long to tell."""
    from shared.repair.corrected_rows import read_corrected, replaced_lines
    from shared.repair.open_rejects import open_lines

    mapping = mapping_to_read_with(services, stored)
    entity_type = type_of(services, stored).document
    corrected = read_corrected(content, stored.run, mapping.document, entity_type, encoding, services.settings)
    lines = open_lines(services, stored, READ_AT_ONCE)
    if lines is not None:
        replaced_lines(corrected, lines)
    return corrected.rows


def _check_correctable(stored: StoredRun) -> None:
    """Raises ConflictError where the run has no rejects that corrected rows could replace."""
    run = stored.run
    if run.kind is not RunKind.INGEST:
        raise ConflictError("NotAnIngestRun", f"runs of kind {run.kind} have no rejects to correct")
    if not run.state.is_final:
        raise ConflictError("RunInProgress", "the run is in progress; wait for its end, then correct what it rejected")
    if run.state is RunState.SUCCEEDED:
        raise ConflictError("NothingToCorrect", "no reject of the run is open")
    if run.state is not RunState.PARTIALLY_SUCCEEDED:
        message = (
            f"the run ended {run.state}, and no row of the blob was ingested; correct the file and upload it again"
        )
        raise ConflictError("NothingIngested", message)
