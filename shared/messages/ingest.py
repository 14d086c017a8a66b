"""The messages of the queue `ingest`: a run to carry out, a file to move or delete, or a mapping to sweep."""

import logging
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from shared.app import Services
from shared.arrivals.sweep import carry_out_backfill, give_up_sweep, sweep_by_schedule
from shared.domain.documents.run import RunError, RunKind
from shared.domain.errors import ClaimLostError, DeferredError, NotFoundError, PausedError, asked_to_wait_s
from shared.domain.function_names import INGEST_BLOB
from shared.failpoints import FailPoint, failpoint
from shared.hub_records import delete_files_of_gone_run
from shared.ingest.attempt import take
from shared.ingest.complete_later import complete_files, complete_later, give_up_files
from shared.ingest.ingest_blob import give_up_run, ingest_blob
from shared.repair.correct_run import correct_run, give_up_correction
from shared.storage.queues import following, is_used_up, with_tries, worker_of
from shared.telemetry.logs import at_run
from shared.telemetry.spans import function_span, span

logger = logging.getLogger(__name__)


def handle_message(services: Services, message: Any, message_id: str, deliveries: int = 1) -> None:
    """Does what a message asks for; one that nobody understands is logged and dropped.

    Where a service asks to be left alone for longer than the queue waits, the message rests for as long.

    Args:
        services: of the process.
        message: as it was sent.
        message_id: tells a second delivery from a second message.
        deliveries: how often it has been delivered, this time included.

    Raises:
        TransientError, FatalError, or anything unexpected: the message is to be delivered again.
    """
    with at_run(_run_of(message)), _span_of(message):
        _take(services, message, message_id, deliveries)


def _take(services: Services, message: Any, message_id: str, deliveries: int) -> None:
    try:
        _carry_out(services, message, message_id)
    except DeferredError as error:
        if error.rest_s is None:
            _requeue(services, message, deliveries, error)
        else:
            services.ingest_queue.send(following(message, message_id, deliveries), error.rest_s)
            logger.warning("a message of the queue ingest rests for %d s: %s", error.rest_s, error)
    except Exception as error:
        asked = asked_to_wait_s(error)
        # A run that was given back has said whether it rests. Else the message alone keeps count.
        if asked is not None and services.ingest_queue.requeue(following(message, message_id, deliveries), asked):
            logger.warning("a message of the queue ingest rests for %d s: %s", asked, error)
            return
        if not is_used_up(message, deliveries):
            raise
        logger.exception("the attempts of a message are used up")
        give_up(services, message)


def _span_of(message: Any) -> AbstractContextManager[None]:
    """A sweep has no span: each of the thousands of runs that it may queue begins a trace of its own."""
    return nullcontext() if _run_of(message) is None else function_span(INGEST_BLOB, message)


def _run_of(message: Any) -> str | None:
    run_id = message.get("runId") if isinstance(message, dict) else None
    return run_id if isinstance(run_id, str) else None


def carry_out_run(services: Services, hub: str, run_id: str, worker: str) -> None:
    """Carries out a run that waits, or the correction that it waits with, exactly once however often it is called.

    Args:
        services: of the process.
        hub: name of the hub.
        run_id: the recorded run.
        worker: id of the queue message; it tells a second delivery from a second message.

    Raises:
        TransientError, FatalError, or anything unexpected: the message is to be delivered again.
        DeferredError: the mapping is paused or the source is busy; the run is Queued as before.
    """
    with span("claim"):
        attempt = take(services, hub, run_id, worker)
    if attempt is None:
        return
    failpoint(FailPoint.RUN_CLAIMED)
    try:
        if attempt.stored.correction is None:
            ingest_blob(services, attempt)
        else:
            correct_run(services, attempt)
    except ClaimLostError:
        logger.info("run %s is in the hands of another worker, or its hub is gone", run_id)
        delete_files_of_gone_run(services, hub, run_id)


