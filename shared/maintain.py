"""The tables' life beside their rows: upkeep, and their end when a definition is deleted."""

import logging
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from shared.app import Services
from shared.deadline import WORK_S, seconds_left
from shared.definitions.store import Conditions, Stored
from shared.domain.entity_types import EntityKind
from shared.domain.errors import GoneError
from shared.failpoints import FailPoint, failpoint
from shared.hub_turns import for_each_hub
from shared.telemetry import failing_alone

logger = logging.getLogger(__name__)

# For the upkeep of one table. None is begun in the second half of the function's time, which is for what is left.
_TABLE_S = WORK_S / 2
_PATH_S = 60.0


def maintain_all(services: Services) -> None:
    """Compacts, checkpoints and vacuums every table, and tidies up; what fails does not hold up the rest.

    What is left of tables that were deleted goes: their deletion may have been interrupted, or somebody who was at work
    then may have written behind it. So do secrets that no connector names.
    """

    def work(hub: str) -> Generator[None]:
        for name, upkeep in upkeep_of(services, hub):
            with failing_alone("maintenance", hub=hub, table=name):
                upkeep()
            yield

    for_each_hub(services, "maintenance", work, _TABLE_S)
    with failing_alone("removing what deleted types left"):
        delete_remains(services)
    if services.settings.key_vault_url:
        with failing_alone("maintenance", vault=services.settings.key_vault_url):
            removed = services.definitions.remove_unnamed_secrets(services.clock.machine_now())
            logger.info("secrets removed that no connector names: %d", removed)


def delete_type(services: Services, hub: str, kind: EntityKind, name: str, conditions: Conditions) -> None:
    """Deletes a type that nothing uses, and then its instances; repeated, it goes on where it was interrupted."""
    from shared.lake.delete_tables import delete_tables

    paths = services.definitions.delete_entity_type(hub, kind, name, conditions)
    failpoint(FailPoint.TYPE_DELETED)
    delete_tables(services.lake, paths)


def delete_kpi(services: Services, hub: str, name: str, conditions: Conditions) -> None:
    """Deletes a KPI that no connector exports, and then its values; repeated, it goes on where it was interrupted."""
    from shared.lake.delete_tables import delete_tables

    delete_tables(services.lake, services.definitions.delete_kpi(hub, name, conditions))


def delete_remains(services: Services) -> None:
    """Deletes what lies at paths in the lake that no type and no KPI has any more, nor ever will, while there is time.

    Raises:
        UnavailableError: storage does not answer.
    """
    from shared.lake.delete_tables import delete_tables, remaining

    for path in remaining(services.lake, services.definitions.retired_paths()):
        if seconds_left() < _PATH_S:
            logger.warning("removing what deleted types left goes on with the next maintenance, for want of time")
            return
        with failing_alone("removing what a deleted type left", path=path):
            delete_tables(services.lake, [path])


def upkeep_of(services: Services, hub: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The names of a hub's types and KPIs, and what is to be done for each; nothing where it is deleted meanwhile."""
    from shared.lake.maintain import maintain, maintain_kpi

    now, days = services.clock.now(), services.settings.export_retention_days
    for stored in services.definitions.readable_types(hub):
        entity_type = stored.document
        upkeep = partial(maintain, services.lake, entity_type, now, days)
        yield entity_type.type_name, partial(_while_there, services, hub, stored, upkeep)
    for kpi in services.definitions.readable_kpis(hub):
        upkeep = partial(maintain_kpi, services.lake, kpi.document)
        yield kpi.document.kpi_name, partial(_while_there, services, hub, kpi, upkeep)


def _while_there(services: Services, hub: str, stored: Stored[Any], upkeep: Callable[[], None]) -> None:
    try:
        with services.definitions.while_there(hub, stored):
            upkeep()
    except GoneError as error:
        logger.info("maintenance was left off: %s", error)
