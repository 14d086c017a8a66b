"""Bringing one planned slot to its destination: schema first, then the data, whole and once."""

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from shared.domain.documents.run import RunError, RunState, is_run_id
from shared.domain.errors import ForeignBlobError, LostBlobError, PreconditionError, RefusedError
from shared.domain.slot import data_path
from shared.engine.workspace import Workspace
from shared.failpoints import FailPoint, failpoint
from shared.ledger.claim import Claim
from shared.ledger.slots import Plan, Published
from shared.ledger.stored_run import Ending
from shared.outbound.columns import Column
from shared.outbound.metadata import describe, publish_metadata
from shared.outbound.own_blobs import run_of_blob
from shared.outbound.plan import Export
from shared.outbound.slot_run import succeed_run
from shared.outbound.write_csv import CsvStream, csv_query
from shared.storage.blob.blobs import BlobEntry
from shared.telemetry.metrics import record_freshness

logger = logging.getLogger(__name__)


def publish_slot(export: Export, plan: Plan, claim: Claim | None) -> None:
    """Publishes a planned slot and records it; safe to repeat after a crash at any step.

    What is recorded comes after what it records: the blob, then the run, then the ledger. A repetition finds the
    blob of the first attempt by its run id, and leaves it as it is.

    Args:
        export: that the slot belongs to.
        plan: what it carries.
        claim: on its run; None where that is done, and only the ledger has to move on.

    Raises:
        ClaimLostError: another worker is publishing the slot.
        RefusedError: the destination refuses us, or a blob of somebody else lies in the slot's place, or in that of
            `metadata.json`.
        TransientError: it does not answer.
    """
    failpoint(FailPoint.SLOT_STARTED)
    path = data_path(export.entity.kind.value, export.entity.name, plan.slot)
    found = export.destination.find(path)
    if found is None:
        if _is_expired(export, plan):
            reason = "the destination refused it for as long as exports are kept; the next slot carries everything"
            _pass_on(export, plan, claim, RunError(code="SlotExpired", message=reason), everything=True)
            return
        content = describe(export.entity.definition, _columns(export, plan))
        publish_metadata(export, content, is_known=lambda: _has_published(export, plan))
        failpoint(FailPoint.SCHEMA_PUBLISHED)
        found = _upload(export, plan, path)
        failpoint(FailPoint.SLOT_COMMITTED)
    if found.metadata.get("runid") != plan.run_id:
        _check_taken(export, path, found)
        reason = "an earlier export of this entity has filled the slot already; the rows go out with the next one"
        _pass_on(export, plan, claim, RunError(code="SlotTaken", message=reason))
        return
    published = _facts_of(found)
    if claim is not None:
        succeed_run(export, claim, plan, published)
    record_freshness((export.services.clock.now() - plan.slot).total_seconds(), export.entity.kind.value)
    failpoint(FailPoint.SLOT_RUN_ENDED)
    export.services.slots.record_published(export.series, plan, published)
    failpoint(FailPoint.SLOT_PUBLISHED)


def _has_published(export: Export, plan: Plan) -> bool:
    """Whether slots of this entity went to the destination before, be it from an earlier connector of the name."""
    if not plan.is_first:
        return True
    return any(_is_of_export(export, blob) for blob in export.destination.list(f"{export.folder}/"))


def _is_of_export(export: Export, blob: BlobEntry) -> bool:
    stored = run_of_blob(export.services, export.hub, blob)
    return stored is not None and not export.writer.is_neighbour(stored.run.connector or "")


def _upload(export: Export, plan: Plan, path: str) -> BlobEntry:
    """Writes the blob, unless another worker does so at the same time, and returns what is there then."""
    try:
        _write(export, plan, path)
    except (PreconditionError, RefusedError):
        # The commit of another worker also throws away the blocks that we have staged.
        found = export.destination.find(path)
        if found is None:
            raise
        logger.info("the slot of run %s was published by another worker", plan.run_id)
        return found
    found = export.destination.find(path)
    if found is None:
        raise LostBlobError("DestinationBlobGone", f"{path} was deleted as soon as it was written; it is written again")
    return found


def _write(export: Export, plan: Plan, path: str) -> None:
    facts = {
        "runid": plan.run_id,
        "fromversion": str(plan.from_version),
        "toversion": str(plan.to_version),
    }
    with export.entity.rows(export.services.lake, plan) as slot:
        columns = _columns(export, plan)
        queries = [csv_query(columns, slot.within(bounds)) for bounds in slot.ranges]
        stream = CsvStream(Workspace(slot.connection, slot.folder), *queries)

        def pieces(made: Iterator[bytes]) -> Iterator[bytes]:
            yield from made
            # The blob's metadata is committed after its last byte, so these are known in time.
            facts.update(rows=str(stream.rows), sha256=stream.sha256)

        with closing(stream.pieces()) as made:
            export.destination.upload_blocks(path, pieces(made), facts, "text/csv; charset=utf-8")


def _columns(export: Export, plan: Plan) -> list[Column]:
    """The planned columns, without fields that the type has lost since."""
    known = {column.name.casefold() for column in export.entity.columns([])}
    return export.entity.columns([name for name in plan.columns if name.casefold() in known])


def _facts_of(blob: BlobEntry) -> Published:
    try:
        return Published(rows=int(blob.metadata["rows"]), size=blob.size, sha256=blob.metadata["sha256"])
    except (KeyError, ValueError):
        message = f"the metadata of {blob.path} was changed by somebody else; delete the blob, and it is written again"
        raise LostBlobError("DestinationBlobChanged", message) from None


def _check_taken(export: Export, path: str, blob: BlobEntry) -> None:
    """Raises RefusedError unless the blob is of an export that is over.

    Such a one is left by a connector that was deleted and made anew, or by an entity that was taken off the list
    and listed again, within one quarter of an hour.
    """
    other = run_of_blob(export.services, export.hub, blob)
    if other is None:
        message = f"{path} is there already and was not written by this app; delete it or move it away"
        if is_run_id(blob.metadata.get("runid", "")):
            message = (
                f"{path} is there already, by an export of another hub or installation, or as a copy of one; give each "
                "hub a container of its own, or move the copy away"
            )
        raise ForeignBlobError("DestinationBlobExists", message)
    name = other.run.connector or ""
    if export.writer.is_neighbour(name):
        message = f"{path} was written by the connector {name!r}; give each connector a container of its own"
        raise ForeignBlobError("DestinationBlobExists", message)


def _is_expired(export: Export, plan: Plan) -> bool:
    kept = timedelta(days=export.services.settings.export_retention_days)
    return plan.slot < export.services.clock.now() - kept


def _pass_on(export: Export, plan: Plan, claim: Claim | None, reason: RunError, *, everything: bool = False) -> None:
    if claim is not None:
        claim.end(Ending(RunState.SKIPPED, reason))
    export.services.slots.pass_on(export.series, plan, everything=everything)
