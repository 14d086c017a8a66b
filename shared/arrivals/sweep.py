"""Finding by listing what no event announced: one mapping's container, looked through for what has no run."""

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.app import Services
from shared.arrivals.match import new_run, queue_run, queue_version, request_completions, send_run
from shared.deadline import pool_of_threads, seconds_left
from shared.definitions.store.definition_store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.connectors import Connector
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import RunError, RunState
from shared.domain.errors import (
    DeferredError,
    ForeignContainerError,
    HubError,
    NotFoundError,
    PreconditionError,
    Recovery,
    RefusedError,
    UnfinishedError,
    recovery,
)
from shared.ledger.stored_run import Standing
from shared.ledger.sweeps import Backfill, OpenSweep, Sweep
from shared.storage.blob.blobs import BlobContainer, BlobEntry
from shared.telemetry.logs import failing_alone

logger = logging.getLogger(__name__)

# What the storage service dates earlier than our clock says, and what was changed while the last sweep listed.
OVERLAP = timedelta(hours=2)
# A blob that came by a rename or was undeleted keeps its old date; only a complete sweep finds it.
COMPLETE_EVERY = timedelta(days=1)
_PARALLEL_REQUESTS = 8
# The most that the service lists at once: https://learn.microsoft.com/rest/api/storageservices/list-blobs
_PAGE = 5_000
# The event of a blob that was just committed may be on its way, and it alone tells the order within a second.
_FRESH = timedelta(minutes=1)
_EVENTS_TAKE_S = 3
# A page of blobs is queued in less; whoever works on after the deadline is ended, and with him all that works beside.
_PAGE_TAKES_S = 300.0
# Of a sweep that takes longer it is noted how far it has come, for the next message, and so that no tick asks for it.
_NOTE_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Target:
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


def request_backfill(services: Services, mapping: Stored[Mapping], *, wake: bool = False) -> Backfill:
    """Asks for a complete sweep of one mapping, with a record of what becomes of it.

    Args:
        services: of the process.
        mapping: to sweep.
        wake: whether runs that wait are to be carried out too: their messages were dropped during a pause.
    """
    clock = services.clock
    backfill = Backfill(mapping.instance_id, uuid.uuid4().hex, clock.now(), clock.machine_now())
    services.sweeps.ask(mapping.document.tenant_id, backfill)
    _send_backfill(services, mapping, backfill.number, wake=wake)
    return backfill


def send_backfill_again(services: Services, mapping: Stored[Mapping], backfill: Backfill) -> None:
    """Sends another message for a backfill whose message may be lost; two at once do no harm.

    Runs that its first message was to wake are sent by the tick itself.
    """
    hub, now = mapping.document.tenant_id, services.clock.machine_now()

    def count(present: Backfill) -> Backfill:
        return replace(present, noted=now, sent_again=present.sent_again + 1)

    # Noted before it is sent, so that the next tick sends no other.
    if services.sweeps.change_backfill(hub, backfill.instance, backfill.number, count):
        logger.warning("backfill sent again: hub %s mapping %s", hub, mapping.document.connector_mapping_name)
        _send_backfill(services, mapping, backfill.number)


def sweep_by_schedule(
    services: Services, hub: str, connector: str, mapping: str, requested: datetime | None = None
) -> int:
    """Sweeps one mapping as a tick asked for; what fails or finds its account busy is logged, for the next tick.

    Args:
        services: of the process.
        hub: of the mapping.
        connector: of the mapping.
        mapping: to sweep.
        requested: when the tick asked for it, by the app's clock: a message that comes late or twice finds it done.

    Returns:
        How many blob versions were queued.

    Raises:
        DeferredError: there is no time for all at once, and the next message is to go on.
    """
    queued = 0
    unfinished: UnfinishedError | None = None
    with failing_alone("sweep", hub=hub, connector=connector, mapping=mapping):
        try:
            target = _target(services, hub, connector, mapping)
            queued = sweep_mapping(services, target) if target and not _is_needless(services, target, requested) else 0
        except ForeignContainerError:
            pass  # a matter between two hubs, which is logged as a warning where it is found out: no operator need come
        except UnfinishedError as error:
            unfinished = error
        except DeferredError as error:
            # Whoever it waits for says what is wrong, so this is for no alert.
            message = "sweep waits for the next tick: hub %s connector %s mapping %s: %s"
            logger.info(message, hub, connector, mapping, error)
        if queued:
            logger.info("sweep queued %d blob versions: hub %s mapping %s", queued, hub, mapping)
    if unfinished is not None:
        raise unfinished
    return queued


