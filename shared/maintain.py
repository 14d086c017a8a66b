"""The tables' life beside their rows: upkeep, and their end when a definition is deleted."""

import logging
from collections.abc import Callable, Iterator

from shared.app import Services
from shared.definitions.store import Conditions
from shared.domain.entity_types import EntityKind
from shared.domain.errors import HubError, NotFoundError

logger = logging.getLogger(__name__)


def maintain_all(services: Services) -> None:
    """Compacts, checkpoints and vacuums every table; one that fails does not hold up the others."""
    for hub in services.definitions.hub_names():
        for name, upkeep in _upkeep_of(services, hub):
            try:
                upkeep()
            except HubError as error:
                logger.error("maintenance failed: hub %s table of %s: %s", hub, name, error)


def delete_type(services: Services, hub: str, kind: EntityKind, name: str, conditions: Conditions) -> None:
    """Deletes a type that nothing uses, and its instances.

    The definition goes first: it refuses while somebody uses it, and without it nobody writes to the tables.
    """
    from shared.lake.delete_tables import delete_tables

    try:
        entity_type = services.definitions.entity_type(hub, kind, name).document
    except NotFoundError:
        entity_type = None
    services.definitions.delete_entity_type(hub, kind, name, conditions)
    if entity_type is not None:
        delete_tables(services.lake, hub, entity_type)


def delete_kpi(services: Services, hub: str, name: str, conditions: Conditions) -> None:
    """Deletes a KPI that no connector exports, and its values."""
    from shared.lake.delete_tables import delete_kpi_table

    services.definitions.delete_kpi(hub, name, conditions)
    delete_kpi_table(services.lake, hub, name)


def _upkeep_of(services: Services, hub: str) -> Iterator[tuple[str, Callable[[], None]]]:
    from shared.lake.maintain import maintain, maintain_kpi

    now = services.clock.now()
    days = services.settings.export_retention_days
    for stored in services.definitions.entity_types(hub):
        entity_type = stored.document
        yield entity_type.type_name, lambda kind=entity_type: maintain(services.lake, hub, kind, now, days)  # type: ignore[misc]
    for kpi in services.definitions.kpis(hub):
        name = kpi.document.kpi_name
        yield name, lambda name=name: maintain_kpi(services.lake, hub, name)  # type: ignore[misc]
