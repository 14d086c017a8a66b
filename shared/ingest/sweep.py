"""Finding by listing what no event announced: one mapping's container, looked through for what has no run."""

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched

from shared.app import Services
from shared.deadline import pool_of_threads, seconds_left
from shared.definitions.containers import OF_ANOTHER_HUB
from shared.definitions.store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.connectors import Connector
from shared.domain.errors import (
    ConflictError,
    DeferredError,
    HubError,
    NotFoundError,
    PreconditionError,
    Recovery,
    recovery,
)
from shared.domain.mappings import Mapping
from shared.domain.run import RunError, RunState
from shared.ingest.match import new_run, queue_run, queue_version, send_run
from shared.ledger.sweeps import Backfill, Sweep
from shared.storage.blobs import BlobContainer, BlobEntry
from shared.storage.queues import Queue
from shared.telemetry import failing_alone

logger = logging.getLogger(__name__)

# What the storage service dates earlier than our clock says, and what was changed while the last sweep listed.
OVERLAP = timedelta(hours=2)
# A blob that came by a rename or was undeleted keeps its old date; only a complete sweep finds it.
COMPLETE_EVERY = timedelta(days=1)
_PARALLEL_REQUESTS = 8
_PAGE = 1_000
# The event of a blob that was just committed may be on its way, and it alone tells the order within a second.
_FRESH = timedelta(minutes=1)
_EVENTS_TAKE_S = 3
# A page of blobs is queued in less; whoever works on after the deadline is ended, and with him all that works beside.
_PAGE_TAKES_S = 120.0


@dataclass(frozen=True)
class Place:
    """A mapping to sweep, with the connector that it reads."""

    hub: str
    mapping: Stored[Mapping]
    connector: Stored[Connector]

    @property
    def names(self) -> dict[str, str]:
        """Hub, connector and mapping, as log lines and messages name them."""
        document = self.mapping.document
        names = {"connector": document.connector_name, "mapping": document.connector_mapping_name}
        return {"hub": self.hub, **names}


def request_sweep(queue: Queue, hub: str, connector: str, mapping: str) -> None:
    """Asks for a sweep of one mapping by the schedule: one that comes to nothing is asked for again by the next."""
    queue.send({"hub": hub, "connector": connector, "mapping": mapping, "sweep": True})


def request_backfill(services: Services, mapping: Stored[Mapping], *, wake: bool = False) -> Backfill:
    """Asks for a complete sweep of one mapping, with a record of what becomes of it.

    Args:
        services: of the process.
        mapping: to sweep.
        wake: whether runs that wait are to be carried out too: their messages were dropped during a pause.
    """
    document = mapping.document
    backfill = Backfill(mapping.instance_id, uuid.uuid4().hex, services.clock.now())
    services.sweeps.ask(document.tenant_id, backfill)
    message = {"hub": document.tenant_id, "connector": document.connector_name, "sweep": True}
    message |= {"mapping": document.connector_mapping_name, "backfill": backfill.number}
    services.ingest_queue.send(message | ({"wake": True} if wake else {}))
    return backfill


def sweep_by_schedule(services: Services, hub: str, connector: str, mapping: str) -> int:
    """Sweeps one mapping as a tick asked for; a failure is logged, and left to the next tick.

    Returns:
        How many blob versions were queued.
    """
    queued = 0
    with failing_alone("sweep", hub=hub, connector=connector, mapping=mapping):
        place = _place(services, hub, connector, mapping)
        try:
            queued = sweep_mapping(services, place) if place else 0
        except ConflictError as error:
            # A matter between two hubs, which is logged as a warning where it is found out: no operator need come.
            if error.code != OF_ANOTHER_HUB:
                raise
        if queued:
            logger.info("sweep queued %d blob versions: hub %s mapping %s", queued, hub, mapping)
    return queued


def carry_out_backfill(
    services: Services, hub: str, connector: str, mapping: str, number: str, *, wake: bool = False
) -> None:
    """Sweeps one mapping completely, takes up its Failed runs as well, and notes what came of it.

    Raises:
        TransientError, FatalError: it may work the next time. DeferredError: the source is busy.
    """
    place = _place(services, hub, connector, mapping)
    if place is None:
        return
    instance = place.mapping.instance_id
    try:
        if wake:
            _wake(services, place)
        queued = sweep_mapping(services, place, complete=True, take_failed=True)
    except HubError as error:
        if recovery(error) is Recovery.RETRY or isinstance(error, DeferredError):
            raise
        logger.warning("sweep refused: hub %s connector %s mapping %s: %s", hub, connector, mapping, error)
        fail_backfill(services, hub, connector, mapping, number, RunError(code=error.code, message=error.message))
        return
    logger.info("backfill queued %d blob versions: hub %s mapping %s", queued, hub, mapping)
    now = services.clock.now()
    services.sweeps.change_backfill(hub, instance, number, lambda backfill: backfill.found_all(queued, now))


