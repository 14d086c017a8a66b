"""Definitions to start from."""

from typing import Any

from infra.local.key_vault import KeyVault
from shared.connectors.kinds import connector_from_request
from shared.domain.documents.connectors import Connector
from shared.domain.documents.entity_types import InteractionType, ProfileType
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping
from tests.local_services import STORAGE_SECRET


def fields(**types: str) -> list[dict[str, Any]]:
    """`Name="String"`, `Tags="String[]"`, `Id="String!"` (required)."""
    return [
        {
            "fieldName": name,
            "fieldType": f"Edm.{kind.rstrip('[]!')}",
            "isArray": "[]" in kind,
            "isRequired": "!" in kind,
        }
        for name, kind in types.items()
    ]


def profile(keys: str | list[str] = "CustomerId", *, set_name: str | None = None, **types: str) -> ProfileType:
    names = [keys] if isinstance(keys, str) else keys
    body: dict[str, Any] = {
        "fields": fields(**(types or {"CustomerId": "String", "Age": "Int32", "Born": "Date", "Tags": "String[]"})),
        "strongIds": [{"strongIdName": "Main", "keyPropertyNames": names}],
    }
    return ProfileType.from_request(body | ({"apiEntitySetName": set_name} if set_name else {}))


def interaction(keys: list[str] | None = None, **types: str) -> InteractionType:
    body = {"fields": fields(**(types or {"OrderId": "String", "Amount": "Decimal", "At": "DateTimeOffset!"}))}
    return InteractionType.from_request(body | ({"idPropertyNames": keys} if keys else {}))


def mapping(type_name: str = "Customer", *, kind: str = "Profile", columns: Any = None, **properties: Any) -> Mapping:
    """`columns`: property name -> column name, or -> (column name, customFormatSpecifier)."""
    chosen = columns or {"CustomerId": "id", "Age": "age"}
    structure = [
        {"propertyName": name, "columnName": column}
        if isinstance(column, str)
        else {"propertyName": name, "columnName": column[0], "customFormatSpecifier": column[1]}
        for name, column in chosen.items()
    ]
    return Mapping.from_request(
        {
            "entityType": kind,
            "entityTypeName": type_name,
            "mappingProperties": {
                "folderPath": "inbox/customers",
                "errorManagement": {"errorManagementType": "RejectAndContinue"},
                "structure": structure,
                **properties,
            },
        }
    )


def kpi(type_name: str = "Customer", **more: Any) -> Kpi:
    return Kpi.from_request(
        {
            "entityType": "Profile",
            "entityTypeName": type_name,
            "calculationWindow": "Lifetime",
            "function": "Sum",
            "expression": "Age",
            **more,
        }
    )


def files(vault: KeyVault, secret: str = STORAGE_SECRET, **more: Any) -> Connector:
    """An AzureBlob connector."""
    url = f"{vault.url}/secrets/{secret}"
    return connector_from_request(
        {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": url, **more}}
    )


def outbound(sas: str, entities: list[dict[str, Any]] | None = None, **more: Any) -> Connector:
    listed = entities or [{"entityType": "Profile", "entityName": "Customer"}]
    return connector_from_request(
        {
            "connectorType": "Outbound",
            "connectorProperties": {"entityList": listed, "outputBlobSASUri": sas, **more},
        }
    )


def crm(**more: Any) -> Connector:
    properties = {"organizationId": "contoso", "organizationUrl": "https://contoso.crm.dynamics.com", **more}
    return connector_from_request({"connectorType": "CRM", "connectorProperties": properties})
