"""The tables' life beside their rows: upkeep, and their end when a definition is deleted."""

import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.app import Services
from shared.deadline import WORK_S, seconds_left
from shared.definitions.store.definition_store import Conditions, Stored
from shared.domain.documents.entity_types import EntityKind
from shared.domain.errors import GoneError
from shared.failpoints import FailPoint, failpoint
from shared.hub_records import delete_remains_of_hubs
from shared.hub_rotation import for_each_hub
from shared.ledger.upkeep_times import Upkeep
from shared.telemetry.logs import failing_alone

logger = logging.getLogger(__name__)

# For the upkeep of one table. None is begun in the second half of the function's time, which is for what is left.
_TABLE_S = WORK_S / 2
_PATH_S = 60.0
# A profile type that waits for its refresh for longer is refreshed before all other upkeep. There are some more nights
# for it until the log of `changes` forgets a commit: then nobody could read the type any more.
_OF_LOG_RETENTION = 1 / 4


@dataclass(frozen=True)
class TableUpkeep:
    """What is to be done for the tables of a type or a KPI; nothing where that is deleted meanwhile.

    Attributes:
        name: of the type or KPI.
        instance: of its definition.
        work: the whole, and for a profile type the part that keeps it readable.
    """

    name: str
    instance: str
    work: Mapping[Upkeep, Callable[[], None]]


def maintain_all(services: Services) -> None:
    """Compacts, checkpoints and vacuums every table, and tidies up; what fails does not hold up the rest.

    Of the hubs, and of the tables of each, those come first whose upkeep is longest ago: several nights that are too
    short for all reach all. Profile types whose refresh is long overdue are refreshed before anything else.

    What is left of tables that were deleted goes: their deletion may have been interrupted, or somebody who was at work
    then may have written behind it. So do secrets that no connector names.
    """
    from shared.lake.log.tables import log_retention

    times = services.upkeep_times()
    overdue = services.clock.now() - log_retention(services.settings) * _OF_LOG_RETENTION

    def work(what: Upkeep, hub: str) -> Generator[None]:
        tables = tables_of(services, hub)
        times.keep_tables(hub, {table.instance for table in tables})
        for table in sorted(tables, key=lambda table: times.last(table.instance, what)):
            is_due = what is Upkeep.WHOLE or times.last(table.instance, what) < overdue
            if what in table.work and is_due:
                with failing_alone("maintenance", hub=hub, table=table.name):
                    times.note(hub, table.instance, what, services.clock.now())
                    table.work[what]()
                yield

    for what in (Upkeep.REFRESH, Upkeep.WHOLE):
        for_each_hub(services, "maintenance", partial(work, what), _TABLE_S, times.last_of_hubs(what))
    with failing_alone("forgetting the upkeep of deleted hubs"):
        times.keep_hubs(services.definitions.hub_names())
    with failing_alone("removing what deleted types left"):
        delete_remains(services)
    with failing_alone("removing what deleted hubs left"):
        delete_remains_of_hubs(services)
    if services.settings.key_vault_url:
        with failing_alone("maintenance", vault=services.settings.key_vault_url):
            removed = services.definitions.connectors.unused_secrets.remove(services.clock.machine_now())
            logger.info("secrets removed that no connector names: %d", removed)


def delete_type(services: Services, hub: str, kind: EntityKind, name: str, conditions: Conditions) -> None:
    """Deletes a type that nothing uses, and then its instances; repeated, it goes on where it was interrupted."""
    from shared.lake.upkeep.delete_tables import delete_tables

    paths = services.definitions.delete_entity_type(hub, kind, name, conditions)
    failpoint(FailPoint.TYPE_DELETED)
    delete_tables(services.lake, paths)


def delete_kpi(services: Services, hub: str, name: str, conditions: Conditions) -> None:
    """Deletes a KPI that no connector exports, and then its values; repeated, it goes on where it was interrupted."""
    from shared.lake.upkeep.delete_tables import delete_tables

    delete_tables(services.lake, services.definitions.delete_kpi(hub, name, conditions))


def delete_remains(services: Services) -> None:
    """Deletes what lies at paths in the lake that no type and no KPI has any more, nor ever will, while there is time.

    Raises:
        UnavailableError: storage does not answer.
    """
    from shared.lake.upkeep.delete_tables import delete_tables, remaining

    for path in remaining(services.lake, services.definitions.retired_paths()):
        if seconds_left() < _PATH_S:
            logger.warning("removing what deleted types left goes on with the next maintenance, for want of time")
            return
        with failing_alone("removing what a deleted type left", path=path):
            delete_tables(services.lake, [path])


def tables_of(services: Services, hub: str) -> list[TableUpkeep]:
    """The upkeep of a hub's types and KPIs, as far as these can be read."""
    from shared.lake.upkeep.maintain import keep_readable, maintain, maintain_kpi

    now, days, lake = services.clock.now(), services.settings.export_retention_days, services.lake
    found = []
    for stored in services.definitions.readable_types(hub):
        entity_type = stored.document
        work = {Upkeep.WHOLE: partial(maintain, lake, entity_type, now, days)}
        if entity_type.kind is EntityKind.PROFILE:
            work[Upkeep.REFRESH] = partial(keep_readable, lake, entity_type, now)
        found.append(_while_there(services, hub, stored, entity_type.type_name, work))
    for kpi in services.definitions.readable_kpis(hub):
        work = {Upkeep.WHOLE: partial(maintain_kpi, lake, kpi.document)}
        found.append(_while_there(services, hub, kpi, kpi.document.kpi_name, work))
    return found


def _while_there(
    services: Services, hub: str, stored: Stored[Any], name: str, work: Mapping[Upkeep, Callable[[], None]]
) -> TableUpkeep:
    def guarded(upkeep: Callable[[], None]) -> None:
        try:
            with services.definitions.while_there(hub, stored):
                upkeep()
        except GoneError as error:
            logger.info("maintenance was left off: %s", error)

    return TableUpkeep(name, stored.instance_id, {what: partial(guarded, upkeep) for what, upkeep in work.items()})
