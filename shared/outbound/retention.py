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
from shared.outbound.entity import is_exporting
from shared.outbound.own_blobs import has_written, run_of_blob
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
                if is_exporting(connector):
                    with failing_alone("clean-up", hub=hub, connector=connector.document.connector_name):
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
        for blob in _expired(services, hub, connector, destination, before):
            try:
                # Only as it was looked at: what its owner puts in its place meanwhile stays.
                deleted += destination.delete(blob.path, blob.etag)
                failpoint(FailPoint.EXPORT_DELETED)
            except RefusedError as refusal:
                if refusal.code not in _KEPT_BY_THEIR_OWNER:
                    raise
                kept += 1
                state, error = RunState.PARTIALLY_SUCCEEDED, RunError(code=refusal.code, message=refusal.message)
        services.definitions.claim_destination(hub, connector)
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


def _expired(
    services: Services, hub: str, connector: Stored[Connector], destination: DestinationContainer, before: datetime
) -> Iterator[BlobEntry]:
    """The blobs whose slot is older than `before`, and that the connector has written to the container."""
    writer = services.definitions.writer(hub, connector)
    for folder in _FOLDERS:
        for blob in destination.list(folder):
            slot = slot_of_path(blob.path)
            if slot is None or slot >= before:
                continue
            stored = run_of_blob(services, hub, blob)
            if stored is not None and has_written(writer, stored, blob, destination.sas.place):
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