def fail_backfill(services: Services, hub: str, connector: str, mapping: str, number: str, error: RunError) -> None:
    """Notes that the container could not be looked through."""
    try:
        instance = services.definitions.mapping(hub, connector, mapping).instance_id
    except NotFoundError:
        return
    now = services.clock.now()
    services.sweeps.change_backfill(hub, instance, number, lambda backfill: backfill.failed(error, now))


def sweep_mapping(services: Services, place: Place, *, complete: bool = False, take_failed: bool = False) -> int:
    """Queues every matching blob version that has no run.

    Args:
        services: of the process.
        place: what is swept.
        complete: whether to look for the run of every blob, rather than of those that changed lately. Without a
            sweep by the same definitions to build on, and once a day, it is complete in any case.
        take_failed: whether Failed runs are taken up again; only with `complete`.

    Returns:
        How many blob versions were queued.

    Raises:
        DeferredError: the source is busy; or `SweepUnfinished`, there is no time for all at once, and the next sweep
            finds what is left.
    """
    hub, mapping = place.hub, place.mapping
    began, seen = services.clock.now(), services.clock.machine_now()
    last = services.sweeps.get(hub, mapping.instance_id)
    if last is None or complete or is_outdated(last, place) or not _is_recent(last, began):
        known = services.runs.states_of_mapping(hub, place.names["connector"], place.names["mapping"])
        complete_began = began
        entries = _entries(services, place)
        state_of: Callable[[str], RunState | None] = known.get
    else:
        since, complete_began = last.seen - OVERLAP, last.complete_began
        entries = (entry for entry in _entries(services, place) if entry.last_modified >= since)

        def state_of(run_id: str) -> RunState | None:
            stored = services.runs.get(hub, run_id)
            return stored.run.state if stored else None

    def queue(entry: BlobEntry) -> bool:
        version = BlobVersion(mapping.document.container, entry.path, entry.etag, entry.size)
        run_id = new_run(services, hub, mapping, version).run.run_id
        state = state_of(run_id)
        if state is None:
            is_fresh = entry.last_modified > seen - _FRESH
            queue_version(services, hub, mapping, version, _EVENTS_TAKE_S if is_fresh else 0)
            return True
        return take_failed and state is RunState.FAILED and take_up_again(services, hub, run_id)

    queued = 0
    with pool_of_threads(_PARALLEL_REQUESTS) as pool:
        for page in batched(entries, _PAGE, strict=False):
            queued += sum(pool.map(queue, page))
    sweep = Sweep(mapping.instance_id, mapping.etag, place.connector.etag, began, complete_began, seen)
    services.sweeps.save(hub, sweep)
    return queued


def is_outdated(last: Sweep, place: Place) -> bool:
    """Whether a definition was changed since, so that blobs may belong to the mapping that did not before."""
    return (last.mapping_etag, last.connector_etag) != (place.mapping.etag, place.connector.etag)


def take_up_again(services: Services, hub: str, run_id: str) -> bool:
    """Queues a Failed run again; False where it is none any more."""
    stored = services.runs.get(hub, run_id)
    if stored is None or stored.run.state is not RunState.FAILED:
        return False
    try:
        services.runs.save(stored.with_run(state=RunState.QUEUED, error=None, finished_at=None))
    except PreconditionError:
        return False  # somebody else has taken it up
    queue_run(services, stored)
    return True


def _is_recent(last: Sweep, now: datetime) -> bool:
    return last.complete_began <= now < last.complete_began + COMPLETE_EVERY


def _place(services: Services, hub: str, connector: str, mapping: str) -> Place | None:
    """The mapping; None where it is gone or paused."""
    services.source_turns.check(hub, connector)
    try:
        stored = services.definitions.mapping(hub, connector, mapping)
        if stored.document.is_paused:
            return None
        return Place(hub, stored, services.definitions.connector(hub, connector))
    except NotFoundError:
        return None


def _entries(services: Services, place: Place) -> Iterator[BlobEntry]:
    document = place.mapping.document
    account = services.definitions.account_of_mapping(place.connector, place.mapping)
    services.source_turns.learn(place.hub, document.connector_name, account.blob_endpoint)
    turn = services.source_turns.turn(account.blob_endpoint)
    try:
        for entry in turn.each(BlobContainer(account, document.container).list(document.prefix, metadata=True)):
            if seconds_left() < _PAGE_TAKES_S:
                message = "there was no time for the whole container; what was queued stays, and the next sweep goes on"
                raise DeferredError("SweepUnfinished", message)
            if not entry.is_folder and document.matches(document.container, entry.path):
                yield entry
    finally:
        turn.close()


def _wake(services: Services, place: Place) -> None:
    hub, connector = place.hub, place.names["connector"]

    def send(run_id: str) -> None:
        send_run(services, hub, connector, run_id)

    with pool_of_threads(_PARALLEL_REQUESTS) as pool:
        list(pool.map(send, services.runs.queued(hub, place.mapping.instance_id)))
