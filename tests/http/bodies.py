"""Request bodies that are good, for tests to send or to spoil."""

from typing import Any

type Body = dict[str, Any]


def profile_type(**changes: Any) -> Body:
    return {
        "displayName": {"en-us": "Contact"},
        "fields": [
            {"fieldName": "ContactId", "fieldType": "Edm.String", "isRequired": True, "maxLength": 200},
            {"fieldName": "Name", "fieldType": "Edm.String"},
            {"fieldName": "Age", "fieldType": "Edm.Int32"},
            {"fieldName": "Tags", "fieldType": "Edm.String", "isArray": True},
        ],
        "strongIds": [{"strongIdName": "Main", "keyPropertyNames": ["ContactId"]}],
        **changes,
    }


def interaction_type(**changes: Any) -> Body:
    return {
        "fields": [
            {"fieldName": "OrderId", "fieldType": "Edm.String"},
            {"fieldName": "Amount", "fieldType": "Edm.Double"},
            {"fieldName": "At", "fieldType": "Edm.DateTimeOffset"},
        ],
        "idPropertyNames": ["OrderId"],
        "timestampFieldName": "At",
        **changes,
    }


def kpi(**changes: Any) -> Body:
    return {
        "entityType": "Interaction",
        "entityTypeName": "Order",
        "calculationWindow": "Day",
        "function": "Sum",
        "expression": "Amount",
        **changes,
    }


def blob_connector(secret_url: str, **changes: Any) -> Body:
    return {
        "connectorType": "AzureBlob",
        "displayName": "Files",
        "connectorProperties": {"connectionKeyVaultUrl": secret_url},
        **changes,
    }


def outbound_connector(sas_uri: str, **changes: Any) -> Body:
    return {
        "connectorType": "Outbound",
        "connectorProperties": {
            "entityList": [{"entityType": "Profile", "entityName": "Contact"}],
            "outputBlobSASUri": sas_uri,
        },
        **changes,
    }


def mapping(container: str, **changes: Any) -> Body:
    return {
        "entityType": "Profile",
        "entityTypeName": "Contact",
        "mappingProperties": {
            "folderPath": container,
            "errorManagement": {"errorManagementType": "RejectAndContinue"},
            "structure": [
                {"propertyName": "ContactId", "columnName": "id"},
                {"propertyName": "Name", "columnName": "name"},
            ],
        },
        **changes,
    }
