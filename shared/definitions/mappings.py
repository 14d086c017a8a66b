"""Keeping mappings: each belongs to a connector that is read, and fits the type that its rows become."""

from shared.clock import Clock
from shared.connectors.kinds import KINDS, kind_named, kind_of, unknown_type
from shared.definitions.hubs import open_hub
from shared.definitions.places.claim_facts import ACCOUNT, facts_of_mapping, named
from shared.definitions.places.containers import Containers
from shared.definitions.places.named_containers import note_named
from shared.definitions.rules.mapping_rules import folder_faults, type_faults
from shared.definitions.secrets.secrets import faults_of_secrets
from shared.definitions.store.definition_store import Change, Conditions, DefinitionStore, Stored
from shared.definitions.store.kinds import CONNECTOR, MAPPING, kind_of_type
from shared.domain.documents.connectors import Connector, ConnectorState
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping, MappingState
from shared.domain.errors import ConflictError, Fault, InvalidRequestError
from shared.domain.names import check_name
from shared.domain.shown import shown

# Internal fact of a mapping: which of the hubs that had the name, one after the other, it belongs to.
HUB_INSTANCE = "hub_instance"


def put_mapping(
    store: DefinitionStore,
    clock: Clock,
    hub: str,
    connector_name: str,
    name: str,
    mapping: Mapping,
    conditions: Conditions,
    containers: Containers,
) -> tuple[Stored[Mapping], bool]:
    """Creates or replaces a mapping; see `Definitions.put_mapping`."""
    check_name(name, "connectorMappingName")

    def make(change: Change) -> tuple[Stored[Mapping], bool]:
        stored_hub = open_hub(store, change, hub)
        connector = store.require(CONNECTOR, hub, connector_name)
        _refuse_deleting(connector.document)
        old = store.get(MAPPING, hub, connector_name, name)
        conditions.check(old)
        account = connector.internal.get(ACCOUNT)
        is_own_account = containers.is_own_account(account)
        entity_type, faults = _check(store, hub, connector, mapping, is_own_account=is_own_account)
        if faults or entity_type is None:
            raise InvalidRequestError(faults)
        with store.consistent_read():
            containers.check_new(connector, hub, mapping)
        note_named(store, hub, {container for container, _ in named(mapping)})
        internal = facts_of_mapping(connector, mapping, old, clock.machine_now())
        internal[HUB_INSTANCE] = stored_hub.instance_id
        now = clock.now()
        document = _in_spelling_of(entity_type, mapping).model_copy(
            update={
                "connector_name": connector.document.connector_name,
                "connector_mapping_name": old.document.connector_mapping_name if old else name,
                "connector_type": connector.document.connector_type,
                "tenant_id": stored_hub.document.hub_name,
                "created": old.document.created if old else now,
                "last_modified": now,
                "state": MappingState.STOPPED if old and old.document.is_paused else MappingState.READY,
            }
        )
        instance_id = old.instance_id if old else ""
        return change.put(MAPPING, (connector_name, name), document, instance_id, internal), old is None

    return store.change(hub, make)


def pause_mapping(
    store: DefinitionStore, hub: str, connector_name: str, name: str, conditions: Conditions, *, paused: bool
) -> Stored[Mapping]:
    """Pauses or resumes a mapping; see `Definitions.pause_mapping`."""
    state = MappingState.STOPPED if paused else MappingState.READY

    def make(change: Change) -> Stored[Mapping]:
        old = store.require(MAPPING, hub, connector_name, name)
        conditions.check(old)
        if old.document.state is state:
            return old
        document = old.document.model_copy(update={"state": state})
        return change.put(MAPPING, (connector_name, name), document, old.instance_id, old.internal)

    return store.change(hub, make)


def delete_mapping(store: DefinitionStore, hub: str, connector_name: str, name: str, conditions: Conditions) -> None:
    """Deletes a mapping; see `Definitions.delete_mapping`."""

    def make(change: Change) -> None:
        old = store.get(MAPPING, hub, connector_name, name)
        conditions.check(old)
        if old is not None:
            change.delete(MAPPING, connector_name, name)

    store.change(hub, make)


def _check(
    store: DefinitionStore, hub: str, connector: Stored[Connector], mapping: Mapping, *, is_own_account: bool
) -> tuple[EntityType | None, list[Fault]]:
    faults = faults_of_secrets(mapping.to_json())
    if mapping.connector_type and kind_named(mapping.connector_type) is None:
        faults.append(unknown_type(mapping.connector_type))
    if kind_of(connector.document).reader is None:
        read = " and ".join(kind.name for kind in KINDS if kind.reader is not None)
        message = f"only {read} connectors have mappings; this one is {connector.document.connector_type}"
        faults.append(Fault("InvalidConnectorType", "connectorName", message))
    faults += folder_faults(mapping, connector.internal.get(ACCOUNT), is_own_account=is_own_account)
    kind = kind_of_type(mapping.entity_type)
    stored = store.get(kind, hub, mapping.entity_type_name)
    if stored is None:
        message = f"there is no {kind.label} {shown(mapping.entity_type_name)}; create it first"
        return None, [*faults, Fault("UnknownType", "entityTypeName", message)]
    return stored.document, faults + type_faults(mapping, stored.document)


def _refuse_deleting(connector: Connector) -> None:
    if connector.state is ConnectorState.DELETING:
        message = f"the connector {connector.connector_name!r} is being deleted; repeat its DELETE to finish that"
        raise ConflictError("ConnectorDeleting", message, connector.connector_name)


def _in_spelling_of(entity_type: EntityType, mapping: Mapping) -> Mapping:
    fields = entity_type.fields_by_name()
    structure = [
        column.model_copy(update={"property_name": field.field_name})
        for column in mapping.mapping_properties.structure
        if (field := fields.get(column.property_name.casefold())) is not None
    ]
    properties = mapping.mapping_properties.model_copy(update={"structure": structure})
    return mapping.model_copy(update={"entity_type_name": entity_type.type_name, "mapping_properties": properties})