def give_up(services: Services, message: Any) -> None:
    """Marks the run Failed whose message has exhausted its attempts; the reason of the last attempt is kept.

    A run that failed for want of a service, not by its data or by us, the reconciler takes up again.

    Raises:
        ClaimLostError: the run goes on elsewhere at this very moment; the next delivery looks again.
        TransientError: so it does where storage does not answer.
    """
    with at_run(_run_of(message)):
        _give_up(services, message)


def _give_up(services: Services, message: Any) -> None:
    match message:
        case {"complete": True, "runId": str(run_id)}:
            # Its rows are in, whatever becomes of the file; the next sweep asks for it again.
            logger.error("the file of run %s could not be moved or deleted: given up", run_id)
        case {"complete": True, "hub": str(hub), "connector": str(connector), "mapping": str(mapping)}:
            logger.error("files could not be moved or deleted: hub %s mapping %s: given up", hub, mapping)
            give_up_files(services, hub, connector, mapping, str(message.get("number", "")))
        case {"sweep": True, "hub": str(hub), "connector": str(connector), "mapping": str(mapping)}:
            logger.error("sweep failed: hub %s connector %s mapping %s: given up", hub, connector, mapping)
            lost = "every attempt at the sweep failed; see the log, then ask for it again"
            number = str(message.get("backfill", ""))
            give_up_sweep(services, hub, connector, mapping, number, RunError(code="SearchFailed", message=lost))
        case {"hub": str(hub), "runId": str(run_id)}:
            stored = services.runs.get(hub, run_id)
            if stored is None or stored.run.kind is not RunKind.INGEST or stored.run.state.is_final:
                return
            if stored.correction is not None:
                give_up_correction(services, stored)
            else:
                give_up_run(services, stored)
        case _:
            logger.error("a message of the queue ingest-poison is not understood; it is dropped")


def _carry_out(services: Services, message: Any, message_id: str) -> None:
    match message:
        case {"sweep": True, "hub": str(hub), "connector": str(connector), "mapping": str(mapping)}:
            if number := str(message.get("backfill") or ""):
                wake = message.get("wake") is True
                carry_out_backfill(services, hub, connector, mapping, number, wake=wake)
            else:
                requested = message.get("requested")
                moment = datetime.fromisoformat(requested) if isinstance(requested, str) else None
                sweep_by_schedule(services, hub, connector, mapping, moment)
        case {"complete": True, "hub": str(hub), "runId": str(run_id)}:
            services.source_permits.check(hub, str(message.get("connector") or ""))
            complete_later(services, hub, run_id)
        case {"complete": True, "hub": str(hub), "connector": str(connector), "mapping": str(mapping)}:
            services.source_permits.check(hub, connector)
            number, refused = str(message.get("number", "")), message.get("refused")
            tried = refused if isinstance(refused, int) else 0
            complete_files(services, hub, connector, mapping, number, tried, str(message.get("place", "")))
        case {"hub": str(hub), "runId": str(run_id)}:
            services.source_permits.check(hub, str(message.get("connector") or ""))
            carry_out_run(services, hub, run_id, worker=worker_of(message, message_id))
        case _:
            logger.error("a message of the queue ingest is not understood; it is dropped")


def _requeue(services: Services, message: dict[str, Any], deliveries: int, reason: DeferredError) -> None:
    """Sends a message again for later; this delivery was no attempt. During a pause it is dropped instead."""
    if isinstance(reason, PausedError) and _is_still_paused(services, message):
        return
    services.ingest_queue.put_off(with_tries(message, deliveries))


def _is_still_paused(services: Services, message: dict[str, Any]) -> bool:
    """Whether nobody has resumed the mapping while its run was requeued: the resume sends what it finds Queued."""
    stored = services.runs.get(message["hub"], message["runId"])
    if stored is None:
        return True
    run = stored.run
    try:
        return services.definitions.mapping(stored.hub, run.connector or "", run.mapping or "").document.is_paused
    except NotFoundError:
        return False
