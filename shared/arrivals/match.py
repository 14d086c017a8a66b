"""From an event to queued runs: which mappings does the blob version belong to?"""

import json
import logging
import math
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from shared.app import Services
from shared.clock import iso
from shared.deadline import seconds_left
from shared.definitions.mappings import HUB_INSTANCE
from shared.definitions.places.readers import Listener
from shared.definitions.store.definition_store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run, RunBlob, RunKind, RunState, blob_ledger_key, ingest_run_id
from shared.domain.errors import HubError, InvalidRequestError, PreconditionError
from shared.domain.function_names import BLOB_CREATED
from shared.failpoints import FailPoint, failpoint
from shared.hub_records import is_still
from shared.ledger.stored_run import StoredRun
from shared.redact import without_secrets
from shared.storage.event_grid import is_committing, parse_blob_created
from shared.telemetry.spans import function_span

logger = logging.getLogger(__name__)

_MOST_SWEEPS = 64
# Of the time of an event: what is left of it then is for asking for sweeps.
_RUN_S = 5.0
_IDENTIFYING = ("id", "eventType", "type", "subject")


def handle_event(services: Services, event: object) -> list[str]:
    """Records the blob version that an event announces and queues it for each mapping that it matches.

    An event that can never be good is recorded and taken: Event Grid would only deliver it again.

    Args:
        services: of the process.
        event: the value of its JSON, whatever that is.

    Returns:
        The ids of the runs; empty where the event is not for us.

    Raises:
        TransientError: nothing is lost if the event is delivered again.
    """
    with function_span(BLOB_CREATED):
        return _handle_event(services, event)


def _handle_event(services: Services, event: object) -> list[str]:
    try:
        created = parse_blob_created(event)
    except InvalidRequestError as error:
        _record_bad_event(services, event, error)
        return []
    if not is_committing(created.api):
        logger.info("event ignored: api %s commits no content", created.api)
        return []
    failpoint(FailPoint.EVENT_RECEIVED)
    version = BlobVersion(created.container, created.path, created.etag, created.size, created.sequencer)
    # Where nobody says which account has the blob it is nobody's: whoever hears of it would learn what others have.
    listeners = services.definitions.listeners(created.account, version.container) if created.account else []
    matching = [
        listener
        for listener in listeners
        # What comes during a pause is found by the sweep that ends it.
        if not listener.mapping.document.is_paused
        and listener.mapping.document.matches(version.container, version.path)
    ]
    runs = [(new_run(services, one.hub, one.mapping, version), one.mapping) for one in matching if one.may_hear]
    queued: list[str] = []
    for run, mapping in runs:
        if seconds_left() < _RUN_S:
            _leave_to_sweeps(services, version, runs[len(queued) :])
            break
        queued.append(_queue(services, run, mapping, is_fresh=True))
    _request_first_listings(services, [one for one in matching if not one.may_hear])
    if not runs:
        logger.info("event ignored: no mapping that may read the container, and is not paused, matches the blob")
    return queued


def _leave_to_sweeps(
    services: Services, version: BlobVersion, runs: Sequence[tuple[StoredRun, Stored[Mapping]]]
) -> None:
    """Asks for sweeps where hundreds of mappings match one blob: delivered again, the event would come no further.

    For some of them at most; a tick asks for the others.
    """
    logger.warning("event left to sweeps for want of time: %d mappings of container %s", len(runs), version.container)
    for run, mapping in runs[:_MOST_SWEEPS]:
        document = mapping.document
        request_sweep(services, run.hub, document.connector_name, document.connector_mapping_name)


def _request_first_listings(services: Services, listeners: Sequence[Listener]) -> None:
    """Asks for the sweeps that list a container first and find the blob: it was made after the mappings, say.

    Of one hub for some at most, since it may have mappings by the thousand; a tick asks for the others. A sweep that
    was asked for a moment ago may have come too early: another one comes after it, however many events there are.
    """
    asked: Counter[str] = Counter()
    for listener in listeners:
        document = listener.mapping.document
        named = (listener.mapping.instance_id, document.container)
        if asked[listener.hub] == _MOST_SWEEPS or (seconds := services.first_listings.due_in(named)) is None:
            continue
        asked[listener.hub] += 1
        try:
            names = (document.connector_name, document.connector_mapping_name)
            _send_sweep(services, listener.hub, *names, math.ceil(seconds))
        except HubError:
            services.first_listings.forget(named)
            raise


def request_sweep(services: Services, hub: str, connector: str, mapping: str) -> None:
    """Asks for a sweep of one mapping by the schedule: one that comes to nothing is asked for again by the next."""
    _send_sweep(services, hub, connector, mapping, 0)


def _send_sweep(services: Services, hub: str, connector: str, mapping: str, delay_s: int) -> None:
    message = {"hub": hub, "connector": connector, "mapping": mapping, "sweep": True}
    services.ingest_queue.send({**message, "requested": iso(services.clock.now())}, delay_s)


def queue_version(
    services: Services, hub: str, mapping: Stored[Mapping], version: BlobVersion, delay_s: int = 0
) -> str:
    """Makes sure that the version has its one run for the mapping, and that the queue knows of it.

    A run that is still Queued is sent again: whoever created it may have died before it was sent, and a
    message too many does no harm. Of a mapping that is gone by now nothing is recorded. Must not be called within a
    consistent read.

    Args:
        services: of the process.
        hub: name of the hub.
        mapping: that the version matches.
        version: of the blob.
        delay_s: after which the run may begin.

    Returns:
        The run's id.
    """
    return _queue(services, new_run(services, hub, mapping, version), mapping, delay_s, is_fresh=False)


