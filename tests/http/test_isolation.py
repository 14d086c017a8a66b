"""Hubs of one app, over HTTP: containers of their own, and what is shared; secrets of nobody else."""

import uuid
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from infra.local.key_vault import KeyVault
from shared.app import Services
from shared.definitions.secrets.secrets import references
from tests.http import bodies
from tests.http.conftest import Client
from tests.http.routes.landing import Landing


@pytest.fixture
def other(client: Client, storage_secret_url: str) -> str:
    """The path of another hub's connector to the same account."""
    hub = f"/hubs/o{uuid.uuid4().hex[:12]}"
    client.put(hub, {})
    client.put(f"{hub}/profiles/Contact", bodies.profile_type())
    client.put(f"{hub}/connectors/Files", bodies.blob_connector(storage_secret_url))
    return f"{hub}/connectors/Files"


@pytest.fixture
def owned(landing: Landing) -> ContainerClient:
    """A container that the hub of `landing` has mapped."""
    landing.client.put(f"{landing.hub}/profiles/Contact", bodies.profile_type())
    answer = landing.client.put(f"{landing.path}/mappings/Mine", bodies.mapping(landing.container.container_name))
    assert answer.status_code == 201, answer.text
    landing.upload("a.csv", "id,name\n1,Ann\n")
    return landing.container


def moving(container: str, to: str) -> Any:
    body = bodies.mapping(container)
    operation = {"completionOperationType": "MoveFile", "destinationFolder": to}
    body["mappingProperties"]["completeOperation"] = operation
    return body


def test_a_container_is_one_hubs_until_it_lists_it_as_shared(
    client: Client, landing: Landing, owned: ContainerClient, other: str
) -> None:
    name = owned.container_name
    asked = (
        ("PUT", f"{other}/mappings/Theirs", bodies.mapping(f"{name}/x")),
        ("PUT", f"{other}/mappings/Moved", moving(f"c{uuid.uuid4().hex}", f"{name}/done")),
        ("POST", f"{other}/suggest", {"blob": f"{name}/a.csv"}),
        ("POST", f"{other}/suggest", {"blob": f"{owned.url}/a.csv"}),
    )
    for method, path, body in asked:
        answer = client.send(method, path, json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (409, "ContainerOfAnotherHub"), path
        assert error["details"][0]["code"] == "ContainerOfAnotherHub"
        assert landing.hub.removeprefix("/hubs/") not in answer.text
    assert client.get(f"{other}/mappings").json()["value"] == []

    answer = client.put(landing.hub, {"SharedContainers": [name, name]})
    assert answer.json()["sharedContainers"] == [name]
    assert client.get(landing.hub).json()["sharedContainers"] == [name]
    for method, path, body in asked:
        answer = client.send(method, path, json=body)
        assert answer.status_code in {200, 201}, answer.text


@pytest.mark.parametrize(
    "shared", ["inbox", ["In Box"], [""], ["a"], ["$logs"], ["x" * 64], ["in--box"], [7], [f"c{n}" for n in range(999)]]
)
def test_what_is_shared_is_a_list_of_containers(client: Client, hub: str, shared: Any) -> None:
    answer = client.put(hub, {"sharedContainers": shared})
    assert answer.status_code == 400, answer.text
    assert all(fault["target"].startswith("sharedContainers") for fault in answer.json()["error"]["details"])
    assert client.get(hub).json()["sharedContainers"] == []
    assert client.put(hub, {"sharedContainers": None}).json()["sharedContainers"] == []


@pytest.mark.parametrize("folder", ["lake/x", "azure-webjobs-secrets", "deployments", "$logs", "$web", "runs"])
def test_what_is_the_apps_own_is_refused_wherever_a_folder_is_named(
    client: Client, landing: Landing, folder: str
) -> None:
    client.put(f"{landing.hub}/profiles/Contact", bodies.profile_type())
    container = landing.container.container_name
    for path, body, target in (
        ("mappings/Mm", bodies.mapping(folder), "mappingProperties.folderPath"),
        ("mappings/Mm", moving(container, folder), "mappingProperties.completeOperation.destinationFolder"),
        ("suggest", {"blob": f"{folder}/a.csv"}, "blob"),
    ):
        answer = client.send("POST" if path == "suggest" else "PUT", f"{landing.path}/{path}", json=body)
        assert answer.status_code == 400, answer.text
        faults = [(fault["code"], fault["target"]) for fault in answer.json()["error"]["details"]]
        assert faults == [("ContainerNotAllowed", target)]


def test_too_many_secrets_are_refused_in_words(client: Client, hub: str, services: Services) -> None:
    before = {secret.name for secret in services.vaults.kept()}
    body = {"connectorType": "None", "connectorProperties": {"accessToken": [f"s{n}" for n in range(1_000)]}}
    answer = client.put(f"{hub}/connectors/Many", body)
    assert answer.status_code == 400
    [fault] = answer.json()["error"]["details"]
    assert (fault["code"], fault["target"]) == ("TooManySecrets", "connectorProperties")
    assert "16" in fault["message"]
    assert client.get(f"{hub}/connectors/Many").status_code == 404
    assert {secret.name for secret in services.vaults.kept()} - before == set()


def test_a_secret_of_the_app_is_nobodys_connection(
    client: Client, hub: str, services: Services, vault: KeyVault
) -> None:
    body = {"connectorType": "None", "connectorProperties": {"accessToken": "UseDevelopmentStorage=true"}}
    client.put(f"{hub}/connectors/Crm", body)
    [reference] = references(services.definitions.connector(hub.removeprefix("/hubs/"), "Crm").internal).values()
    for name in (reference, reference.split("/")[0].upper()):
        answer = client.put(f"{hub}/connectors/Files", bodies.blob_connector(f"{vault.url}/secrets/{name}"))
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["code"] == "SecretNotAllowed"


@pytest.mark.parametrize(
    "text", ["Server=s;Pwd=MARKER", "sig%3DMARKER", "https://ann:MARKER@host.example", "Authorization: Bearer MARKER"]
)
def test_secrets_are_masked_as_properties_and_refused_elsewhere(client: Client, hub: str, text: str) -> None:
    path = f"{hub}/connectors/Crm"
    answer = client.put(path, {"connectorType": "None", "connectorProperties": {"note": text, "client_secret": 7}})
    assert answer.json()["connectorProperties"] == {"note": "***", "client_secret": "***"}
    assert client.get(path).json()["connectorProperties"] == {"note": "***", "client_secret": "***"}
    for refused, body in (
        (path, {"connectorType": "None", "description": text, "connectorProperties": {}}),
        (hub, {"description": text}),
        (hub, {"tags": {"a": text}}),
        (f"{hub}/profiles/Contact", bodies.profile_type(description={"en": text})),
    ):
        answer = client.put(refused, body)
        assert answer.status_code == 400, body
        assert "SecretNotAllowed" in {fault["code"] for fault in answer.json()["error"]["details"]}
        assert "MARKER" not in answer.text
