"""Azurite and the local vault as the app sees them in Development."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient
from azure.storage.blob import generate_container_sas
from azure.storage.queue import QueueClient

from infra.local.azurite import ACCOUNT, ACCOUNT_KEY, Endpoints
from infra.local.key_vault import KeyVault, SecretStore
from shared.definitions.store.definition_store import HUBS
from shared.domain.names import name_key
from shared.domain.own_names import QUEUE_INGEST, TABLE_DEFINITIONS
from shared.settings import Settings
from shared.storage.accounts import StorageAccount, hub_account
from tests.fault_proxy import PORTS, listening_socket

STORAGE_SECRET = "storage"


@contextmanager
def running_vault(folder: Path, endpoints: Endpoints) -> Iterator[KeyVault]:
    """A vault that holds the connection string of the storage."""
    store = SecretStore(folder)
    store.set(STORAGE_SECRET, {"value": endpoints.connection_string})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        vault = KeyVault(store, listener)
        try:
            yield vault
        finally:
            vault.stop()


@contextmanager
def silent_service() -> Iterator[str]:
    """The endpoint of a service that takes every connection and never answers."""
    with listening_socket() as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def called_on_loopback(endpoints: Endpoints, vault_url: str = "") -> str:
    """What `DEVELOPMENT_ENDPOINTS` lists, in its form: storage, the vault, and where proxies listen."""
    listed = [f"http://127.0.0.1:{port}" for port in (*PORTS, endpoints.blob_port)]
    return ",".join(filter(None, [*listed, vault_url]))


def development(endpoints: Endpoints, vault_url: str = "", **more: Any) -> Settings:
    """Settings of the local stack."""
    return Settings(
        azure_functions_environment="Development",
        hub_storage=endpoints.connection_string,
        key_vault_url=vault_url,
        development_endpoints=called_on_loopback(endpoints, vault_url).split(","),
        **more,
    )


def account_of(endpoints: Endpoints, **replaced: str) -> StorageAccount:
    """Azurite's account, with some of its endpoints replaced (`blob=...`, `queue=...`, `table=...`)."""
    text = endpoints.connection_string
    for service, endpoint in replaced.items():
        text = text.replace(getattr(endpoints, service), endpoint)
    return hub_account(Settings(azure_functions_environment="Development", hub_storage=text))


def container_sas(
    endpoints: Endpoints,
    container: str,
    rights: str = "cwld",
    expires_in: timedelta = timedelta(days=30),
    **options: Any,
) -> str:
    """The URL of a container with a SAS, as a partner gives it out."""
    query = generate_container_sas(
        ACCOUNT,
        container,
        ACCOUNT_KEY,
        permission=rights,
        expiry=datetime.now(UTC) + expires_in,
        **options,
    )
    return f"{endpoints.blob}/{container}?{query}"


def forget_hub(endpoints: Endpoints, name: str) -> None:
    """Ends a test's hub: later tests neither go through its definitions nor wait for its messages."""
    with TableClient.from_connection_string(endpoints.connection_string, TABLE_DEFINITIONS) as table:
        table.delete_entity(HUBS, name_key(name))
    _drop_messages(endpoints)


def forget_hubs(endpoints: Endpoints) -> None:
    """The same of all hubs that there are."""
    table = TableClient.from_connection_string(endpoints.connection_string, TABLE_DEFINITIONS)
    with table, suppress(ResourceNotFoundError):  # there never was one
        for hub in list(table.query_entities("PartitionKey eq @hubs", parameters={"hubs": HUBS}, select="RowKey")):
            table.delete_entity(HUBS, hub["RowKey"])
    _drop_messages(endpoints)


def _drop_messages(endpoints: Endpoints) -> None:
    queue = QueueClient.from_connection_string(endpoints.connection_string, QUEUE_INGEST)
    with queue, suppress(ResourceNotFoundError):  # nothing was ever sent
        queue.clear_messages()
