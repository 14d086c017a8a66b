"""The real application over a real Azurite and the local vault, asked as the Functions bridge asks it."""

import asyncio
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.storage.blob import (
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    generate_container_sas,
)
from fastapi import FastAPI

from infra.local.azurite import ACCOUNT, ACCOUNT_KEY, Endpoints
from infra.local.key_vault import KeyVault, SecretStore
from shared.app import Services
from shared.http.app import create_http_app
from shared.settings import Settings
from tests.http import bodies
from tests.http.routes.landing import Landing
from tests.local_services import development, forget_hub

STORAGE_SECRET = "storage"


class Client:
    """Sends requests to the application; an exception that left it would fail the test."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://hubs.example:8080") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.send("GET", path, **options)

    def put(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return self.send("PUT", path, json=body, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.send("POST", path, json={} if body is None else body, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.send("DELETE", path, **options)


@pytest.fixture(scope="session")
def vault(azurite: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyVault]:
    store = SecretStore(tmp_path_factory.mktemp("vault"))
    store.set(STORAGE_SECRET, {"value": azurite.connection_string})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        running = KeyVault(store, listener)
        yield running
        running.stop()


@pytest.fixture(scope="session")
def settings(azurite: Endpoints, vault: KeyVault) -> Settings:
    return development(azurite, vault.url)


@pytest.fixture(scope="session")
def services(settings: Settings) -> Services:
    return Services(settings)


@pytest.fixture(scope="session")
def client(services: Services) -> Client:
    return Client(create_http_app(services))


@pytest.fixture
def hub(client: Client, azurite: Endpoints) -> Iterator[str]:
    """The path of a new hub."""
    name = f"h{uuid.uuid4().hex[:12]}"
    assert client.put(f"/hubs/{name}", {}).status_code == 201
    yield f"/hubs/{name}"
    forget_hub(azurite, name)


@pytest.fixture(scope="session")
def storage_secret_url(vault: KeyVault) -> str:
    return f"{vault.url}/secrets/{STORAGE_SECRET}"


@pytest.fixture
def container(azurite: Endpoints) -> Iterator[ContainerClient]:
    """A new container in the account that AzureBlob connectors read."""
    with BlobServiceClient.from_connection_string(azurite.connection_string) as account:
        yield account.create_container(f"c{uuid.uuid4().hex}")


@pytest.fixture
def sas_uri(container: ContainerClient) -> str:
    """A container SAS with every right that an Outbound connector needs."""
    sas = generate_container_sas(
        ACCOUNT,
        container.container_name,
        account_key=ACCOUNT_KEY,
        permission=ContainerSasPermissions(read=True, create=True, write=True, delete=True, list=True),
        expiry=datetime.now(UTC) + timedelta(days=1),
    )
    return f"{container.url}?{sas}"


@pytest.fixture
def landing(
    client: Client, services: Services, hub: str, storage_secret_url: str, container: ContainerClient
) -> Landing:
    body = bodies.blob_connector(storage_secret_url)
    assert client.put(f"{hub}/connectors/Files", body).json()["state"] == "Ready"
    return Landing(client, services, hub, container)