def carry_out_backfill(
    services: Services, hub: str, connector: str, mapping: str, number: str, *, wake: bool = False
) -> None:
    """Sweeps one mapping completely, takes up its Failed runs as well, and notes what came of it.

    A message that comes late or twice, when it is over or not the newest of its mapping any more, does nothing.

    Raises:
        TransientError, FatalError: it may work the next time. DeferredError: the source is busy, or there is no time
            for all at once, and the next message is to go on.
    """
    target = _target(services, hub, connector, mapping)
    if target is None:
        return
    instance = target.mapping.instance_id
    try:
        backfill = services.sweeps.backfill(hub, instance)
        if backfill is None or backfill.number != number or not backfill.is_open:
            logger.info("backfill passed over: hub %s mapping %s: it is over, or there is a newer one", hub, mapping)
            return
        if wake and backfill.begun is None:
            _wake(services, target)
        queued = sweep_mapping(services, target, backfill)
    except HubError as error:
        if recovery(error) is Recovery.RETRY or isinstance(error, DeferredError):
            raise
        logger.warning("sweep refused: hub %s connector %s mapping %s: %s", hub, connector, mapping, error)
        give_up_sweep(services, hub, connector, mapping, number, RunError.of(error))
        return
    logger.info("backfill queued %d blob versions: hub %s mapping %s", queued, hub, mapping)


def give_up_sweep(services: Services, hub: str, connector: str, mapping: str, number: str, error: RunError) -> None:
    """Notes that the container could not be looked through; without a number, the next tick begins anew."""
    try:
        instance = services.definitions.mapping(hub, connector, mapping).instance_id
    except NotFoundError:
        return
    if number:
        now, noted = services.clock.now(), services.clock.machine_now()
        services.sweeps.change_backfill(hub, instance, number, lambda backfill: backfill.failed(error, now, noted))
    else:
        services.sweeps.forget_scheduled(hub, instance)


def sweep_mapping(services: Services, target: Target, backfill: Backfill | None = None) -> int:
    """Queues every matching blob version that has no run; goes on where an earlier message had no more time.

    Without a sweep by the same definitions to build on, and once a day, the run of every blob is looked for, rather
    than of those that changed lately.

    Args:
        services: of the process.
        place: what is swept.
        backfill: as which somebody asked for it: such a sweep looks for the run of every blob, and takes up the runs
            again that had Failed when it began. Where a newer one takes its place, it is left off.

    Returns:
        How many blob versions were queued, by the earlier messages too.

    Raises:
        DeferredError: the source is busy; or `SweepUnfinished`, there is no time for all at once, and the next message
            goes on with what is left.
    """
    hub, instance = target.hub, target.mapping.instance_id
    sweep = _begun(services, target, backfill)
    queue = _queue_of(services, target, sweep)
    noted = services.clock.machine_now()
    try:
        with pool_of_threads(_PARALLEL_REQUESTS) as pool:
            for entries, marker in _pages(services, target, sweep.marker):
                queued = sum(pool.map(queue, _wanted(entries, target, sweep)))
                sweep = replace(sweep, marker=marker, queued=sweep.queued + queued)
                if marker and seconds_left() < _PAGE_TAKES_S:
                    message = "there was no time for the whole container; the next message goes on with what is left"
                    raise UnfinishedError("SweepUnfinished", message)
                if marker and services.clock.machine_now() - noted >= _NOTE_EVERY:
                    noted = services.clock.machine_now()
                    sweep = replace(sweep, noted=noted)
                    if not services.sweeps.note(hub, sweep, noted):
                        return sweep.queued
    except Exception as error:
        if backfill or sweep.marker:
            # Of the schedule nobody goes on after a failure but the next tick.
            is_left = not backfill and not isinstance(error, UnfinishedError)
            with suppress(HubError):
                services.sweeps.note(hub, replace(sweep, is_left=is_left), services.clock.machine_now())
        raise
    services.sweeps.save(hub, sweep.sweep)
    if backfill:
        now = services.clock.now()
        services.sweeps.change_backfill(hub, instance, backfill.number, lambda one: one.found_all(sweep.queued, now))
    if backfill or sweep.noted is not None:
        # That of a sweep by the schedule too which a backfill came before: all that was left to it has been looked at.
        services.sweeps.forget_scheduled(hub, instance)
    return sweep.queued


