"""The table of definitions: each kind is a row, from which `resources` renders its routes and their description."""

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Discriminator, Tag, create_model

from shared import hub_records
from shared.app import Services
from shared.connectors.azure_blob.kind import AZURE_BLOB
from shared.connectors.kinds import KINDS, connector_from_request
from shared.definitions.store.definition_store import Conditions, Stored
from shared.domain.documents.connectors import Connector
from shared.domain.documents.entity_types import EntityKind, EntityType, InteractionType, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping
from shared.http.protocol.outside_calls import calling_outside
from shared.http.resources.resource import (
    IN_CONNECTOR,
    IN_HUB,
    IN_SERVICE,
    Address,
    Model,
    Read,
    Resource,
    Write,
    model_of,
)
from shared.http.routes import connectors, kpis, mappings
from shared.maintain import delete_kpi, delete_type

_HUBS = Resource[Hub](
    area="hubs",
    place=IN_SERVICE,
    collection="hubs",
    singular="hub",
    plural="hubs",
    model=model_of(Hub),
    columns=("hubName", "location", "displayName", "description", "provisioningState", "created", "lastModified"),
    example={"displayName": "Contoso", "tags": {"costCenter": "42"}, "sharedContainers": ["inbox"]},
    may_be_empty=True,
    is_held_to_name=True,
    find_all=Read("All hubs, by name.", lambda services, _: services.definitions.hubs()),
    find=Read("One hub.", lambda services, at: services.definitions.hub(at.hub)),
    put=Write(
        "Creates or replaces a hub; the body may be empty.",
        lambda services, at, hub, conditions: hub_records.put_hub(services, at.hub, hub, conditions),
    ),
    delete=Write(
        "Deletes a hub that has no definitions any more, with its runs; where that takes long, repeat it after a 503.",
        lambda services, at, conditions: hub_records.delete_hub(services, at.hub, conditions),
    ),
)


def _types[T: EntityType](
    kind: EntityKind, collection: str, form: type[T], example: dict[str, Any]
) -> Resource[EntityType]:
    noun = kind.value.lower()
    return Resource[EntityType](
        area="types",
        place=IN_HUB,
        collection=collection,
        singular=f"{noun}_type",
        plural=collection,
        model=model_of(form),
        columns=("typeName", "apiEntitySetName", "created", "lastChangedUtc"),
        example=example,
        is_held_to_name=True,
        find_all=Read(
            f"The {noun} types of a hub.", lambda services, at: services.definitions.entity_types(at.hub, kind)
        ),
        find=Read(f"One {noun} type.", lambda services, at: services.definitions.entity_type(at.hub, kind, at.name)),
        put=Write(
            f"Creates or replaces the {noun} type; fields may be added, but keep their type.",
            lambda services, at, new, conditions: services.definitions.put_entity_type(
                at.hub, at.name, new, conditions
            ),
        ),
        delete=Write(
            f"Deletes a {noun} type that nothing uses.",
            lambda services, at, conditions: delete_type(services, at.hub, kind, at.name, conditions),
        ),
    )


_PROFILES = _types(
    EntityKind.PROFILE,
    "profiles",
    ProfileType,
    {
        "fields": [
            {"fieldName": "ContactId", "fieldType": "Edm.String", "isRequired": True},
            {"fieldName": "Birthday", "fieldType": "Edm.Date"},
        ],
        "strongIds": [{"strongIdName": "Main", "keyPropertyNames": ["ContactId"]}],
    },
)

_INTERACTIONS = _types(
    EntityKind.INTERACTION,
    "interactions",
    InteractionType,
    {
        "fields": [
            {"fieldName": "OrderId", "fieldType": "Edm.String"},
            {"fieldName": "ContactId", "fieldType": "Edm.String"},
            {"fieldName": "Amount", "fieldType": "Edm.Decimal"},
            {"fieldName": "OrderedAt", "fieldType": "Edm.DateTimeOffset"},
        ],
        "idPropertyNames": ["OrderId"],
        "timestampFieldName": "OrderedAt",
    },
)

