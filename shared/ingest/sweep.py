"""Finding by listing what no event announced, and waking what was left behind."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import batched

from shared.app import Services
from shared.definitions.store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.connectors import AzureBlobConnector
from shared.domain.errors import NotFoundError, PreconditionError, RefusedError
from shared.domain.mappings import Mapping
from shared.domain.run import RunKind, RunState
from shared.ingest.match import new_run, queue_version
from shared.ledger.runs import StoredRun
from shared.storage.blobs import BlobContainer
from shared.storage.queues import Queue
from shared.telemetry import failing_alone

logger = logging.getLogger(__name__)

# A queue is worked off within this time, or nobody works on it; a message too many does no harm.
LEFT_BEHIND_AFTER = timedelta(minutes=30)
FIRST_PAUSE = timedelta(minutes=7)
_LONGEST_PAUSE_AFTER = 8
_PARALLEL_REQUESTS = 8
_PAGE = 1_000

type RunTest = Callable[[StoredRun], bool]


def request_sweep(queue: Queue, hub: str, connector: str, mapping: str) -> None:
    """Asks for a sweep of one mapping; the queue makes it durable, and the caller need not wait."""
    queue.send({"hub": hub, "connector": connector, "mapping": mapping, "sweep": True})


def reconcile(services: Services) -> None:
    """Sweeps every mapping of every hub; what cannot be reached does not hold up the rest."""
    now = services.clock.machine_now()
    for hub in services.definitions.hub_names():
        with failing_alone("sweep", hub=hub):
            mappings = _mappings(services, hub)
            wake_left_behind(services, hub)
            for mapping in mappings:
                name, connector = mapping.document.connector_mapping_name, mapping.document.connector_name
                with failing_alone("sweep", hub=hub, connector=connector, mapping=name):
                    sweep_mapping(services, hub, mapping, again=lambda stored: _is_due_again(stored, now))


def sweep_named(services: Services, hub: str, connector: str, mapping: str) -> int:
    """Sweeps one mapping and takes up its Failed runs as well; 0 where the mapping is gone."""
    try:
        stored = services.definitions.mapping(hub, connector, mapping)
    except NotFoundError:
        return 0
    try:
        return sweep_mapping(services, hub, stored, again=lambda _: True)
    except RefusedError as error:
        logger.warning("sweep refused: hub %s connector %s mapping %s: %s", hub, connector, mapping, error)
        return 0


def sweep_mapping(services: Services, hub: str, mapping: Stored[Mapping], again: RunTest) -> int:
    """Queues every matching blob version that has no run, and Failed runs for which `again` says so.

    Returns:
        How many blob versions were queued.
    """
    document = mapping.document
    connector = services.definitions.connector(hub, document.connector_name)
    source = BlobContainer(services.definitions.source_account(connector), document.container)
    known = services.runs.states_of_mapping(hub, document.connector_name, document.connector_mapping_name)

    def queue(version: BlobVersion) -> bool:
        run_id = new_run(services, hub, mapping, version).run.run_id
        state = known.get(run_id)
        if state is None:
            queue_version(services, hub, mapping, version)
            return True
        return state is RunState.FAILED and _queue_again(services, hub, run_id, again)

    versions = (
        BlobVersion(document.container, entry.path, entry.etag, entry.size)
        for entry in source.list(document.prefix)
        if document.matches(document.container, entry.path)
    )
    queued = 0
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        for page in batched(versions, _PAGE, strict=False):
            queued += sum(pool.map(queue, page))
    if queued:
        logger.info("sweep queued %d blob versions: hub %s mapping %s", queued, hub, document.connector_mapping_name)
    return queued


def wake_left_behind(services: Services, hub: str) -> None:
    """Sends the messages of Ingest runs again whose message was lost or whose worker died."""
    now = services.clock.machine_now()
    for stored in services.runs.unfinished(hub, changed_before=now - LEFT_BEHIND_AFTER):
        is_ours = stored.run.kind is RunKind.INGEST
        if is_ours and (stored.claimed_until is None or stored.claimed_until < now):
            with suppress(PreconditionError):  # somebody has just taken it up
                services.runs.save(stored)  # so that it is not sent again at the next tick
                services.ingest_queue.send({"hub": hub, "runId": stored.run.run_id})


def _mappings(services: Services, hub: str) -> list[Stored[Mapping]]:
    return [
        mapping
        for connector in services.definitions.connectors(hub)
        if isinstance(connector.document, AzureBlobConnector)
        for mapping in services.definitions.mappings(hub, connector.document.connector_name)
    ]


def _is_due_again(stored: StoredRun, now: datetime) -> bool:
    """Whether a Failed run is tried again by itself: after a quarter of an hour, then half an hour, an hour, ..."""
    pause = FIRST_PAUSE * 2 ** min(stored.run.attempts, _LONGEST_PAUSE_AFTER)
    return stored.is_retryable and (stored.changed is None or stored.changed < now - pause)


def _queue_again(services: Services, hub: str, run_id: str, again: RunTest) -> bool:
    stored = services.runs.get(hub, run_id)
    if stored is None or stored.run.state is not RunState.FAILED or not again(stored):
        return False
    try:
        services.runs.save(stored.with_run(state=RunState.QUEUED, error=None, finished_at=None))
    except PreconditionError:
        return False  # somebody else has taken it up
    services.ingest_queue.send({"hub": hub, "runId": run_id})
    return True