def is_outdated(last: Sweep, target: Target) -> bool:
    """Whether a definition was changed since, so that blobs may belong to the mapping that did not before."""
    return (last.mapping_etag, last.connector_etag) != (target.mapping.etag, target.connector.etag)


def retry_run(services: Services, hub: str, run_id: str, failed_by: datetime | None = None) -> bool:
    """Queues a Failed run again; False where it is none any more, or failed after a moment of the app's clock."""
    stored = services.runs.get(hub, run_id)
    if stored is None or stored.run.state is not RunState.FAILED:
        return False
    if failed_by is not None and stored.run.finished_at is not None and stored.run.finished_at > failed_by:
        return False
    try:
        services.runs.save(stored.with_run(state=RunState.QUEUED, error=None, finished_at=None))
    except PreconditionError:
        return False  # somebody else has taken it up
    queue_run(services, stored)
    return True


def _is_recent(last: Sweep, now: datetime) -> bool:
    return last.complete_began <= now < last.complete_began + COMPLETE_EVERY


def _target(services: Services, hub: str, connector: str, mapping: str) -> Target | None:
    """The mapping; None where it is gone or paused."""
    services.source_permits.check(hub, connector)
    try:
        stored = services.definitions.mapping(hub, connector, mapping)
        if stored.document.is_paused:
            return None
        return Target(hub, stored, services.definitions.connector(hub, connector))
    except NotFoundError:
        return None


def _is_needless(services: Services, target: Target, requested: datetime | None) -> bool:
    """Whether a backfill looks at every blob anyway, or a sweep has ended that began after this one was asked for."""
    instance = target.mapping.instance_id
    backfill, last = services.sweeps.backfill(target.hub, instance), services.sweeps.get(target.hub, instance)
    if backfill is not None and backfill.is_open:
        reason = "a backfill is under way"
    elif requested is not None and last is not None and last.began > requested:
        reason = "another has come before it"
    else:
        return False
    logger.info("sweep passed over: hub %s mapping %s: %s", target.hub, target.names["mapping"], reason)
    return True


def _begun(services: Services, target: Target, backfill: Backfill | None) -> OpenSweep:
    """The sweep to go on with, or a new one where there is none of the kind, or it went by other definitions."""
    hub, instance = target.hub, target.mapping.instance_id
    mapping_etag, connector_etag = target.mapping.etag, target.connector.etag
    last = services.sweeps.get(hub, instance)
    left = backfill.begun if backfill else services.sweeps.scheduled(hub, instance)
    # What one by the schedule left over needs nobody where a later one has come to its end.
    is_needed = backfill is not None or left is None or last is None or last.began <= left.sweep.began
    # By other definitions the listing has another beginning.
    if left is not None and is_needed and not is_outdated(left.sweep, target):
        return replace(left, is_left=False)
    if left is not None and not backfill:
        # Or the ticks would take it for under way when the new one has come to its end.
        services.sweeps.forget_scheduled(hub, instance)
    began, seen = services.clock.now(), services.clock.machine_now()
    if last is None or backfill or is_outdated(last, target) or not _is_recent(last, began):
        number = backfill.number if backfill else ""
        return OpenSweep(Sweep(instance, mapping_etag, connector_etag, began, began, seen), None, number)
    sweep = Sweep(instance, mapping_etag, connector_etag, began, last.complete_began, seen)
    return OpenSweep(sweep, last.seen - OVERLAP)


