"""One tick of `reconcile_blobs`: asks for the sweeps that are due, and takes up what was left behind or is due again.

What a tick costs grows with the mappings and with the work that is open, not with the runs of the past.
"""

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.app import Services
from shared.arrivals.match import queue_run, request_sweep
from shared.arrivals.sweep import Target, is_outdated, retry_run, send_backfill_again
from shared.deadline import deadline
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import RunKind
from shared.domain.errors import FatalError, PreconditionError
from shared.hub_rotation import TICK_S, for_each_hub
from shared.ledger.stored_run import StoredRun
from shared.ledger.sweeps import Known, Sweep

# A queue is worked off within this time, or nobody works on it; a message too many does no harm.
LEFT_BEHIND_AFTER = timedelta(minutes=30)


def reconcile(services: Services) -> None:
    """Does what is due in every hub; each sweep is a message of its own, so that none waits for another.

    What is not reached in time is found again by the next tick.
    """

    def work(hub: str) -> Generator[None]:
        # Before the definitions: a mapping that is made meanwhile is not among these.
        known = services.sweeps.known(hub)
        targets = _targets(services, hub)
        yield from _request_sweeps(services, targets, known)
        mappings = {target.mapping.instance_id: target.mapping.document for target in targets}
        yield from wake_left_behind(services, hub, mappings)
        yield from retry_failed(services, hub, mappings)
        yield from _forget_gone(services, hub, known.keys() - mappings.keys())
        services.definitions.note_containers(hub)

    with deadline(TICK_S):
        for_each_hub(services, "sweep", work)


def with_next_run(services: Services, hub: str, mappings: Sequence[Stored[Mapping]]) -> list[Stored[Mapping]]:
    """The mappings with their `nextRunTime`."""
    if len(mappings) == 1:
        instance = mappings[0].instance_id
        sweeps: dict[str, Sweep | None] = {instance: services.sweeps.get(hub, instance)}
    else:
        sweeps = {**services.sweeps.of_hub(hub)}
    times = [next_run(mapping, sweeps.get(mapping.instance_id)) for mapping in mappings]
    return [
        replace(mapping, document=mapping.document.model_copy(update={"next_run_time": time}))
        for mapping, time in zip(mappings, times, strict=True)
    ]


def next_run(mapping: Stored[Mapping], last: Sweep | None) -> datetime | None:
    """When a mapping is swept next; None for one that is paused, or swept at every tick.

    One whose definition was changed since its last sweep is due at once.
    """
    document = mapping.document
    availability = document.mapping_properties.availability
    if document.is_paused or availability is None:
        return None
    if last is None or last.mapping_etag != mapping.etag:
        return document.last_modified
    return availability.next_after(document.created or last.began, last.began)


def wake_left_behind(services: Services, hub: str, mappings: dict[str, Mapping] | None = None) -> Generator[None]:
    """Sends the messages of Ingest runs again whose message was lost or whose worker died; each step is one run.

    Args:
        services: of the process.
        hub: name of the hub.
        mappings: those that are there, by instance; the runs of paused ones are left alone.
    """
    now = services.clock.machine_now()
    paused = {instance for instance, mapping in (mappings or {}).items() if mapping.is_paused}
    for stored in services.runs.unfinished(hub, now - LEFT_BEHIND_AFTER, paused):
        if stored is not None and _is_left_behind(stored, now):
            with suppress(PreconditionError):  # somebody has just taken it up
                services.runs.save(stored)  # so that it is not sent again at the next tick
                queue_run(services, stored)
        yield


def _is_left_behind(stored: StoredRun, now: datetime) -> bool:
    is_claimed = stored.claimed_until is not None and stored.claimed_until >= now
    return stored.run.kind is RunKind.INGEST and not is_claimed


def retry_failed(services: Services, hub: str, mappings: dict[str, Mapping]) -> Generator[None]:
    """Takes up Failed runs again whose pause is over, as far as their blobs still belong to a mapping that works.

    Each step is one run.
    """
    for stored in services.runs.due_again(hub, services.clock.machine_now()):
        mapping = mappings.get(stored.mapping_instance or "") if stored is not None else None
        if stored is not None and mapping is not None and not mapping.is_paused and _belongs(stored, mapping):
            retry_run(services, hub, stored.run.run_id)
        yield


def _request_sweeps(services: Services, targets: list[Target], known: dict[str, Known]) -> Generator[None]:
    now, machine_now = services.clock.now(), services.clock.machine_now()
    for target in targets:
        one = known.get(target.mapping.instance_id, Known())
        if target.mapping.document.is_paused:
            continue
        if one.backfill is not None and one.backfill.is_open:
            # It looks at every blob, so nothing else is asked for.
            if one.backfill.is_lost(machine_now):
                send_backfill_again(services, target.mapping, one.backfill)
                yield
            continue
        if one.scheduled is not None and one.scheduled.is_under_way(machine_now):
            continue
        due = next_run(target.mapping, one.last)
        if due is None or due <= now or one.last is None or is_outdated(one.last, target):
            request_sweep(services, **target.names)
            yield


def _forget_gone(services: Services, hub: str, missing: set[str]) -> Generator[None]:
    """Deletes what is recorded of mappings that are gone, by instance; each step is one mapping.

    None while a connector or a mapping cannot be read: nobody knows then whether it is one of those that are missing.
    """
    if not missing:
        return
    definitions = services.definitions
    try:
        with definitions.consistent_read():
            names = [connector.document.connector_name for connector in definitions.connectors.all(hub)]
            there = {mapping.instance_id for name in names for mapping in definitions.mappings(hub, name)}
    except FatalError:
        return  # it was logged where it was left out
    for instance in missing - there:
        services.sweeps.forget(hub, instance)
        yield


def _targets(services: Services, hub: str) -> list[Target]:
    return [Target(hub, mapping, connector) for connector, mapping in services.definitions.readers(hub)]


def _belongs(stored: StoredRun, mapping: Mapping) -> bool:
    blob = stored.run.blob
    return blob is not None and mapping.matches(blob.container, blob.path)