_KPIS = Resource[Kpi](
    area="kpi",
    place=IN_HUB,
    collection="kpi",
    singular="kpi",
    plural="kpis",
    model=model_of(Kpi),
    columns=(
        "kpiName",
        "entityType",
        "entityTypeName",
        "calculationWindow",
        "function",
        "expression",
        "unit",
        "created",
        "lastModified",
    ),
    example={
        "entityType": "Interaction",
        "entityTypeName": "Order",
        "calculationWindow": "Month",
        "function": "Sum",
        "expression": "Amount",
        "groupBy": ["ContactId"],
    },
    find_all=Read("The KPIs of a hub, by name.", lambda services, at: services.definitions.kpis(at.hub)),
    find=Read("One KPI.", lambda services, at: services.definitions.kpi(at.hub, at.name)),
    put=Write(
        "Creates or replaces a KPI.",
        lambda services, at, kpi, conditions: services.definitions.put_kpi(at.hub, at.name, kpi, conditions),
    ),
    delete=Write(
        "Deletes a KPI that no connector exports.",
        lambda services, at, conditions: delete_kpi(services, at.hub, at.name, conditions),
    ),
    actions=kpis.router,
)


# A type that no checker can know, since it is made of the kinds that there are.
AnyConnector: Any = Annotated[
    reduce(or_, [Annotated[kind.document, Tag(kind.name)] for kind in KINDS]),
    Discriminator(lambda connector: connector.connector_type),
]
PageOfConnector = create_model(
    "PageOfConnector",
    __doc__="One page of a list of connectors; without `nextLink` it is the last.",
    value=(list[AnyConnector], ...),
    nextLink=(str | None, None),
)


def _put_connector(
    services: Services, at: Address, connector: Connector, conditions: Conditions
) -> tuple[Stored[Connector], bool]:
    with calling_outside(at.hub):
        return services.definitions.connectors.put(at.hub, at.name, connector, conditions)


_CONNECTORS = Resource[Connector](
    area="connectors",
    place=IN_HUB,
    collection="connectors",
    singular="connector",
    plural="connectors",
    model=Model(
        AnyConnector,
        PageOfConnector,
        tuple(kind.document for kind in KINDS),
        connector_from_request,
    ),
    columns=(
        "connectorName",
        "connectorId",
        "connectorType",
        "displayName",
        "description",
        "created",
        "lastModified",
        "state",
        "stateDetail",
        "tenantId",
        "isInternal",
    ),
    example={
        "connectorType": AZURE_BLOB.name,
        "displayName": "Files of the shop",
        "connectorProperties": AZURE_BLOB.example,
    },
    is_held_to_name=True,
    find_all=Read(
        "The connectors of a hub, by name or sorted by `$orderby`.",
        lambda services, at: services.definitions.connectors.all(at.hub),
    ),
    find=Read("One connector.", lambda services, at: services.definitions.connector(at.hub, at.name)),
    put=Write(
        "Creates or replaces a connector and tries its connection: it ends `Ready`, or `Failed` with the reason.\n\n"
        "A secret given as `***` stays as it was.",
        _put_connector,
    ),
    delete=Write(
        "Deletes a connector with its mappings and secrets.",
        lambda services, at, conditions: services.definitions.connectors.delete(at.hub, at.name, conditions),
    ),
    actions=connectors.router,
)


_MAPPINGS = Resource[Mapping](
    area="mappings",
    place=IN_CONNECTOR,
    collection="mappings",
    singular="mapping",
    plural="mappings",
    model=model_of(Mapping),
    columns=(
        "connectorMappingName",
        "entityType",
        "entityTypeName",
        "displayName",
        "description",
        "created",
        "lastModified",
        "state",
    ),
    example={
        "entityType": "Profile",
        "entityTypeName": "Contact",
        "mappingProperties": {
            "folderPath": "shop/contacts",
            "fileFilter": "*.csv",
            "errorManagement": {"errorManagementType": "RejectAndContinue"},
            "structure": [
                {"propertyName": "ContactId", "columnName": "id"},
                {"propertyName": "Birthday", "columnName": "born", "customFormatSpecifier": "dd/MM/yyyy"},
            ],
        },
    },
    find_all=Read("The mappings of a connector, by name.", mappings.find_all),
    find=Read(
        "One mapping; its ETag stands for the definition and the pause alone.\n\n"
        "`runId` names the run that was queued last. `nextRunTime` says when the container is looked at next; it is "
        "absent\nwithout `availability`, when every tick does so, and while the mapping is paused.",
        mappings.find,
    ),
    put=Write("Creates or replaces a mapping; a new one queues the blobs that are there already.", mappings.put),
    delete=Write(
        "Deletes a mapping; what it ingested stays.",
        lambda services, at, conditions: services.definitions.delete_mapping(at.hub, at.connector, at.name, conditions),
    ),
    actions=mappings.router,
)

# In this order they are described, and each example may name what the examples before it make.
DEFINITIONS: tuple[Resource[Any], ...] = (_HUBS, _PROFILES, _INTERACTIONS, _KPIS, _CONNECTORS, _MAPPINGS)
