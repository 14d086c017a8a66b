"""Keeping profile and interaction types: names, and the promise that a field never changes its type."""

import json
from collections.abc import Callable, Mapping

from shared.clock import Clock
from shared.definitions.hubs import open_hub
from shared.definitions.places.lake_paths import assign_path, paths_retired_before, retire_path
from shared.definitions.rules.uses import refuse_breaking, refuse_in_use, uses_of_type
from shared.definitions.secrets.secrets import faults_of_secrets
from shared.definitions.store.definition_store import Change, Conditions, DefinitionStore, Stored
from shared.definitions.store.kinds import INTERACTION, PROFILE, kind_of_type
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.errors import ConflictError, Fault, InvalidRequestError, told
from shared.domain.names import check_name, same_name

# `/data/KPIs/...` is where values of KPIs are.
_RESERVED = frozenset({"kpis"})
# Among the internal facts: every field that the type ever had, since the lake keeps their columns.
_HISTORY = "fields"

type History = dict[str, list[object]]


def put_type[T: EntityType](
    store: DefinitionStore,
    clock: Clock,
    hub: str,
    name: str,
    entity_type: T,
    conditions: Conditions,
    is_used: Callable[[str], bool],
) -> tuple[Stored[T], bool]:
    """Creates or replaces a type; see `Definitions.put_entity_type`."""
    kind = kind_of_type(entity_type.kind)
    faults = [*_name_faults(name, entity_type), *faults_of_secrets(entity_type.to_json())]
    if faults:
        raise InvalidRequestError(faults)

    def make(change: Change) -> tuple[Stored[T], bool]:
        hub_name = open_hub(store, change, hub).document.hub_name
        old = store.get(kind, hub, name)
        conditions.check(old)
        now = clock.now()
        document: T = entity_type.model_copy(
            update={
                "type_name": old.document.type_name if old else name,
                "tenant_id": hub_name,
                "created": old.document.created if old else now,
                "last_changed_utc": now,
                "lake_path": old.document.lake_path if old else "",
            }
        )
        _refuse_taken_names(store, hub, document)
        history = json.loads(old.internal[_HISTORY]) if old else {}
        if old is not None:
            document = _in_known_spelling(document, history)
            _refuse_conflicts(old.document, document, history)
            uses = uses_of_type(store, hub, document.kind, name)
            refuse_breaking(f"the {kind.label} {document.type_name!r}", uses, document)
        else:
            document = document.model_copy(update={"lake_path": assign_path(store, change, document, is_used)})
        internal = {_HISTORY: json.dumps(history | _fields_of(document))}
        instance_id = old.instance_id if old else ""
        return change.put(kind, (name,), document, instance_id, internal), old is None  # type: ignore[arg-type] # the type chose its kind

    return store.change(hub, make)


def delete_type(
    store: DefinitionStore, hub: str, entity_kind: EntityKind, name: str, conditions: Conditions
) -> list[str]:
    """Deletes a type; see `Definitions.delete_entity_type`."""
    kind = kind_of_type(entity_kind)

    def make(change: Change) -> list[str]:
        old = store.get(kind, hub, name)
        conditions.check(old)
        if old is None:
            return paths_retired_before(store, hub, entity_kind.lake_folder, name)
        uses = uses_of_type(store, hub, entity_kind, name)
        refuse_in_use(f"the {kind.label} {old.document.type_name!r}", uses)
        change.delete(kind, name)
        return [retire_path(change, old.document)]

    return store.change(hub, make)


def _name_faults(name: str, entity_type: EntityType) -> list[Fault]:
    check_name(name, "typeName")
    given = {"typeName": name, "apiEntitySetName": entity_type.api_entity_set_name or ""}
    return [
        Fault("InvalidName", target, f"the name {value!r} is reserved; choose another")
        for target, value in given.items()
        if value.casefold() in _RESERVED
    ]


def _refuse_taken_names(store: DefinitionStore, hub: str, document: EntityType) -> None:
    """A name of a type or of its entity set is taken by one type only, since `/data/NAME` must mean one thing."""
    own = {"typeName": document.type_name, "apiEntitySetName": document.api_entity_set_name}
    others: list[EntityType] = [
        stored.document
        for stored in (*store.all(PROFILE, hub), *store.all(INTERACTION, hub))
        if stored.document.kind is not document.kind or not same_name(stored.document.type_name, document.type_name)
    ]
    faults = [
        Fault("NameTaken", target, f"the name {name!r} is taken by the {_label(other)}; choose another")
        for target, name in own.items()
        for other in others
        if name and any(same_name(name, taken) for taken in (other.type_name, other.api_entity_set_name) if taken)
    ]
    if faults:
        message = told([fault.message for fault in faults])
        raise ConflictError("NameTaken", message, faults[0].target, faults)


def _label(entity_type: EntityType) -> str:
    return f"{kind_of_type(entity_type.kind).label} {entity_type.type_name!r}"


def _in_known_spelling[T: EntityType](document: T, history: Mapping[str, list[object]]) -> T:
    """Fields keep the spelling of their first definition: the columns of the lake have it."""

    def known(name: str) -> str:
        return str(history[name.casefold()][0]) if name.casefold() in history else name

    fields = [field.model_copy(update={"field_name": known(field.field_name)}) for field in document.fields]
    return document.model_copy(update={"fields": fields})


def _refuse_conflicts(old: EntityType, new: EntityType, history: Mapping[str, list[object]]) -> None:
    faults = []
    for at, field in enumerate(new.fields):
        before = history.get(field.field_name.casefold())
        if before is not None and before[1:] != [field.field_type.value, field.is_array]:
            was = f"{before[1]}{' array' if before[2] else ''}"
            message = f"the field {field.field_name!r} was defined as {was}, and stays so; add a new field instead"
            faults.append(Fault("SchemaConflict", f"fields[{at}].fieldType", message))
    if [name.casefold() for name in old.key_fields] != [name.casefold() for name in new.key_fields]:
        is_profile = new.kind is EntityKind.PROFILE
        target = "strongIds[0].keyPropertyNames" if is_profile else "idPropertyNames"
        message = f"the key stays as it was ({', '.join(old.key_fields) or 'derived'}); define a new type instead"
        faults.append(Fault("SchemaConflict", target, message))
    if faults:
        message = told([fault.message for fault in faults])
        raise ConflictError("SchemaConflict", message, faults[0].target, faults)


def _fields_of(document: EntityType) -> History:
    return {
        field.field_name.casefold(): [field.field_name, field.field_type.value, field.is_array]
        for field in document.fields
    }
