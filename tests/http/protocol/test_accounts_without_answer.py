"""Accounts that take the connection and never answer: whoever asked is told so within seconds."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from azure.storage.blob import ContainerClient

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from tests.fault_proxy import Hang, running_proxy
from tests.http import bodies
from tests.http.conftest import Client
from tests.local_services import silent_service

_WITHIN_S = 12.0


def secret_of(account: str, azurite: Endpoints, vault: KeyVault, settings: Settings) -> str:
    """The URL of a new secret that names Azurite's account at another endpoint."""
    name = f"s{uuid.uuid4().hex}"
    Vaults(settings).set(name, azurite.connection_string.replace(azurite.blob, account))
    return f"{vault.url}/secrets/{name}"


def test_a_connector_whose_account_does_not_answer_is_failed_within_seconds(
    client: Client, hub: str, azurite: Endpoints, vault: KeyVault, settings: Settings, sas_uri: str
) -> None:
    assert client.put(f"{hub}/profiles/Contact", bodies.profile_type()).status_code == 201
    with silent_service() as endpoint, ThreadPoolExecutor() as pool:
        account = f"{endpoint}/devstoreaccount1"
        connectors = {
            "Files": bodies.blob_connector(secret_of(account, azurite, vault, settings)),
            "Partner": bodies.outbound_connector(sas_uri.replace(azurite.blob, account)),
        }
        began = time.monotonic()
        answers = list(pool.map(lambda name: client.put(f"{hub}/connectors/{name}", connectors[name]), connectors))
        took = time.monotonic() - began
    assert took < _WITHIN_S
    for name, answer in zip(connectors, answers, strict=True):
        assert (answer.status_code, answer.json()["state"]) == (201, "Failed"), answer.text
        assert "does not answer" in answer.json()["stateDetail"]
        assert client.get(f"{hub}/connectors/{name}").json() == answer.json()


def test_whoever_asks_an_account_that_fell_silent_is_told_within_seconds(
    client: Client, hub: str, azurite: Endpoints, vault: KeyVault, settings: Settings, container: ContainerClient
) -> None:
    assert client.put(f"{hub}/profiles/Contact", bodies.profile_type()).status_code == 201
    path, folder = f"{hub}/connectors/Files", container.container_name
    with running_proxy(azurite.blob) as proxy, ThreadPoolExecutor() as pool:
        body = bodies.blob_connector(secret_of(proxy.endpoint, azurite, vault, settings))
        assert client.put(path, body).json()["state"] == "Ready"
        assert client.put(f"{path}/mappings/Contacts", bodies.mapping(folder)).status_code == 201
        proxy.plan = lambda _: Hang()
        asked = {
            f"{path}/suggest": {"blob": f"{folder}/a.csv"},
            f"{path}/mappings/Contacts/preview": {},
            f"{path}/test": {},
        }
        began = time.monotonic()
        put = pool.submit(client.put, f"{path}/mappings/Others", bodies.mapping(f"{folder}/others"))
        *refused, tried = pool.map(lambda url: client.post(url, asked[url]), asked)
        assert put.result().status_code == 201, "its sweep is to list the container"
        took = time.monotonic() - began
    assert took < _WITHIN_S
    for answer in refused:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "StorageUnavailable")
    assert [check["ok"] for check in tried.json()["checks"]] == [True, False]
    assert client.get(path).json()["state"] == "Failed"
