"""The messages of the queue `export`: a slot to publish, or a KPI to calculate."""

import logging
from datetime import datetime
from typing import Any

from shared.app import Services
from shared.domain.documents.connectors import ExportedEntityType
from shared.domain.errors import DeferredError, asked_to_wait_s
from shared.domain.function_names import RUN_EXPORT
from shared.domain.slot import slot_of
from shared.kpis.calculate import Calculation, calculate_kpi, give_up_kpi
from shared.outbound.due import hand_out_kpi_exports
from shared.outbound.export_slot import SlotRequest, export_slot, give_up_slot
from shared.storage.queues import ATTEMPTS, following, is_used_up, worker_of
from shared.telemetry.spans import function_span

logger = logging.getLogger(__name__)

# Hub, name and slot of a KPI.
type _KpiRequest = tuple[str, str, datetime]

_CHECK_AGAIN_AFTER_S = 60


def handle_message(services: Services, message: Any, message_id: str, deliveries: int = 1) -> None:
    """Does what a message asks for.

    Where a service asks to be left alone for longer, or others come first at a destination, the message rests.

    Args:
        services: of the process.
        message: as it was sent.
        message_id: tells a second delivery from a second message.
        deliveries: how often it has been delivered, this time included.

    Raises:
        TransientError, FatalError, or anything unexpected: the message is to be delivered again.
    """
    request = _read(message)
    if request is not None:
        with function_span(RUN_EXPORT, message):
            _take(services, message, request, message_id, deliveries)


def _take(
    services: Services, message: Any, request: SlotRequest | _KpiRequest, message_id: str, deliveries: int
) -> None:
    followed = following(message, message_id, deliveries)
    try:
        _carry_out(services, message, request, worker_of(message, message_id))
    except DeferredError as error:
        if error.rest_s is None:
            raise
        services.export_queue.send(followed, error.rest_s)
        logger.warning("a message of the queue export rests for %d s: %s", error.rest_s, error)
    except Exception as error:
        asked = asked_to_wait_s(error)
        # There is no record yet, or it could not be written: the message alone keeps count.
        if asked is not None and services.export_queue.requeue(followed, asked):
            logger.warning("a message of the queue export rests for %d s: %s", asked, error)
            return
        if not is_used_up(message, deliveries):
            if deliveries >= ATTEMPTS:
                give_up(services, message, error)  # the host gives the message to who does not know the reason
            raise
        logger.exception("the attempts of a message are used up")
        give_up(services, message, error)


def _carry_out(services: Services, message: Any, request: SlotRequest | _KpiRequest, worker: str) -> None:
    if isinstance(request, SlotRequest):
        export_slot(services, request, worker)
    else:
        hub, kpi, slot = request
        match calculate_kpi(services, hub, kpi, slot, worker):
            case Calculation.DONE:
                hand_out_kpi_exports(services, hub, kpi, slot)
            case Calculation.BUSY:
                services.export_queue.send(message, delay_s=_CHECK_AGAIN_AFTER_S)


def give_up(services: Services, message: Any, error: Exception | None = None) -> None:
    """Records that a message has exhausted its attempts; the next tick tries again.

    Args:
        services: of the process.
        message: as it was sent.
        error: of the last attempt, where it is known.
    """
    request = _read(message)
    if isinstance(request, SlotRequest):
        give_up_slot(services, request, error)
    elif request is not None:
        give_up_kpi(services, *request)


def _read(message: Any) -> SlotRequest | _KpiRequest | None:
    try:
        match message:
            case {
                "kind": "Export",
                "hub": str(hub),
                "connector": str(connector),
                "entityType": str(entity_type),
                "entityName": str(name),
                "slot": str(slot),
            }:
                return SlotRequest(hub, connector, ExportedEntityType(entity_type), name, _read_slot(slot))
            case {"kind": "Kpi", "hub": str(hub), "kpi": str(kpi), "slot": str(slot)}:
                return hub, kpi, _read_slot(slot)
    except ValueError:
        pass
    logger.error("a message of the queue export is not understood; it is dropped")
    return None


def _read_slot(text: str) -> datetime:
    return slot_of(datetime.fromisoformat(text))
