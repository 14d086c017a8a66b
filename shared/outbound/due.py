"""What is due: a message in the queue `export` for each slot to fill and each KPI to calculate.

Messages: `{"kind": "Export", "hub", "connector", "entityType", "entityName", "slot"}` and
`{"kind": "Kpi", "hub", "kpi", "slot"}`. One too many does no harm: a slot is planned once, and a KPI that is calculated
again finds nothing new.
"""

import logging
from collections.abc import Generator, Iterator
from datetime import datetime

from shared.app import Services
from shared.clock import iso
from shared.deadline import deadline
from shared.definitions.store import Stored
from shared.domain.connectors import Connector, ExportedEntity, ExportedEntityType
from shared.domain.errors import NotFoundError
from shared.domain.names import same_name
from shared.domain.slot import slot_of
from shared.hub_turns import TICK_S, for_each_hub
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
        for kpi in services.definitions.kpis(hub):
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
    """Every entity that an Outbound connector of the hub lists."""
    for connector in services.definitions.connectors(hub):
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
    oldest = services.slots.oldest(series_of(hub, connector, found))
    return oldest.slot if oldest else None


def _forget_unlisted(services: Services, hub: str) -> Generator[None]:
    """Forgets the slots of entities that no connector lists any more: listed again, they start with everything."""
    # Read before the lists: a series that begins meanwhile is not among these.
    known = services.slots.series_of(hub)
    if not known:
        return
    listed = set()
    for connector, entity in exported_entities(services, hub):
        try:
            listed.add(series_of(hub, connector, find_entity(services, hub, entity)).partition)
        except NotFoundError:
            continue
    for series in known:
        if series.partition not in listed:
            services.slots.forget(series)
            logger.info("slots forgotten: hub %s entity type %s", hub, series.entity_type)
            yield
