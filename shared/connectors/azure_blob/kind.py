"""What an AzureBlob connector is."""

from shared.connectors.azure_blob.check import ACCOUNT_CHECK, check
from shared.connectors.azure_blob.document import AzureBlobConnector
from shared.connectors.azure_blob.reader import read_rows
from shared.connectors.kind import ConnectorKind, Direction, Found, Trial


def _source(connector: AzureBlobConnector) -> str:
    return connector.connector_properties.connection_key_vault_url


def _check(connector: AzureBlobConnector, trial: Trial) -> Found:
    checks, account = check(_source(connector), trial.containers, trial.vaults, trial.settings, trial.check_use)
    return Found(checks, any(found.name == ACCOUNT_CHECK and found.ok for found in checks), account)


AZURE_BLOB = ConnectorKind(
    AzureBlobConnector,
    direction=Direction.EVENTS,
    example={"connectionKeyVaultUrl": "https://contoso.vault.azure.net/secrets/shop-storage"},
    check=_check,
    reader=read_rows,
    source=_source,
)
