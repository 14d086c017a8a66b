"""The tables' life beside their rows: upkeep, and their end when a definition is deleted."""

import logging
from collections.abc import Callable, Iterator
from functools import partial

from shared.app import Services
from shared.definitions.store import Conditions, Stored
from shared.domain.entity_types import EntityKind, EntityType
from shared.domain.errors import NotFoundError
from shared.domain.kpis import Kpi
from shared.telemetry import failing_alone

logger = logging.getLogger(__name__)


def maintain_all(services: Services) -> None:
    """Compacts, checkpoints and vacuums every table, and tidies the vault; what fails does not hold up the rest."""
    for hub in services.definitions.hub_names():
        with failing_alone("maintenance", hub=hub):
            for name, upkeep in _upkeep_of(services, hub):
                with failing_alone("maintenance", hub=hub, table=name):
                    upkeep()
    if services.settings.key_vault_url:
        with failing_alone("maintenance", vault=services.settings.key_vault_url):
            removed = services.definitions.remove_unnamed_secrets(services.clock.machine_now())
            logger.info("secrets removed that no connector names: %d", removed)


def put_type[T: EntityType](
    services: Services, hub: str, name: str, entity_type: T, conditions: Conditions
) -> tuple[Stored[T], bool]:
    """Creates or replaces a type; a new one starts empty.

    What an earlier type of the name has left behind goes first: its deletion may have been interrupted, or a run that
    was at work then may have written behind it.

    Returns:
        The stored type, and whether it was created.
    """
    _delete_tables(services, hub, entity_type.kind, name)
    return services.definitions.put_entity_type(hub, name, entity_type, conditions)


def delete_type(services: Services, hub: str, kind: EntityKind, name: str, conditions: Conditions) -> None:
    """Deletes a type that nothing uses, and then its instances; repeated, it goes on where it was interrupted."""
    services.definitions.delete_entity_type(hub, kind, name, conditions)
    _delete_tables(services, hub, kind, name)


def put_kpi(services: Services, hub: str, name: str, kpi: Kpi, conditions: Conditions) -> tuple[Stored[Kpi], bool]:
    """Creates or replaces a KPI; a new one starts without values, whatever an earlier one has left behind.

    Returns:
        The stored KPI, and whether it was created.
    """
    _delete_kpi_table(services, hub, name)
    return services.definitions.put_kpi(hub, name, kpi, conditions)


def delete_kpi(services: Services, hub: str, name: str, conditions: Conditions) -> None:
    """Deletes a KPI that no connector exports, and then its values; repeated, it goes on where it was interrupted."""
    services.definitions.delete_kpi(hub, name, conditions)
    _delete_kpi_table(services, hub, name)


def _delete_tables(services: Services, hub: str, kind: EntityKind, name: str) -> None:
    from shared.lake.delete_tables import delete_tables

    find = partial(services.definitions.entity_type, hub, kind, name)
    delete_tables(services.lake, hub, kind, name, may_go=partial(_is_gone, find))


def _delete_kpi_table(services: Services, hub: str, name: str) -> None:
    from shared.lake.delete_tables import delete_kpi_table

    find = partial(services.definitions.kpi, hub, name)
    delete_kpi_table(services.lake, hub, name, may_go=partial(_is_gone, find))


def _is_gone(find: Callable[[], object]) -> bool:
    try:
        find()
    except NotFoundError:
        return True
    return False


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
