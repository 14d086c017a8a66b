"""Deleting exports that are older than the retention, and nothing else."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.app import Services
from shared.clock import iso
from shared.definitions.store import Stored
from shared.domain.connectors import Connector
from shared.domain.errors import HubError, PreconditionError, RefusedError
from shared.domain.run import Run, RunError, RunKind, RunState, cleanup_run_id
from shared.domain.slot import slot_of_path
from shared.failpoints import FailPoint, failpoint
from shared.ledger.stored_run import StoredRun
from shared.outbound.entity import listed_entities
from shared.storage.blobs import BlobEntry
from shared.storage.destination import DestinationContainer
from shared.telemetry import failing_alone, log_finished

logger = logging.getLogger(__name__)

_FOLDERS = ("Profile/", "KPI/")
# Codes of Blob Storage for one blob that its owner protects; the others are deleted all the same.
_KEPT_BY_THEIR_OWNER = frozenset({"BlobImmutableDueToPolicy", "LeaseIdMissing", "SnapshotsPresent"})


def delete_expired(services: Services) -> None:
    """Deletes the expired exports of every Outbound connector; one that fails does not hold up the others.

    A blob that its owner has leased or made immutable stays, and is tried again the next day. Each connector has one
    Cleanup run a day. A destination that refuses us is left alone until the next day, unless its connector was changed
    meanwhile.
    """
    now = services.clock.now()
    before = now - timedelta(days=services.settings.export_retention_days)
    for hub in services.definitions.hub_names():
        with failing_alone("clean-up", hub=hub):
            for connector in services.definitions.connectors(hub):
                if listed_entities(connector):
                    _clean(services, hub, connector, now, before)
            for series in services.slots.series_of(hub):
                services.slots.forget_published(series, before)


def _clean(services: Services, hub: str, connector: Stored[Connector], now: datetime, before: datetime) -> None:
    run = _start(services, hub, connector, now)
    if run is None:
        return
    began_ms = services.clock.monotonic_ms()
    deleted, kept = int(run.run.details.get("deleted", 0)), 0
    state, error = RunState.SUCCEEDED, None
    try:
        destination = DestinationContainer(services.definitions.outbound_sas(connector), services.settings)
        for blob in _expired(services, hub, destination, before):
            try:
                deleted += destination.delete(blob.path)
                failpoint(FailPoint.EXPORT_DELETED)
            except RefusedError as refusal:
                if refusal.code not in _KEPT_BY_THEIR_OWNER:
                    raise
                kept += 1
                state, error = RunState.PARTIALLY_SUCCEEDED, RunError(code=refusal.code, message=refusal.message)
    except HubError as failure:
        state, error = RunState.FAILED, RunError(code=failure.code, message=failure.message)
    ended = run.with_run(
        state=state,
        error=error,
        finished_at=services.clock.now(),
        duration_ms=services.clock.monotonic_ms() - began_ms,
        details={"deleted": deleted, "kept": kept, "before": iso(before)},
    )
    try:
        log_finished(hub, services.runs.save(ended).run)
    except PreconditionError:
        logger.info("the clean-up of connector %s was done by another worker", connector.document.connector_name)


def _expired(services: Services, hub: str, destination: DestinationContainer, before: datetime) -> Iterator[BlobEntry]:
    """The blobs whose slot is older than `before`, and that are recorded as the work of this hub.

    The path and the blob's metadata could be anybody's: the run that they name has to be one of ours, for that slot.
    """
    for folder in _FOLDERS:
        for blob in destination.list(folder, metadata=True):
            slot = slot_of_path(blob.path)
            run_id = blob.metadata.get("runid")
            if slot is None or slot >= before or not run_id:
                continue
            stored = services.runs.get(hub, run_id)
            if stored is not None and stored.run.kind is RunKind.EXPORT and stored.run.slot == slot:
                yield blob


def _start(services: Services, hub: str, connector: Stored[Connector], now: datetime) -> StoredRun | None:
    """The Cleanup run of the day, Running; None where it is not to be tried again today."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    run = Run(
        run_id=cleanup_run_id(hub, connector.instance_id, day),
        kind=RunKind.CLEANUP,
        connector=connector.document.connector_name,
        queued_at=now,
    )
    services.runs.create(StoredRun(hub=hub, run=run))
    stored = services.runs.get(hub, run.run_id)
    if stored is None or _is_blocked(stored.run, connector.document):
        return None
    try:
        return services.runs.save(
            stored.with_run(state=RunState.RUNNING, started_at=now, attempts=stored.run.attempts + 1, error=None)
        )
    except PreconditionError:
        return None  # another worker has begun it


def _is_blocked(run: Run, connector: Connector) -> bool:
    if run.state is not RunState.FAILED or run.finished_at is None:
        return False
    return connector.last_modified is None or connector.last_modified <= run.finished_at
