"""Keeping KPIs: each reads a type that exists, and fields that fit its function."""

from collections.abc import Callable

from shared.clock import Clock
from shared.definitions.hubs import open_hub
from shared.definitions.places.lake_paths import assign_path, paths_retired_before, retire_path
from shared.definitions.rules.uses import refuse_in_use, uses_of_kpi
from shared.definitions.secrets.secrets import faults_of_secrets
from shared.definitions.store.definition_store import Change, Conditions, DefinitionStore, Stored
from shared.definitions.store.kinds import KPI, kind_of_type
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.kpis import Kpi
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.names import check_name
from shared.domain.own_names import LAKE_KPIS
from shared.domain.shown import shown


def put_kpi(
    store: DefinitionStore,
    clock: Clock,
    hub: str,
    name: str,
    kpi: Kpi,
    conditions: Conditions,
    is_used: Callable[[str], bool],
) -> tuple[Stored[Kpi], bool]:
    """Creates or replaces a KPI; see `Definitions.put_kpi`."""
    check_name(name, "kpiName")

    def make(change: Change) -> tuple[Stored[Kpi], bool]:
        hub_name = open_hub(store, change, hub).document.hub_name
        old = store.get(KPI, hub, name)
        conditions.check(old)
        faults = faults_of_secrets(kpi.to_json())
        kind = kind_of_type(kpi.entity_type)
        entity_type = store.get(kind, hub, kpi.entity_type_name)
        if entity_type is None:
            message = f"there is no {kind.label} {shown(kpi.entity_type_name)}; create it first"
            faults.append(Fault("UnknownType", "entityTypeName", message))
        else:
            problems = kpi.problems_with(entity_type.document)
            faults += [Fault("InvalidValue", target, message) for target, message in problems]
        if faults or entity_type is None:
            raise InvalidRequestError(faults)
        now = clock.now()
        document = _in_spelling_of(entity_type.document, kpi).model_copy(
            update={
                "kpi_name": old.document.kpi_name if old else name,
                "tenant_id": hub_name,
                "created": old.document.created if old else now,
                "last_modified": now,
                "lake_path": old.document.lake_path if old else "",
            }
        )
        if old is None:
            document = document.model_copy(update={"lake_path": assign_path(store, change, document, is_used)})
        return change.put(KPI, (name,), document, old.instance_id if old else ""), old is None

    return store.change(hub, make)


def delete_kpi(store: DefinitionStore, hub: str, name: str, conditions: Conditions) -> list[str]:
    """Deletes a KPI; see `Definitions.delete_kpi`."""

    def make(change: Change) -> list[str]:
        old = store.get(KPI, hub, name)
        conditions.check(old)
        if old is None:
            return paths_retired_before(store, hub, LAKE_KPIS, name)
        refuse_in_use(f"the KPI {old.document.kpi_name!r}", uses_of_kpi(store, hub, name))
        change.delete(KPI, name)
        return [retire_path(change, old.document)]

    return store.change(hub, make)


def _in_spelling_of(entity_type: EntityType, kpi: Kpi) -> Kpi:
    def known(name: str) -> str:
        field = entity_type.field(name)
        return field.field_name if field else name

    window = kpi.calculation_window_field_name
    return kpi.model_copy(
        update={
            "entity_type_name": entity_type.type_name,
            "expression": known(kpi.expression.strip()),
            "group_by": [known(name) for name in kpi.group_by],
            "calculation_window_field_name": known(window) if window else None,
        }
    )
