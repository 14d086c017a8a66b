"""Deciding what a slot carries, and writing it down before anything is written elsewhere."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from shared.app import Services
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.connectors import Connector, ExportedEntity
from shared.domain.documents.run import export_run_id
from shared.domain.errors import CommitConflictError, ExpiredError
from shared.domain.schema_mark import Writer
from shared.domain.slot import export_folder
from shared.ledger.slots import Head, Plan, Series, new_life
from shared.outbound.entity import Entity, Newest, series_of
from shared.storage.blob.destination import DestinationContainer

_RACES = 10


@dataclass(frozen=True)
class Export:
    """One entity on its way to one connector.

    Attributes:
        listed: the entity as the connector's `entityList` has it.
        writer: the connector, as what it writes is marked.
    """

    services: Services
    hub: str
    connector: Stored[Connector]
    listed: ExportedEntity
    entity: Entity
    writer: Writer

    @cached_property
    def series(self) -> Series:
        """The slots of this export."""
        return series_of(self.hub, self.connector, self.entity)

    @property
    def folder(self) -> str:
        """Where the entity's slots go in the destination."""
        return export_folder(self.entity.kind.value, self.entity.name)

    @cached_property
    def destination(self) -> DestinationContainer:
        """The partner's container; raises RefusedError where the secret is gone."""
        sas_uri = self.services.definitions.connectors.destinations.sas(self.connector)
        permits = self.services.destination_permits
        return DestinationContainer(sas_uri, self.services.settings, permits=permits, hub=self.hub)

    def close(self) -> None:
        """Ends the work at the destination, where it was begun."""
        if "destination" in vars(self):
            self.destination.close()

    def run_id(self, life: str, slot: datetime) -> str:
        """The id of a slot's run; `life` is the one of the series."""
        instance = f"{self.connector.instance_id}/{self.entity.id}/{life}"
        return export_run_id(self.hub, instance, self.entity.kind.value, self.entity.name, slot)


def plan_slot(export: Export, slot: datetime) -> None:
    """Plans a slot for what has changed since the one before; nothing has changed, nothing is planned.

    A slot that was planned keeps its plan, and none is planned behind a later one: what comes late goes into a
    later slot. Everything is in the first slot of a series.

    Raises:
        TransientError: storage does not answer, or others plan at the same time, many times over.
    """
    slots = export.services.slots
    head = slots.head(export.series)
    if head is not None and slot <= head.last_slot:
        return
    newest = export.entity.newest(export.services.lake, export.services.clock.now())
    for _ in range(_RACES):
        if head is not None and slot <= head.last_slot:
            return
        life = head.life if head else new_life()
        plan = _next_plan(export, head, life, slot, newest)
        if plan is None:
            return
        try:
            slots.plan(export.series, head, life, plan)
        except CommitConflictError:
            head = slots.head(export.series)
        else:
            return
    raise CommitConflictError("SlotsBusy", f"the slots of {export.entity.name!r} are being planned; try again")


def _next_plan(export: Export, head: Head | None, life: str, slot: datetime, newest: Newest) -> Plan | None:
    """What comes after the head; None where nothing has changed since."""
    planned_to = head.planned_to if head else None
    after = planned_to or 0
    if newest.version <= after:
        return None
    try:
        if not export.entity.changed_rows(export.services.lake, after, newest):
            return None
    except ExpiredError:
        planned_to = None  # nothing was exported for longer than the table knows changes: everything goes out again
    return Plan(
        slot=slot,
        run_id=export.run_id(life, slot),
        from_version=planned_to or 0,
        to_version=newest.version,
        table_version=newest.table_version,
        is_first=planned_to is None,
        columns=tuple(column.name for column in export.entity.columns(export.listed.field_names)),
    )
