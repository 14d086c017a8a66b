"""The story of a correction: corrected rows join the run that refused them.

As with a blob: the rows are staged, what they will bring is noted, one commit lets them in, and the record says so. The
commit carries the correction's own application transaction, so a message that comes again finds it done. The record
names the file of the rejects that are left, so counts and rejects change at one stroke.
"""

import logging
import uuid
from typing import TYPE_CHECKING, Any

from shared.app import Services
from shared.arrivals.match import request_completion
from shared.clock import iso
from shared.domain.documents.correction import Correction, StagedCorrection, correction_ledger_key
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.run import RunError, RunState
from shared.domain.errors import (
    ConflictError,
    DataError,
    FatalError,
    GoneError,
    RefusedError,
    RequestError,
    TypeGoneError,
)
from shared.domain.own_names import correction_path, rejects_path
from shared.failpoints import FailPoint, failpoint
from shared.ingest.attempt import Attempt
from shared.ingest.complete import complete
from shared.ingest.outcome import COMPLETE_OPERATION, Uncompleted
from shared.ingest.run_target import mapping_to_read_with, not_completed, type_of
from shared.ingest.source import open_source
from shared.ledger.claim import Claim, last_reason
from shared.ledger.stored_run import Ending, StoredRun
from shared.work_folder import work_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.casts.type_rows import RowTyper
    from shared.csv.rows import Rows
    from shared.domain.reject import Reject
    from shared.lake.changes.append import Changes
    from shared.lake.files.parts import PartWriter
    from shared.lake.log.part import UploadedPart

logger = logging.getLogger(__name__)

REPAIRS = "repairs"
_ONCE = 1  # number of the application transaction
_KEPT_REPAIRS = 50


def correct_run(services: Services, attempt: Attempt) -> None:
    """Carries out the correction that the run waits with, exactly once however often it is called.

    Raises:
        TransientError, FatalError, or anything unexpected: the message is to be delivered again.
        ClaimLostError: another worker has taken the run over.
        DeferredError: the source is busy; the run is Queued as before.
    """
    corrected = attempt.carry_out(
        lambda: _correct(services, attempt),
        lambda error: _end_without_rows(services, attempt, RunError.of(error)),
    )
    if corrected is not None:
        _, failure = corrected
        _end(services, attempt, *corrected, attempt.elapsed_ms())
        failpoint(FailPoint.CORRECTION_ENDED)
        if failure is not None and failure.waits:
            # The last of the others may have ended just before that was recorded.
            request_completion(services, attempt.hub, attempt.run.connector or "", attempt.run.run_id)


def give_up_correction(services: Services, stored: StoredRun) -> None:
    """Ends a correction whose message has exhausted its attempts; where its rows are in, it says so.

    Raises:
        ClaimLostError: the run goes on elsewhere at this very moment.
        TransientError: whether the rows are in cannot be seen.
    """
    claim, reason = Claim(services.runs, services.clock, stored), last_reason(stored.run)
    try:
        done = _close(services, stored)
    except ConflictError:
        done = None  # the type is gone, and the rows with it
    if done is None:
        _end_without_rows(services, claim, reason)
    else:
        failure = None if done.still_open else not_completed(services, stored, reason.message)
        _end(services, claim, done, failure, 0)


def _end_without_rows(services: Services, claim: Claim, reason: RunError) -> None:
    """Records that nothing of a correction was ingested; the same rows may be given again."""
    repair = {**_facts(services, claim.stored), "ingested": 0, "error": reason.to_json()}
    ending = Ending(RunState.PARTIALLY_SUCCEEDED, details=_with_repair(claim.stored, repair))
    claim.end(ending, services.runs.drop_correction)


def _end(
    services: Services, claim: Claim, done: StagedCorrection, failure: Uncompleted | None, duration_ms: int
) -> None:
    repair = {**_facts(services, claim.stored), "ingested": done.ingested, "rejected": done.refused}
    details = _with_repair(claim.stored, repair)
    if failure is not None:
        details[COMPLETE_OPERATION] = failure.message
    claim.end(
        Ending(
            RunState.PARTIALLY_SUCCEEDED if done.still_open else RunState.SUCCEEDED,
            ingested=claim.run.rows_ingested + done.ingested,
            rejected=done.still_open,
            duration_ms=duration_ms,
            details=details,
        ),
        correction=None,
        rejects=done.rejects,
        owes=failure.owes if failure else None,
    )


def _correct(services: Services, attempt: Attempt) -> tuple[StagedCorrection, Uncompleted | None]:
    """Brings the rows in, and says what they brought and why the complete operation failed, if it did."""
    try:
        return _bring_in(services, attempt)
    except (RequestError, DataError, RefusedError) as error:
        # This ends the correction, unless an attempt that was taken for dead has brought its rows in. None will, then.
        done = _close(services, attempt.stored) if attempt.has_rivals else None
        if done is None:
            raise
        return done, None if done.still_open else not_completed(services, attempt.stored, error.message)


def _bring_in(services: Services, attempt: Attempt) -> tuple[StagedCorrection, Uncompleted | None]:
    filled = type_of(services, attempt.stored)
    try:
        with services.definitions.while_there(attempt.hub, filled):
            done = _bring_into(services, attempt, filled.document)
    except GoneError as error:
        raise TypeGoneError("TypeGone", f"{error.message}; there is nothing to correct any more") from error
    return done, None if done.still_open else complete(services, attempt.stored)


