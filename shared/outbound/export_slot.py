"""The story of an export slot, top to bottom: look, plan, publish what waits, record.

A crash between any two steps is safe: the same message comes again. The plan stands before anything is written, the
blob appears whole under the name that only this slot has, and the records follow.
"""

import logging
import random
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from shared.app import Services
from shared.deadline import seconds_left
from shared.domain.documents.connectors import ConnectorState, ExportedEntityType
from shared.domain.documents.run import RunError
from shared.domain.errors import (
    DeferredError,
    ForeignBlobError,
    ForeignContainerError,
    GoneError,
    HubError,
    LostBlobError,
    NotFoundError,
    OwnContainerError,
    Recovery,
    RefusedError,
    UnavailableError,
    asked_to_wait_s,
    recovery,
)
from shared.domain.names import same_name
from shared.failpoints import FailPoint, failpoint
from shared.ledger.slots import Plan
from shared.outbound.entity import find_entity, listed_entities
from shared.outbound.plan import Export, plan_slot
from shared.outbound.publish import publish_slot
from shared.outbound.slot_run import fail_run, note_attempt, note_wait, skip_run
from shared.telemetry.logs import at_run
from shared.telemetry.spans import span

logger = logging.getLogger(__name__)

# What a destination's account is said to have done (`storage/translate.py`) that did not answer, or asked to wait.
_NO_ANSWER = frozenset({"StorageUnavailable", "Throttled"})
# Seconds until a slot looks again for a turn at its destination: many that wait do not come back all at once.
_NEXT_TURN_S = (20, 40)
# A slot takes less, but for the largest.
_SLOT_TAKES_S = 300.0
# The place that a connector exports to may not be its, or refuses us itself.
_REFUSALS = (OwnContainerError, ForeignContainerError, RefusedError)


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """A slot that is due."""

    hub: str
    connector: str
    entity_type: ExportedEntityType
    entity_name: str
    slot: datetime


def export_slot(services: Services, request: SlotRequest, worker: str) -> None:
    """Fills a slot with what has changed, and publishes it and all before it that wait, oldest first.

    Slots of one entity are published by one worker at a time, `worker` being the id of its queue message. Who finds
    another one at it leaves the slot planned for that one. So it does while a destination is left alone that asked
    for it.

    A destination that refuses us is its owner's matter: the reason is recorded, and the slots wait for the next tick.

    Raises:
        TransientError, FatalError: the message is to be delivered again.
        DeferredError: the slot rests, since a service asked for it (`RunRests`), or others come first at its
            destination (`DestinationBusy`); or there is no time left for the next of many slots (`TimeIsUp`). The
            message is to come again after its `rest_s`.
    """
    export = find_export(services, request, worker)
    if export is None:
        logger.info("nothing to export: the connector or the entity is gone")
        return
    with closing(export):
        _export(export, request)


def _export(export: Export, request: SlotRequest) -> None:
    services = export.services
    plan: Plan | None = None
    try:
        with services.definitions.while_there(request.hub, export.entity.stored):
            with span("plan"):
                plan_slot(export, request.slot)
            failpoint(FailPoint.SLOT_PLANNED)
            while (plan := services.slots.oldest(export.series)) is not None:
                with at_run(plan.run_id), span("publish"):
                    is_published = publish_slot(export, plan)
                if not is_published:
                    logger.info("run %s is another worker's, or rests, and so does what waits behind it", plan.run_id)
                    return
                _note_connection(export, None)
                if seconds_left() < _SLOT_TAKES_S:
                    raise DeferredError("TimeIsUp", "there was no time for all slots that wait at once", rest_s=0)
    except GoneError as error:
        logger.info("nothing to export any more: %s", error)
        if plan is not None:
            skip_run(export, plan, error.code, error.message)
    except DeferredError as error:
        if error.rest_s is not None:
            raise
        raise _put_off(export, plan, error) from error
    except HubError as error:
        if recovery(error) is Recovery.RETRY:
            _give_back(export, plan, error)
            raise
        _record_failure(export, request.slot, error)
        _note_refusal(export, error)
    except Exception as error:
        logger.exception("export of a slot failed unexpectedly")
        message = f"an unexpected {type(error).__name__} ended the attempt; the log of run_export has it"
        if plan is not None:
            note_attempt(export, plan, RunError(code="InternalError", message=message))
        raise


