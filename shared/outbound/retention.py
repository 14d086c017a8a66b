"""Deleting exports that are older than the retention, and nothing else."""

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.app import Services
from shared.clock import iso
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.connectors import Connector
from shared.domain.documents.run import Run, RunError, RunKind, RunState, cleanup_run_id
from shared.domain.errors import ClaimLostError, HubError, PreconditionError, ProtectedError
from shared.domain.slot import slot_of_path
from shared.failpoints import FailPoint, failpoint
from shared.hub_records import is_still
from shared.hub_rotation import for_each_hub
from shared.ledger.claim import Claim
from shared.ledger.stored_run import Ending, StoredRun
from shared.outbound.entity import is_exporting
from shared.outbound.own_blobs import has_written, run_of_blob
from shared.storage.blob.blobs import BlobEntry
from shared.storage.blob.destination import DestinationContainer
from shared.telemetry.logs import failing_alone

logger = logging.getLogger(__name__)

_FOLDERS = ("Profile/", "KPI/")
_TIME_IS_UP = RunError(
    code="TimeIsUp", message="there was no more time for this hub; the next clean-up goes on with it"
)


def delete_expired(services: Services) -> None:
    """Deletes the expired exports of every Outbound connector; one that fails does not hold up the others.

    A blob that its owner has leased or made immutable stays, and is tried again the next day. Each connector has one
    Cleanup run a day. A destination that refuses us is left alone until the next day, unless its connector was changed
    meanwhile.
    """
    now = services.clock.now()
    before = now - timedelta(days=services.settings.export_retention_days)

    def work(hub: str) -> Generator[None]:
        for connector in services.definitions.connectors.readable(hub):
            if is_exporting(connector):
                with failing_alone("clean-up", hub=hub, connector=connector.document.connector_name):
                    yield from _clean(services, hub, connector, now, before)
                yield
        for series in services.slots.series_of(hub):
            services.slots.forget_published(series, before)
            yield

    for_each_hub(services, "clean-up", work)


@dataclass
class _CleanUp:
    """What a Cleanup run has done so far.

    Attributes:
        refusal: why a blob was kept; None where none was.
    """

    claim: Claim
    deleted: int
    kept: int = 0
    refusal: RunError | None = None


def _clean(
    services: Services, hub: str, connector: Stored[Connector], now: datetime, before: datetime
) -> Generator[None]:
    claim = _start(services, hub, connector, now)
    if claim is None:
        return
    done = _CleanUp(claim, int(claim.run.details.get("deleted", 0)))
    try:
        sas = services.definitions.connectors.destinations.sas(connector)
        destination = DestinationContainer(sas, services.settings)
        for blob in _expired(services, hub, connector, destination, before):
            if blob is not None:
                _delete(destination, blob, done)
            yield
        services.definitions.connectors.destinations.claim(hub, connector, destination.sas)
    except HubError as failure:
        _end(done, before, RunState.FAILED, RunError.of(failure))
    except GeneratorExit:
        _end(done, before, RunState.PARTIALLY_SUCCEEDED, _TIME_IS_UP)
        raise
    else:
        state = RunState.PARTIALLY_SUCCEEDED if done.refusal else RunState.SUCCEEDED
        _end(done, before, state, done.refusal)


def _delete(destination: DestinationContainer, blob: BlobEntry, done: _CleanUp) -> None:
    try:
        # Only as it was looked at: what its owner puts in its place meanwhile stays.
        done.deleted += destination.delete(blob.path, blob.etag)
        failpoint(FailPoint.EXPORT_DELETED)
    except ProtectedError as refusal:
        done.kept += 1
        done.refusal = RunError.of(refusal)


def _end(done: _CleanUp, before: datetime, state: RunState, error: RunError | None) -> None:
    details = {"deleted": done.deleted, "kept": done.kept, "before": iso(before)}
    try:
        done.claim.end(Ending(state, error, duration_ms=done.claim.elapsed_ms(), details=details))
    except ClaimLostError:
        logger.info("the clean-up of connector %s was done by another worker", done.claim.run.connector)


def _expired(
    services: Services, hub: str, connector: Stored[Connector], destination: DestinationContainer, before: datetime
) -> Iterator[BlobEntry | None]:
    """The blobs whose slot is older than `before`, and that the connector has written to the container.

    Each other one is None: to look at it takes its time too.
    """
    writer = services.definitions.connectors.writer(hub, connector)
    for folder in _FOLDERS:
        for blob in destination.list(folder):
            slot = slot_of_path(blob.path)
            stored = None if slot is None or slot >= before else run_of_blob(services, hub, blob)
            is_ours = stored is not None and has_written(writer, stored, blob, destination.sas.place)
            yield blob if is_ours else None


def _start(services: Services, hub: str, connector: Stored[Connector], now: datetime) -> Claim | None:
    """The Cleanup run of the day, Running; None where it is not to be tried again today."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    run = Run(
        run_id=cleanup_run_id(hub, connector.instance_id, day),
        kind=RunKind.CLEANUP,
        connector=connector.document.connector_name,
        queued_at=now,
    )
    stored = services.runs.get_or_create(
        StoredRun(hub=hub, run=run),
        lambda: is_still(lambda: services.definitions.connector(hub, connector.document.connector_name), connector),
    )
    if stored is None or _is_blocked(stored.run, connector.document):
        return None
    try:
        return Claim(services.runs, services.clock, services.runs.save(stored.begun(now)))
    except PreconditionError:
        return None  # another worker has begun it


def _is_blocked(run: Run, connector: Connector) -> bool:
    if run.state is not RunState.FAILED or run.finished_at is None:
        return False
    return connector.last_modified is None or connector.last_modified <= run.finished_at
