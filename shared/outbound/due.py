"""What is due: a message in the queue `export` for each slot to fill and each KPI to calculate.

Messages: `{"kind": "Export", "hub", "connector", "entityType", "entityName", "slot"}` and
`{"kind": "Kpi", "hub", "kpi", "slot"}`. One too many does no harm: a slot is planned once, and a KPI that is calculated
again finds nothing new.
"""

import logging
from collections.abc import Generator, Iterator
from contextlib import suppress
from datetime import datetime

from shared.app import Services
from shared.clock import iso
from shared.deadline import deadline
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.connectors import Connector, ExportedEntity, ExportedEntityType
from shared.domain.errors import FatalError, NotFoundError
from shared.domain.names import same_name
from shared.domain.slot import slot_of
from shared.hub_rotation import TICK_S, for_each_hub
from shared.outbound.entity import find_entity, listed_entities, series_of

logger = logging.getLogger(__name__)


def hand_out_profile_exports(services: Services) -> None:
    """Queues the present slot of every profile type that an Outbound connector lists.

    Values of KPIs that wait for their destination are queued too: they are calculated once a day, but shall not
    wait another day when the destination is well again.
    """
    slot = slot_of(services.clock.now())

    def work(hub: str) -> Generator[None]:
        yield from _forget_unlisted(services, hub)
        yield from _hand_out_exports_of(services, hub, slot)

    with deadline(TICK_S):
        for_each_hub(services, "handing out exports", work)


def hand_out_kpis(services: Services) -> None:
    """Queues the calculation of every KPI."""

    def work(hub: str) -> Generator[None]:
        for kpi in services.definitions.readable_kpis(hub):
            request_kpi(services, hub, kpi.document.kpi_name)
            yield

    for_each_hub(services, "handing out KPIs", work)


def request_kpi(services: Services, hub: str, kpi: str) -> None:
    """Queues the calculation of one KPI; when it is done, its values are exported in the present slot."""
    slot = slot_of(services.clock.now())
    services.export_queue.send({"kind": "Kpi", "hub": hub, "kpi": kpi, "slot": iso(slot)})


def hand_out_kpi_exports(services: Services, hub: str, kpi: str, slot: datetime) -> None:
    """Queues the slot of a KPI for every Outbound connector that lists it."""
    for connector, entity in exported_entities(services, hub):
        if entity.entity_type is ExportedEntityType.KPI and same_name(entity.entity_name, kpi):
            _send_export(services, hub, connector, entity, slot)


def exported_entities(services: Services, hub: str) -> Iterator[tuple[Stored[Connector], ExportedEntity]]:
    """Every entity that an Outbound connector of the hub lists, as far as the connectors can be read."""
    for connector in services.definitions.connectors.readable(hub):
        for entity in listed_entities(connector):
            yield connector, entity


def _hand_out_exports_of(services: Services, hub: str, slot: datetime) -> Generator[None]:
    for connector, entity in exported_entities(services, hub):
        if entity.entity_type is ExportedEntityType.PROFILE:
            _send_export(services, hub, connector, entity, slot)
        elif (waiting := _waiting_since(services, hub, connector, entity)) is not None:
            _send_export(services, hub, connector, entity, waiting)
        yield


def _send_export(
    services: Services,
    hub: str,
    connector: Stored[Connector],
    entity: ExportedEntity,
    slot: datetime,
) -> None:
    services.export_queue.send(
        {
            "kind": "Export",
            "hub": hub,
            "connector": connector.document.connector_name,
            "entityType": entity.entity_type.value,
            "entityName": entity.entity_name,
            "slot": iso(slot),
        }
    )


def _waiting_since(
    services: Services, hub: str, connector: Stored[Connector], entity: ExportedEntity
) -> datetime | None:
    """The oldest slot of an entity that is planned and not published."""
    try:
        found = find_entity(services, hub, entity)
    except NotFoundError:
        return None
    except FatalError as error:
        # It cannot be read; the others of the hub can.
        logger.error("entity left out: hub %s connector %s: %s", hub, connector.document.connector_name, error)
        return None
    oldest = services.slots.oldest(series_of(hub, connector, found))
    return oldest.slot if oldest else None


def _forget_unlisted(services: Services, hub: str) -> Generator[None]:
    """Forgets the slots of entities that no connector lists any more: listed again, they start with everything.

    None while a connector or a listed entity cannot be read: nobody knows then what it is that is listed.
    """
    # Read before the lists: a series that begins meanwhile is not among these.
    known = services.slots.series_of(hub)
    while known:
        try:
            # A consistent read of its own for each, which is one request while nobody changes the hub.
            with services.definitions.consistent_read():
                listed = _listed(services, hub)
        except FatalError as error:
            logger.error("slots are kept: hub %s: %s", hub, error)
            return
        unlisted = [series for series in known if series.partition not in listed]
        if not unlisted:
            return
        services.slots.forget(unlisted[0])
        logger.info("slots forgotten: hub %s entity type %s", hub, unlisted[0].entity_type)
        # Others have their turns now, and may put the rest back on a list.
        known = unlisted[1:]
        yield


def _listed(services: Services, hub: str) -> set[str]:
    """The partitions of the series of all that is listed; FatalError where something of that cannot be read."""
    listed = set()
    for connector in services.definitions.connectors.all(hub):
        for entity in listed_entities(connector):
            with suppress(NotFoundError):
                listed.add(series_of(hub, connector, find_entity(services, hub, entity)).partition)
    return listed