def _queue_of(services: Services, target: Target, sweep: OpenSweep) -> Callable[[BlobEntry], bool]:
    """What queues a blob without a run, or with one to take up again, and says whether; what a run owes it asks for."""
    hub, mapping, seen = target.hub, target.mapping, services.clock.machine_now()
    known: dict[str, Standing] | None = None
    owing = iter((True,))
    if sweep.since is None:
        known = services.runs.states_of_mapping(hub, target.names["connector"], target.names["mapping"])

    def standing_of(run_id: str) -> Standing | None:
        if known is not None:
            return known.get(run_id)
        return stored.standing if (stored := services.runs.get(hub, run_id)) else None

    def queue(entry: BlobEntry) -> bool:
        version = BlobVersion(mapping.document.container, entry.path, entry.etag, entry.size)
        run_id = new_run(services, hub, mapping, version).run.run_id
        standing = standing_of(run_id)
        if standing is None:
            is_fresh = entry.last_modified > seen - _FRESH
            queue_version(services, hub, mapping, version, _EVENTS_TAKE_S if is_fresh else 0)
            return True
        if standing.owes_what(mapping.document) and next(owing, False):
            request_completions(services, hub, mapping)  # for all that owe something
        # One that failed since has been taken up already.
        is_to_be_taken = bool(sweep.number) and standing.state is RunState.FAILED
        return is_to_be_taken and retry_run(services, hub, run_id, sweep.sweep.began)

    return queue


def _wanted(entries: Sequence[BlobEntry], target: Target, sweep: OpenSweep) -> Iterator[BlobEntry]:
    document = target.mapping.document
    for entry in entries:
        is_new = sweep.since is None or entry.last_modified >= sweep.since
        if is_new and not entry.is_folder and document.matches(document.container, entry.path):
            yield entry


def _pages(services: Services, target: Target, marker: str) -> Iterator[tuple[Sequence[BlobEntry], str]]:
    """The pages of the listing from a marker on, each with that of the next; from the first where it is refused."""
    document = target.mapping.document
    account = services.definitions.account_of_mapping(target.connector, target.mapping)
    services.source_permits.learn(target.hub, document.connector_name, account.blob_endpoint)
    permit = services.source_permits.permit(account.blob_endpoint, target.hub)
    container = BlobContainer(account, document.container)
    is_first = True
    try:
        # Its refusal is none of the marker.
        services.definitions.listings.list_first(target.connector, target.mapping, account, permit.request)
        try:
            for page in permit.each(container.pages(document.prefix, marker, _PAGE)):
                is_first = False
                yield page
        except RefusedError:
            if not marker or not is_first:
                raise
            yield from permit.each(container.pages(document.prefix, "", _PAGE))
    finally:
        permit.close()


def _send_backfill(services: Services, mapping: Stored[Mapping], number: str, *, wake: bool = False) -> None:
    document = mapping.document
    message = {"hub": document.tenant_id, "connector": document.connector_name, "sweep": True}
    message |= {"mapping": document.connector_mapping_name, "backfill": number}
    try:
        services.ingest_queue.send(message | ({"wake": True} if wake else {}))
    except HubError:
        # Or the next tick would wait for a message that there is not.
        with suppress(HubError):
            services.sweeps.change_backfill(
                document.tenant_id, mapping.instance_id, number, lambda backfill: replace(backfill, noted=None)
            )
        raise


def _wake(services: Services, target: Target) -> None:
    hub, connector = target.hub, target.names["connector"]

    def send(run_id: str) -> None:
        send_run(services, hub, connector, run_id)

    with pool_of_threads(_PARALLEL_REQUESTS) as pool:
        list(pool.map(send, services.runs.queued(hub, target.mapping.instance_id)))
