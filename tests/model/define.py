"""What the hub of the model is made of, and how it is all deleted."""

from typing import Any

from azure.storage.blob import ContainerClient

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.connectors.kinds import connector_from_request
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import EntityKind, InteractionType, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping
from shared.hub_records import delete_hub
from shared.maintain import delete_kpi, delete_type
from tests.local_services import STORAGE_SECRET, container_sas
from tests.model.oracle import MAPPINGS, NUMBERS

NAME = "Contoso"
KPI = "Total"
_ANY = Conditions()


def define(services: Services, inbox: str, vault_url: str) -> None:
    """The hub with its types, a KPI, and what fills the types from the container `inbox`."""
    definitions = services.definitions
    definitions.put_hub(NAME, Hub.from_request({}))
    fields = [
        {"fieldName": name, "fieldType": "Edm.Int64" if name in NUMBERS else "Edm.String"}
        for name in MAPPINGS["Whole"].fields
    ]
    strong_ids = [{"strongIdName": "ById", "keyPropertyNames": ["Id"]}]
    customer = ProfileType.from_request({"fields": fields, "strongIds": strong_ids})
    definitions.put_entity_type(NAME, "Customer", customer)
    visit = InteractionType.from_request({"fields": [field for field in fields if field["fieldName"] != "Points"]})
    definitions.put_entity_type(NAME, "Visit", visit)
    total = {"entityType": "Profile", "entityTypeName": "Customer", "function": "Sum", "expression": "Points"}
    definitions.put_kpi(NAME, KPI, Kpi.from_request({**total, "calculationWindow": "Lifetime"}))
    source = {"connectionKeyVaultUrl": f"{vault_url}/secrets/{STORAGE_SECRET}"}
    landing = {"connectorType": "AzureBlob", "connectorProperties": source}
    definitions.connectors.put(NAME, "Landing", connector_from_request(landing))
    for name in MAPPINGS:
        put_mapping(services, inbox, name)
    definitions.connectors.test(NAME, "Landing")  # which lists the container, as the sweep of a new mapping does


def put_mapping(services: Services, inbox: str, name: str, **properties: Any) -> None:
    """One of the mappings, with some properties of its own."""
    rule = MAPPINGS[name]
    body = {
        "entityType": "Profile" if rule.entity == "Customer" else "Interaction",
        "entityTypeName": rule.entity,
        "mappingProperties": {
            "folderPath": f"{inbox}/{rule.folder.rstrip('/')}",
            "errorManagement": {"errorManagementType": "RejectAndContinue"},
            "structure": [{"propertyName": field, "columnName": column} for field, column in rule.fields.items()],
            **properties,
        },
    }
    services.definitions.put_mapping(NAME, "Landing", name, Mapping.from_request(body))


def put_partner(services: Services, endpoints: Endpoints, partner: ContainerClient) -> None:
    """An Outbound connector that the customers and their points are exported to."""
    sas = container_sas(endpoints, partner.container_name)
    entities = [{"entityType": "Profile", "entityName": "Customer"}, {"entityType": "Kpi", "entityName": KPI}]
    body = {"connectorType": "Outbound", "connectorProperties": {"outputBlobSASUri": sas, "entityList": entities}}
    services.definitions.connectors.put(NAME, "Partner", connector_from_request(body))


def delete_everything(services: Services, *, with_hub: bool) -> None:
    """Deletes what `define` and `put_partner` have made."""
    for connector in services.definitions.connectors.all(NAME):
        services.definitions.connectors.delete(NAME, connector.document.connector_name)
    delete_kpi(services, NAME, KPI, _ANY)
    delete_type(services, NAME, EntityKind.PROFILE, "Customer", _ANY)
    delete_type(services, NAME, EntityKind.INTERACTION, "Visit", _ANY)
    if with_hub:
        delete_hub(services, NAME, _ANY)
