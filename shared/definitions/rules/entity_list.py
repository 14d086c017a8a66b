"""The entity list of a connector that exports: every entity and field that it names must exist."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.definitions.store.definition_store import DefinitionStore
from shared.definitions.store.kinds import KPI, PROFILE
from shared.domain.documents.connectors import Connector, ExportedEntity, ExportedEntityType
from shared.domain.documents.fields import doubled_names
from shared.domain.errors import Fault
from shared.domain.names import name_key
from shared.domain.shown import shown

# Columns of a KPI beside those that it is grouped by; they are exported anyway.
_KPI_COLUMNS = ("Timestamp", "Value", "CalculationTime")


def check_entity_list(store: DefinitionStore, hub: str, connector: Connector) -> tuple[dict[str, Any], list[Fault]]:
    """Looks up what a connector exports; a long list asks for no more than a short one.

    Returns:
        `entityList` with every name as it was defined (nothing where there is none), and
        every fault.
    """
    entities = connector.exports
    if not entities:
        return {}, []
    defined = _defined(store, hub, entities)
    faults: list[Fault] = []
    listed = []
    for at, entity in enumerate(entities):
        target = f"connectorProperties.entityList[{at}]"
        found = defined.get((entity.entity_type, name_key(entity.entity_name)))
        if found is None:
            label = "KPI" if entity.entity_type is ExportedEntityType.KPI else "profile type"
            message = f"there is no {label} {entity.entity_name!r}; create it first"
            faults.append(Fault("UnknownEntity", f"{target}.entityName", message))
            continue
        name, fields = found
        known = {field.casefold(): field for field in fields}
        for number, field in enumerate(entity.field_names):
            if field.casefold() not in known:
                message = f"{name!r} has no field {shown(field)}"
                faults.append(Fault("UnknownField", f"{target}.fieldNames[{number}]", message))
        faults += [
            Fault("DuplicateField", f"{target}.fieldNames", f"{shown(field)} stands there more than once")
            for field in doubled_names(entity.field_names)
        ]
        chosen = [known.get(field.casefold(), field) for field in entity.field_names]
        listed.append(entity.model_copy(update={"entity_name": name, "field_names": chosen}).to_json())
    return {"entityList": listed}, faults


def _defined(
    store: DefinitionStore, hub: str, entities: Sequence[ExportedEntity]
) -> Mapping[tuple[ExportedEntityType, str], tuple[str, Sequence[str]]]:
    """Name and fields of everything in the hub that is of a listed kind, by kind and key of the name."""
    kinds = {entity.entity_type for entity in entities}
    found: dict[tuple[ExportedEntityType, str], tuple[str, Sequence[str]]] = {}
    if ExportedEntityType.PROFILE in kinds:
        for profile in (stored.document for stored in store.all(PROFILE, hub)):
            fields = [field.field_name for field in profile.fields]
            found[ExportedEntityType.PROFILE, name_key(profile.type_name)] = profile.type_name, fields
    if ExportedEntityType.KPI in kinds:
        for kpi in (stored.document for stored in store.all(KPI, hub)):
            fields = [*kpi.group_by, *_KPI_COLUMNS]
            found[ExportedEntityType.KPI, name_key(kpi.kpi_name)] = kpi.kpi_name, fields
    return found
