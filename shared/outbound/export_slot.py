"""The story of an export slot, top to bottom: look, plan, publish what waits, record.

A crash between any two steps is safe: the same message comes again. The plan stands before anything is written, the
blob appears whole under the name that only this slot has, and the records follow.
"""

import logging
import random
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from shared.app import Services
from shared.deadline import seconds_left
from shared.domain.documents.connectors import ConnectorState, ExportedEntityType
from shared.domain.documents.run import RunError, RunState
from shared.domain.errors import (
    ClaimLostError,
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
    recovery,
)
from shared.domain.names import same_name
from shared.failpoints import FailPoint, failpoint
from shared.ledger.slots import Plan
from shared.ledger.stored_run import Ending
from shared.outbound.entity import find_entity, listed_entities
from shared.outbound.plan import Export, plan_slot
from shared.outbound.publish import publish_slot
from shared.outbound.slot_run import claim_slot, fail_unclaimed_run, is_done
from shared.telemetry.logs import at_run
from shared.telemetry.spans import span

logger = logging.getLogger(__name__)

# Seconds until a slot looks again for a turn at its destination: many that wait do not come back all at once.
_NEXT_TRY_S = (20, 40)
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
    export = find_export(services, request)
    if export is None:
        logger.info("nothing to export: the connector or the entity is gone")
        return
    with closing(export):
        _export(export, request, worker)


def _export(export: Export, request: SlotRequest, worker: str) -> None:
    try:
        with _while_there(export), span("plan"):
            plan_slot(export, request.slot)
        failpoint(FailPoint.SLOT_PLANNED)
        while (plan := export.services.slots.oldest(export.series)) is not None:
            with at_run(plan.run_id), span("publish"):
                if not _publish(export, request, plan, worker):
                    return
            _note_connection(export, None)
            if seconds_left() < _SLOT_TAKES_S:
                raise DeferredError("TimeIsUp", "there was no time for all slots that wait at once", rest_s=0)
    except ClaimLostError as error:
        logger.info("what waits is exported elsewhere: %s", error)
    except GoneError as error:
        logger.info("nothing to export any more: %s", error)
    except DeferredError as error:
        _put_off(error)
    except HubError as error:
        if recovery(error) is Recovery.RETRY:
            raise
        _record_failure(export, request.slot, RunError.of(error), worker)
        _note_refusal(export, error)


def _publish(export: Export, request: SlotRequest, plan: Plan, worker: str) -> bool:
    """Publishes a slot, as far as nobody else does; False where it waits, or is not wanted any more."""
    claim = claim_slot(export, plan, worker)
    if claim is None:
        if not is_done(export, plan):
            logger.info("run %s is another worker's, or rests, and so does what waits behind it", plan.run_id)
            return False
        with _while_there(export):
            publish_slot(export, plan, None)
        return True

    def publish() -> bool:
        try:
            with _while_there(export):
                publish_slot(export, plan, claim)
        except DeferredError as error:
            _put_off(error)
        return True

    def refuse(error: HubError) -> None:
        if isinstance(error, GoneError):
            claim.end(Ending(RunState.SKIPPED, RunError.of(error)))
            logger.info("nothing to export any more: %s", error)
            return
        claim.end(Ending(RunState.FAILED, RunError.of(error)))
        _record_failure(export, request.slot, RunError.of(error), worker, but=plan)
        _note_refusal(export, error)

    return claim.carry_out(publish, refuse) is not None


def _while_there(export: Export) -> AbstractContextManager[None]:
    return export.services.definitions.while_there(export.hub, export.entity.stored)


def find_export(services: Services, request: SlotRequest) -> Export | None:
    """The connector and entity as they are now; None where there is nothing to export any more."""
    with services.definitions.consistent_read():
        try:
            connector = services.definitions.connector(request.hub, request.connector)
            for listed in listed_entities(connector):
                if listed.entity_type is request.entity_type and same_name(listed.entity_name, request.entity_name):
                    entity = find_entity(services, request.hub, listed)
                    writer = services.definitions.connectors.writer(request.hub, connector)
                    return Export(services, request.hub, connector, listed, entity, writer)
        except NotFoundError:
            return None
    return None


def give_up_slot(services: Services, request: SlotRequest, last: Exception | None = None) -> None:
    """Records that the attempts at a slot are exhausted, with the reason of the last attempt where there is one.

    Args:
        services: of the process.
        request: the slot.
        last: what ended the last attempt, where it is known; a slot that was not planned has no record of it.
    """
    export = find_export(services, request)
    if export is None:
        return
    plan = services.slots.oldest(export.series)
    head = services.slots.head(export.series)
    if plan is None and head is not None and request.slot <= head.last_slot:
        return  # published meanwhile, on another message
    stored = services.runs.get(request.hub, plan.run_id if plan else export.run_id("", request.slot))
    reason = stored.run.error if stored else None
    if plan is None and (reason is None or last is not None):
        reason = RunError(code="PlanningFailed", message=f"the slot could not be planned: {_why(last)}")
    reason = reason or RunError.worker_lost()
    _record_failure(export, request.slot, reason, worker=None)
    # Whoever reads this in the record could write it there, so it was not our own account that did not answer.
    if reason.is_no_answer:
        _note_connection(export, reason.message)


def _why(error: Exception | None) -> str:
    if error is None:
        return "the worker ended in the middle of every attempt; see the log of its instance"
    if isinstance(error, HubError):
        return f"{error.code}: {error.message}"
    return f"an unexpected {type(error).__name__} ended the last attempt; the log of run_export has it"


def _put_off(error: DeferredError) -> NoReturn:
    """Raises the error with how long to rest, where it does not say so: it found no turn at its destination."""
    if error.rest_s is not None:
        raise error
    rest_s = random.randint(*_NEXT_TRY_S)  # noqa: S311 - jitter is no secret
    raise DeferredError(error.code, error.message, error.target, rest_s=rest_s) from error


def _note_refusal(export: Export, error: HubError) -> None:
    """Lets the connector's state say that its destination refuses us, or what somebody else has put there."""
    if isinstance(error, ForeignBlobError):
        # Every slot of the entity waits at it; the others of the connector come out.
        destinations = export.services.definitions.connectors.destinations
        destinations.block(export.hub, export.connector, export.folder, error.message)
    elif isinstance(error, _REFUSALS) and not isinstance(error, LostBlobError):
        _note_connection(export, error.message)


def _note_connection(export: Export, failure: str | None) -> None:
    """Lets the connector's state say how its destination fares; it is written only where that changes."""
    connector, connectors = export.connector, export.services.definitions.connectors
    if failure is not None:
        connectors.set_state(export.hub, connector, ConnectorState.FAILED, failure)
    else:
        connectors.destinations.claim(export.hub, connector, export.destination.sas, export.folder)


def _record_failure(
    export: Export, slot: datetime, reason: RunError, worker: str | None, but: Plan | None = None
) -> None:
    """Records the reason on the slot that failed and on the one that was due and has to wait behind it.

    Args:
        export: that failed.
        slot: that was due.
        reason: why it failed.
        worker: as in `fail_unclaimed_run`.
        but: the slot that failed where it was claimed, and has its reason.
    """
    slots = export.services.slots
    failed = {
        plan.run_id: plan.slot for plan in (slots.oldest(export.series), slots.planned(export.series, slot)) if plan
    }
    if not failed:
        # Nothing could be planned: the slot has a record all the same.
        failed = {export.run_id("", slot): slot}
    for run_id, failed_slot in failed.items():
        if but is None or run_id != but.run_id:
            fail_unclaimed_run(export, failed_slot, run_id, reason, worker)