def find_export(services: Services, request: SlotRequest, worker: str | None) -> Export | None:
    """The connector and entity as they are now; None where there is nothing to export any more."""
    with services.definitions.one_look():
        try:
            connector = services.definitions.connector(request.hub, request.connector)
            for listed in listed_entities(connector):
                if listed.entity_type is request.entity_type and same_name(listed.entity_name, request.entity_name):
                    entity = find_entity(services, request.hub, listed)
                    writer = services.definitions.writer(request.hub, connector)
                    return Export(services, request.hub, connector, listed, entity, writer, worker)
        except NotFoundError:
            return None
    return None


def give_up_slot(services: Services, request: SlotRequest, last: Exception | None = None) -> None:
    """Records that a slot was tried in vain, with the reason of the last attempt where there is one.

    Args:
        services: of the process.
        request: the slot.
        last: what ended the last attempt, where it is known; a slot that was not planned has no record of it.
    """
    export = find_export(services, request, worker=None)
    if export is None:
        return
    plan = services.slots.oldest(export.series)
    head = services.slots.head(export.series)
    if plan is None and head is not None and request.slot <= head.last_slot:
        return  # published meanwhile, on another message
    stored = services.runs.get(request.hub, plan.run_id if plan else export.run_id("", request.slot))
    reason = stored.run.error if stored else None
    if reason is not None and (plan is not None or last is None):
        error = UnavailableError(reason.code, reason.message)
    elif plan is None:
        error = UnavailableError("PlanningFailed", f"the slot could not be planned: {_why(last)}")
    else:
        error = UnavailableError("WorkerLost", "the worker ended in the middle of every attempt; see the log")
    _record_failure(export, request.slot, error)
    # Whoever reads this in the record could write it there, so it was not our own account that did not answer.
    if error.code in _NO_ANSWER:
        _note_connection(export, error)


def _why(error: Exception | None) -> str:
    if error is None:
        return "the worker ended in the middle of every attempt; see the log of its instance"
    if isinstance(error, HubError):
        return f"{error.code}: {error.message}"
    return f"an unexpected {type(error).__name__} ended the last attempt; the log of run_export has it"


def _put_off(export: Export, plan: Plan | None, error: DeferredError) -> DeferredError:
    """Has the slot rest that found no turn at its destination, and gives the error that says for how long."""
    rest_s = random.randint(*_NEXT_TURN_S)  # noqa: S311 - jitter is no secret
    if plan is not None:
        note_wait(export, plan, RunError.of(error), rest_s)
    return DeferredError(error.code, error.message, error.target, rest_s=rest_s)


def _give_back(export: Export, plan: Plan | None, error: HubError) -> None:
    """Keeps the reason on the record of the slot that is being published; a slot without a plan has none yet."""
    if plan is None:
        return
    noted = note_attempt(export, plan, RunError.of(error), asked_to_wait_s(error))
    if noted is not None:
        noted.raise_if_resting(error, export.services.clock.machine_now())


def _note_refusal(export: Export, error: HubError) -> None:
    """Lets the connector's state say that its destination refuses us, or what somebody else has put there."""
    if isinstance(error, ForeignBlobError):
        # Every slot of the entity waits at it; the others of the connector come out.
        export.services.definitions.block_export(export.hub, export.connector, export.folder, error.message)
    elif isinstance(error, _REFUSALS) and not isinstance(error, LostBlobError):
        _note_connection(export, error)


def _note_connection(export: Export, error: HubError | None) -> None:
    """Lets the connector's state say how its destination fares; it is written only where that changes."""
    connector = export.connector
    if error is not None:
        export.services.definitions.set_connector_state(export.hub, connector, ConnectorState.FAILED, error.message)
    else:
        export.services.definitions.claim_destination(export.hub, connector, export.destination.sas, export.folder)


def _record_failure(export: Export, slot: datetime, error: HubError) -> None:
    """Records the reason on the slot that failed and on the one that was due and has to wait behind it."""
    slots = export.services.slots
    failed = {
        plan.run_id: plan.slot for plan in (slots.oldest(export.series), slots.planned(export.series, slot)) if plan
    }
    if not failed:
        # Nothing could be planned: the slot has a record all the same.
        failed = {export.run_id("", slot): slot}
    for run_id, failed_slot in failed.items():
        fail_run(export, failed_slot, run_id, error)
