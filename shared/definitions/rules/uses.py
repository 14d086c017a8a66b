"""Who uses a type or KPI: mappings, KPIs and the connectors that export it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.definitions.rules.mapping_rules import type_faults
from shared.definitions.store.definition_store import DefinitionStore
from shared.definitions.store.kinds import CONNECTOR_AS_STORED, KPI, MAPPING
from shared.domain.documents.connectors import Connector, ExportedEntityType
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import ConflictError, Fault, told
from shared.domain.names import same_name
from shared.domain.shown import shown


@dataclass(frozen=True)
class Use:
    """A definition that names another.

    Attributes:
        target: where it is, such as `connectors/Files/mappings/Customers`.
        label: what it is, for messages.
    """

    target: str
    label: str
    user: Mapping | Kpi | Connector

    def problems_with(self, entity_type: EntityType) -> list[str]:
        """What of the user would not fit the type as it is to become."""
        match self.user:
            case Mapping():
                return [fault.message for fault in type_faults(self.user, entity_type)]
            case Kpi():
                return [message for _, message in self.user.problems_with(entity_type)]
            case Connector():
                chosen = [
                    name
                    for entity in self.user.exports
                    if entity.entity_type is ExportedEntityType.PROFILE
                    and same_name(entity.entity_name, entity_type.type_name)
                    for name in entity.field_names
                ]
                fields = entity_type.fields_by_name()
                return [f"it exports the field {shown(name)}" for name in chosen if name.casefold() not in fields]


def uses_of_type(store: DefinitionStore, hub: str, kind: EntityKind, name: str) -> list[Use]:
    """Everything that names a profile or interaction type."""
    found = [
        Use(
            f"connectors/{mapping.connector_name}/mappings/{mapping.connector_mapping_name}",
            f"the mapping {mapping.connector_mapping_name!r} of the connector {mapping.connector_name!r}",
            mapping,
        )
        for mapping in (stored.document for stored in store.all(MAPPING, hub))
        if mapping.entity_type is kind and same_name(mapping.entity_type_name, name)
    ]
    found += [
        Use(f"kpi/{kpi.kpi_name}", f"the KPI {kpi.kpi_name!r}", kpi)
        for kpi in (stored.document for stored in store.all(KPI, hub))
        if kpi.entity_type is kind and same_name(kpi.entity_type_name, name)
    ]
    if kind is EntityKind.PROFILE:
        found += _exports(store, hub, ExportedEntityType.PROFILE, name)
    return found


def uses_of_kpi(store: DefinitionStore, hub: str, name: str) -> list[Use]:
    """Everything that names a KPI."""
    return list(_exports(store, hub, ExportedEntityType.KPI, name))


def refuse_in_use(label: str, uses: Sequence[Use]) -> None:
    """Raises ConflictError naming the uses, where there are any."""
    if uses:
        details = [Fault("InUse", use.target, f"{use.label} uses it") for use in uses]
        named = told([use.label for use in uses])
        raise ConflictError("InUse", f"{label} is used by {named}; change or delete these first", details=details)


def refuse_breaking(label: str, uses: Sequence[Use], entity_type: EntityType) -> None:
    """Raises ConflictError naming the uses that would not fit the type as it is to become."""
    details = [
        Fault("InUse", use.target, f"{use.label}: {problem}")
        for use in uses
        for problem in use.problems_with(entity_type)
    ]
    if details:
        broken = told([fault.message for fault in details])
        raise ConflictError(
            "InUse", f"{label} cannot be changed so, because of {broken}; change these first", details=details
        )


def _exports(store: DefinitionStore, hub: str, kind: ExportedEntityType, name: str) -> Iterator[Use]:
    for stored in store.all(CONNECTOR_AS_STORED, hub):
        connector = stored.document
        if any(entity.entity_type is kind and same_name(entity.entity_name, name) for entity in connector.exports):
            yield Use(
                f"connectors/{connector.connector_name}", f"the connector {connector.connector_name!r}", connector
            )
