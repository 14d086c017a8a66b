"""What can be exported, a profile type or a KPI: its columns, how far it has changed, and the rows of a slot."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.app import Services
from shared.connectors.kind import Direction
from shared.connectors.kinds import kind_of
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.connectors import Connector, ConnectorState, ExportedEntity, ExportedEntityType
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.kpis import Kpi
from shared.engine.sql import Bounds, literal, quoted
from shared.kpis.value_sql import meaning
from shared.lake.schema import KEY
from shared.ledger.slots import Plan, Series
from shared.outbound.columns import Column, kpi_columns, profile_columns

if TYPE_CHECKING:
    from shared.lake.container.store import Lake
    from shared.lake.states.slot_rows import Slot
    from shared.lake.values.kpi_values import KpiValues


@dataclass(frozen=True, slots=True)
class Newest:
    """How far an entity has changed, and the version of its table that says so."""

    version: int
    table_version: int


@dataclass(frozen=True, slots=True)
class Profiles:
    """The instances of a profile type."""

    stored: Stored[EntityType]

    @property
    def kind(self) -> ExportedEntityType:
        """Profile."""
        return ExportedEntityType.PROFILE

    @property
    def name(self) -> str:
        """Name of the type."""
        return self.stored.document.type_name

    @property
    def id(self) -> str:
        """Tells the type from an earlier one of its name."""
        return self.stored.instance_id

    @property
    def definition(self) -> dict[str, Any]:
        """The type as HTTP gives it."""
        return self.stored.document.to_json()

    def columns(self, field_names: list[str] | tuple[str, ...]) -> list[Column]:
        """Columns of the CSV for the fields that were chosen; none chosen means all of them."""
        return profile_columns(self.stored.document, field_names)

    def newest(self, lake: "Lake", now: datetime) -> Newest:
        """Merges what arrived, stamped `now`."""
        from shared.lake.states.refresh import refresh

        done = refresh(lake, self.stored.document, now)
        return Newest(done.to_version, done.table_version)

    def changed_rows(self, lake: "Lake", after: int, newest: Newest) -> int:
        """How many rows were written after a version; FatalError `SlotExpired` where that is not known any more."""
        from shared.lake.states.slot_rows import changed_rows

        return changed_rows(lake, self.stored.document, after, newest.version, newest.table_version)

    def rows(self, lake: "Lake", plan: Plan) -> "AbstractContextManager[Slot]":
        """The rows of a slot, ordered by key."""
        from shared.lake.states.slot_rows import slot_rows

        return slot_rows(
            lake,
            self.stored.document,
            plan.from_version,
            plan.to_version,
            plan.table_version,
            is_first=plan.is_first,
        )


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a KPI."""

    stored: Stored[Kpi]
    read_type: EntityType

    @property
    def kind(self) -> ExportedEntityType:
        """Kpi."""
        return ExportedEntityType.KPI

    @property
    def name(self) -> str:
        """Name of the KPI."""
        return self.stored.document.kpi_name

    @property
    def id(self) -> str:
        """Tells the KPI from an earlier one of its name, and from itself before its meaning was changed."""
        return f"{self.stored.instance_id}.{meaning(self.stored.document)}"

    @property
    def definition(self) -> dict[str, Any]:
        """The KPI as HTTP gives it."""
        return self.stored.document.to_json()

    def columns(self, field_names: list[str] | tuple[str, ...]) -> list[Column]:
        """Columns of the CSV for the fields that were chosen; none chosen means all of them."""
        return kpi_columns(self.stored.document, self.read_type, field_names)

    def newest(self, lake: "Lake", now: datetime) -> Newest:  # noqa: ARG002 - a calculation, not time, changes them
        """How far the values have changed."""
        done = self._table(lake).newest()
        return Newest(done.number, done.table_version)

    def changed_rows(self, lake: "Lake", after: int, newest: Newest) -> int:
        """How many values were written after a version."""
        from shared.lake.values.kpi_values import Calculated

        return self._table(lake).changed_rows(after, Calculated(newest.version, newest.table_version))

    @contextmanager
    def rows(self, lake: "Lake", plan: Plan) -> "Iterator[Slot]":
        """The values of a slot, ordered by key; those that went with an earlier meaning of the KPI are none of it."""
        found = self._table(lake).slot_rows(
            plan.from_version, plan.to_version, plan.table_version, is_first=plan.is_first
        )
        ours = literal(meaning(self.stored.document))
        with found as slot:

            def within(bounds: Bounds) -> str:
                return f"SELECT * FROM ({slot.within(bounds)}) WHERE starts_with({quoted(KEY)}, {ours})"

            yield replace(slot, within=within)

    def _table(self, lake: "Lake") -> "KpiValues":
        from shared.lake.values.kpi_values import KpiValues

        return KpiValues(lake, self.stored.document, self.read_type)


type Entity = Profiles | Values


def find_entity(services: Services, hub: str, listed: ExportedEntity) -> Entity:
    """What an entry of `entityList` names; raises NotFoundError where it is gone."""
    if listed.entity_type is ExportedEntityType.PROFILE:
        return Profiles(services.definitions.entity_type(hub, EntityKind.PROFILE, listed.entity_name))
    kpi = services.definitions.kpi(hub, listed.entity_name)
    read = services.definitions.entity_type(hub, kpi.document.entity_type, kpi.document.entity_type_name)
    return Values(kpi, read.document)


def listed_entities(connector: Stored[Connector]) -> Sequence[ExportedEntity]:
    """What a connector exports: nothing where it is not written to, or is being deleted."""
    return connector.document.exports if is_exporting(connector) else ()


def is_exporting(connector: Stored[Connector]) -> bool:
    """Whether a connector has a destination: also one whose list is empty may have filled it before."""
    document = connector.document
    return kind_of(document).direction is Direction.WRITTEN and document.state is not ConnectorState.DELETING


def series_of(hub: str, connector: Stored[Connector], entity: Entity) -> Series:
    """The slots of an entity that go to a connector."""
    return Series(hub, connector.instance_id, entity.kind.value, entity.id)
