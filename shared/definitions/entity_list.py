"""The entity list of an Outbound connector: every entity and field that it names must exist."""

from typing import Any

from shared.definitions.kinds import KPI, PROFILE
from shared.definitions.store import DefinitionStore
from shared.domain.connectors import Connector, ExportedEntity, ExportedEntityType, OutboundConnector
from shared.domain.errors import Fault
from shared.domain.fields import doubled_names
from shared.domain.shown import shown

# Columns of a KPI beside those that it is grouped by; they are exported anyway.
_KPI_COLUMNS = ("Timestamp", "Value", "CalculationTime")


def check_entity_list(store: DefinitionStore, hub: str, connector: Connector) -> tuple[dict[str, Any], list[Fault]]:
    """Looks up what a connector exports.

    Returns:
        `entityList` with every name as it was defined (nothing for a connector that is not Outbound), and
        every fault.
    """
    if not isinstance(connector, OutboundConnector):
        return {}, []
    faults: list[Fault] = []
    listed = []
    for at, entity in enumerate(connector.connector_properties.entity_list):
        target = f"connectorProperties.entityList[{at}]"
        found = _defined(store, hub, entity)
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


def _defined(store: DefinitionStore, hub: str, entity: ExportedEntity) -> tuple[str, list[str]] | None:
    """Name and fields of what is to be exported; None where there is none of that name."""
    if entity.entity_type is ExportedEntityType.PROFILE:
        profile = store.get(PROFILE, hub, entity.entity_name)
        if profile is None:
            return None
        return profile.document.type_name, [field.field_name for field in profile.document.fields]
    kpi = store.get(KPI, hub, entity.entity_name)
    if kpi is None:
        return None
    return kpi.document.kpi_name, [*kpi.document.group_by, *_KPI_COLUMNS]
