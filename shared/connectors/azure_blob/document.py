"""A connector of a storage account that CSV files land in."""

from typing import Any, Literal

from pydantic import field_validator

from shared.domain.documents.connectors import Connector, ConnectorProperties


class AzureBlobProperties(ConnectorProperties):
    """A storage account that CSV files land in; the connection string lies in Key Vault."""

    connection_key_vault_url: str

    @field_validator("connection_key_vault_url", mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        # A strictly typed 2017 client can only send an object here: its schema says "type: object".
        return value["value"] if isinstance(value, dict) and set(value) == {"value"} else value


class AzureBlobConnector(Connector):
    """Reads CSV blobs. `account` is the storage account's name, found when the connection was checked."""

    connector_type: Literal["AzureBlob"]
    connector_properties: AzureBlobProperties