def _queue(services: Services, run: StoredRun, mapping: Stored[Mapping], delay_s: int = 0, *, is_fresh: bool) -> str:
    """As `queue_version`, for the run of one; `is_fresh` says that its mapping was found a moment ago."""
    if _record(services, run, mapping, is_fresh=is_fresh):
        failpoint(FailPoint.RUN_RECORDED)
        queue_run(services, run, delay_s)
        failpoint(FailPoint.RUN_QUEUED)
    else:
        _queue_known(services, run, delay_s)
    return run.run.run_id


def _record(services: Services, run: StoredRun, mapping: Stored[Mapping], *, is_fresh: bool) -> bool:
    """Records a run, unless it is known, or its mapping is gone, with its hub maybe.

    Of a hub that goes at this very moment the run is taken back by whoever carries it out, so that events do without
    another read. Who works through thousands of files needs one, and a mapping that an earlier release has stored, for
    it does not name its hub.
    """
    if is_fresh and run.hub_instance is not None:
        return services.runs.create(run)
    names = mapping.document.connector_name, mapping.document.connector_mapping_name
    return services.runs.create_for(
        run, lambda: is_still(lambda: services.definitions.mapping(run.hub, *names), mapping)
    )


def _queue_known(services: Services, run: StoredRun, delay_s: int) -> None:
    known = services.runs.get(run.hub, run.run.run_id)
    if known is not None and known.run.state is RunState.QUEUED:
        _note_sequencer(services, known, run.run.blob)
        queue_run(services, known, delay_s)


def _note_sequencer(services: Services, known: StoredRun, announced: RunBlob | None) -> None:
    """Adds what only the event knows to a run that was found by listing before it."""
    blob, sequencer = known.run.blob, announced.sequencer if announced else None
    if blob is None or blob.sequencer is not None or sequencer is None or known.number is not None:
        return
    with suppress(PreconditionError):  # somebody has just taken it up
        services.runs.save(known.with_run(blob=blob.model_copy(update={"sequencer": sequencer})))


def queue_run(services: Services, stored: StoredRun, delay_s: int = 0) -> None:
    """Sends the message that has a run carried out, after `delay_s` seconds."""
    send_run(services, stored.hub, stored.run.connector, stored.run.run_id, delay_s)


def send_run(services: Services, hub: str, connector: str | None, run_id: str, delay_s: int = 0) -> None:
    """Sends the message of a run of which no more is known."""
    services.ingest_queue.send({"hub": hub, "connector": connector, "runId": run_id}, delay_s)


def request_completion(services: Services, hub: str, connector: str, run_id: str) -> None:
    """Sends the message that has the file of a run moved or deleted."""
    services.ingest_queue.send({"hub": hub, "connector": connector, "runId": run_id, "complete": True})


def request_completions(services: Services, hub: str, mapping: Stored[Mapping]) -> None:
    """Asks for the files of a mapping to be moved or deleted that could not be, unless a message is at it already."""
    if services.sweeps.ask_completion(hub, mapping.instance_id, services.clock.machine_now()):
        try:
            send_completions(services, hub, mapping, uuid.uuid4().hex)
        except HubError:
            with suppress(HubError):  # or the next sweep would wait for a message that there is not
                services.sweeps.end_completion(hub, mapping.instance_id)
            raise


def send_completions(
    services: Services, hub: str, mapping: Stored[Mapping], number: str, refused: int = 0, place: str = ""
) -> None:
    """Sends the message that works through these files, or goes on from a place when so many have been refused."""
    document = mapping.document
    message = {"hub": hub, "connector": document.connector_name, "mapping": document.connector_mapping_name}
    services.ingest_queue.send({**message, "complete": True, "number": number, "refused": refused, "place": place})


def new_run(services: Services, hub: str, mapping: Stored[Mapping], version: BlobVersion) -> StoredRun:
    """The Queued run of a blob version for a mapping; not stored yet."""
    document = mapping.document
    run_id = ingest_run_id(hub, document.connector_name, document.connector_mapping_name, mapping.instance_id, version)
    run = Run(
        run_id=run_id,
        kind=RunKind.INGEST,
        connector=document.connector_name,
        mapping=document.connector_mapping_name,
        entity_type=document.entity_type.value,
        entity_type_name=document.entity_type_name,
        blob=RunBlob(
            container=version.container,
            path=version.path,
            etag=version.etag,
            size=version.size,
            sequencer=version.sequencer,
        ),
        queued_at=services.clock.now(),
    )
    ledger_key = blob_ledger_key(mapping.instance_id, version.container, version.path)
    return StoredRun(
        hub=hub,
        run=run,
        ledger_key=ledger_key,
        mapping_instance=mapping.instance_id,
        hub_instance=mapping.internal.get(HUB_INSTANCE),
    )


def _record_bad_event(services: Services, event: object, error: InvalidRequestError) -> None:
    # Only what identifies the event is kept: the rest comes from outside and may hold anything.
    given = event if isinstance(event, dict) else {}
    kept = [name for name in _IDENTIFYING if isinstance(given.get(name), str)]
    facts = {name: without_secrets(given[name])[:1024] for name in kept}
    now = services.clock.machine_now()
    services.bad_events.insert(
        {
            "PartitionKey": f"{now:%Y-%m-%d}",
            "RowKey": f"{now:%H%M%S%f}-{uuid.uuid4().hex}",
            "event": json.dumps(facts),
            "message": error.message[:4096],
        }
    )
    logger.warning("malformed event recorded: %s", error.message)