def _bring_into(services: Services, attempt: Attempt, entity_type: EntityType) -> StagedCorrection:
    correction = _correction_of(attempt.stored)
    key = correction_ledger_key(attempt.run.run_id, correction.digest)
    changes = services.changes(entity_type)
    committed_by = changes.committed_by(key) if correction.staged else None
    if committed_by is not None:
        done = correction.staged[committed_by]  # a crash came between the commit and the run's record
    else:
        done, uploaded = _stage(services, attempt, correction, entity_type, changes)
        failpoint(FailPoint.CORRECTION_STAGED)
        attempt.note_correction(done)
        failpoint(FailPoint.CORRECTION_NOTED)
        if uploaded or attempt.has_rivals:
            attempt.check()
            failpoint(FailPoint.CORRECTION_CHECKED)
            if not changes.commit(uploaded, key, _ONCE, attempt.number):
                # One that was taken for dead has committed; the counts are those of its rows.
                done = _correction_of(attempt.stored).staged[changes.committed_by(key) or attempt.number]
        failpoint(FailPoint.CORRECTION_COMMITTED)
    return done


def _close(services: Services, stored: StoredRun) -> StagedCorrection | None:
    """What an attempt has committed; if none has, no earlier attempt will bring anything any more."""
    correction = _correction_of(stored)
    if not correction.staged:
        return None
    changes = services.changes(type_of(services, stored).document)
    attempt = changes.fence(correction_ledger_key(stored.run.run_id, correction.digest), _ONCE, stored.claims)
    return None if attempt is None else correction.staged[attempt]


def _stage(
    services: Services, attempt: Attempt, correction: Correction, entity_type: EntityType, changes: "Changes"
) -> "tuple[StagedCorrection, list[UploadedPart]]":
    from shared.casts.type_rows import RowTyper
    from shared.lake.files.parts import PartWriter
    from shared.lake.schema import changes_schema
    from shared.repair.corrected_rows import read_corrected, replaced_lines
    from shared.repair.open_rejects import fetch_rejects, lines_in, write_what_is_left

    stored, run, settings = attempt.stored, attempt.run, services.settings
    mapping = mapping_to_read_with(services, stored)
    content = services.run_files.read_bytes(correction_path(stored.hub, run.run_id, correction.digest))
    corrected = read_corrected(content, run, mapping.document, entity_type, correction.encoding, settings)
    with work_folder() as folder:
        before = fetch_rejects(services, stored, folder)
        with before.open(encoding="utf-8", newline="") as file:
            lines = replaced_lines(corrected, lines_in(file))
        place = open_source(services, mapping, stored.version).place
        # As the run's other rows: the order of its blob version, and the lines of the file.
        with RowTyper(
            entity_type,
            mapping.document,
            corrected.header,
            place,
            run.run_id,
            stored.order,
            services.clock.now(),
            settings,
        ) as typer:
            writer = PartWriter(changes_schema(entity_type), folder)
            refused = _write(services, stored, entity_type, typer, corrected.relined(lines), writer)
        left = folder / "rejects.csv"
        still_open = write_what_is_left(before, left, set(lines.tolist()), refused)
        path = rejects_path(stored.hub, run.run_id, uuid.uuid4().hex[:12])
        services.run_files.upload_file(path, left)
        uploaded = changes.upload(writer.close(), run.run_id)
    ingested = corrected.rows - len(refused)
    return StagedCorrection(ingested=ingested, refused=len(refused), still_open=still_open, rejects=path), uploaded


def _write(
    services: Services,
    stored: StoredRun,
    entity_type: EntityType,
    typer: "RowTyper",
    rows: "Rows",
    writer: "PartWriter",
) -> "list[Reject]":
    """Types the rows and writes the good ones; gives the others."""
    from shared.lake.changes.equal_rows import number_after
    from shared.lake.schema import KEY

    keys: pa.Array | None = None
    if not entity_type.key_fields:
        # A pass for the keys alone: they are numbered when all are known, and typed rows may be large.
        derived = [key for part in typer.pieces(rows) for key in typer.type(part).table.column(KEY).to_pylist()]
        if derived:
            table = services.changes(entity_type).table
            keys = number_after(services.lake, table, derived, stored.run.run_id, stored.run.rows_ingested)
    refused: list[Reject] = []
    written = 0
    for part in typer.pieces(rows):
        typed = typer.type(part)
        refused += typed.rejects
        good = typed.table
        if keys is not None:
            good = good.set_column(
                good.schema.get_field_index(KEY), good.schema.field(KEY), keys.slice(written, good.num_rows)
            )
        written += good.num_rows
        writer.write(good)
    return refused


def _correction_of(stored: StoredRun) -> Correction:
    if stored.correction is None:
        raise FatalError("RunWithoutCorrection", f"the run {stored.run.run_id} has no correction to carry out")
    return stored.correction


def _facts(services: Services, stored: StoredRun) -> dict[str, Any]:
    correction = _correction_of(stored)
    facts = correction.model_dump(mode="json", by_alias=True, exclude={"encoding", "staged"})
    return {**facts, "finishedAt": iso(services.clock.now())}


def _with_repair(stored: StoredRun, repair: dict[str, Any]) -> dict[str, Any]:
    earlier = stored.run.details.get(REPAIRS)
    kept = [item for item in earlier if isinstance(item, dict)] if isinstance(earlier, list) else []
    return {**stored.run.details, REPAIRS: [*kept, repair][-_KEPT_REPAIRS:]}
