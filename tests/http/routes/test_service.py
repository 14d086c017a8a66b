"""Health, and the OpenAPI document."""

import asyncio
import re
import threading
import tomllib
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
from azure.storage.blob import ContainerClient
from fastapi.routing import APIRoute
from pydantic import SecretStr

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.domain.documents.document import Document
from shared.domain.documents.fields import Field
from shared.http.app import create_http_app
from shared.http.routes.table import DEFINITIONS
from shared.settings import Settings
from tests.http import bodies
from tests.http.conftest import Client

ROOT = Path(__file__).parents[3]


def test_live(client: Client) -> None:
    answer = client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "Live"})


def test_live_while_every_thread_waits(client: Client) -> None:
    """Requests are served in forty threads, and each of them may wait for somebody else."""
    done = threading.Event()

    async def ask() -> httpx.Response:
        threads = int(anyio.to_thread.current_default_thread_limiter().total_tokens)
        waiting = [asyncio.create_task(anyio.to_thread.run_sync(done.wait)) for _ in range(threads + 1)]
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hubs.example:8080") as http:
            try:
                return await asyncio.wait_for(http.get("/health/live"), 5)
            finally:
                done.set()
                await asyncio.gather(*waiting)

    assert asyncio.run(ask()).status_code == 200


def test_ready(client: Client) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "Ready"
    found = {item["name"]: item["ok"] for item in answer.json()["dependencies"]}
    assert found == {"tables": True, "blobs": True, "queues": True, "vault": True}


def test_what_does_not_answer_is_named(azurite: Endpoints, settings: Settings) -> None:
    # Port 9 (discard) has no server: the connection is refused.
    broken = azurite.connection_string.replace(f"{azurite.queue_port}/", "9/")
    changed = Settings(
        azure_functions_environment="Development",
        hub_storage=SecretStr(broken),
        key_vault_url="",
    )
    answer = Client(create_http_app(Services(changed))).get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["status"] == "NotReady"
    assert answer.headers["retry-after"]
    assert [detail["target"] for detail in answer.json()["error"]["details"]] == ["queues", "vault"]
    states = {item["name"]: item for item in answer.json()["dependencies"]}
    assert (states["tables"]["ok"], states["blobs"]["ok"]) == (True, True)
    assert states["queues"]["ok"] is False
    assert states["vault"] == {"name": "vault", "ok": False, "message": "no vault is configured; set KEY_VAULT_URL"}
    assert "AccountKey" not in answer.text


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    assert client.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_version_is_the_packages(document: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert document["info"]["version"] == project["version"]
    assert document["openapi"].startswith("3.")


def test_every_route_is_described(client: Client, document: dict[str, Any]) -> None:
    described = {(path, method.upper()) for path, method, _ in operations(document)}
    served = {
        (route.path_format, method)
        for route in client.app.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert described == served
    identifiers = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(identifiers)) == len(identifiers)


def test_every_operation_says_what_goes_in_and_out(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        assert operation["description"], where
        error = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert error == {"$ref": "#/components/schemas/ErrorBody"}, where
        assert "422" not in operation["responses"], where
        if method == "put":
            content = operation["requestBody"]["content"]["application/json"]
            assert content["schema"], where
            assert content["example"], where
            assert {"200", "201"} <= operation["responses"].keys(), where
        named = set(re.findall(r"{(\w+)}", path))
        declared = {item["name"] for item in operation.get("parameters", []) if item["in"] == "path"}
        assert named == declared, where


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            references.extend([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)

    collect(document)
    assert references
    for reference in set(references):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_what_only_the_server_sets_is_marked(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    forms: list[type[Document]] = [Field, *(form for row in DEFINITIONS for form in row.model.forms)]
    for form in forms:
        properties = schemas[form.__name__]["properties"]
        assert {name for name in properties if "readOnly" in properties[name]} == form.read_only & properties.keys()
        assert form.read_only


def test_the_examples_are_taken(
    client: Client, hub: str, document: dict[str, Any], storage_secret_url: str, container: ContainerClient
) -> None:
    """Each PUT's example works against what the examples before it made."""
    names = {"profiles": "Contact", "interactions": "Order", "kpi": "Spent", "connectors": "Shop"}
    properties = bodies.blob_connector(storage_secret_url)["connectorProperties"]
    for row in DEFINITIONS:
        told = document["paths"][row.path]["put"]["requestBody"]["content"]["application/json"]
        assert told["example"] == row.example
        body = row.example | ({"connectorProperties": properties} if row.collection == "connectors" else {})
        path = row.path.replace("{hub}", hub.removeprefix("/hubs/")).replace("{connector}", "Shop")
        answer = client.put(path.replace("{name}", names.get(row.collection, "Any")), body)
        assert answer.status_code == (200 if row.collection == "hubs" else 201), answer.text


def test_answers_hold_what_the_document_says(
    client: Client, hub: str, document: dict[str, Any], storage_secret_url: str, container: ContainerClient
) -> None:
    def known(schema: str) -> set[str]:
        return set(document["components"]["schemas"][schema]["properties"])

    container.upload_blob("a.csv", b"id,name\n1,Ann\n")
    suggest = {"blob": f"{container.container_name}/a.csv"}
    answers = {
        "Hub": client.get(hub),
        "ProfileType": client.put(f"{hub}/profiles/Contact", bodies.profile_type()),
        "InteractionType": client.put(f"{hub}/interactions/Order", bodies.interaction_type()),
        "Kpi": client.put(f"{hub}/kpi/Revenue", bodies.kpi()),
        "AzureBlobConnector": client.put(f"{hub}/connectors/Files", bodies.blob_connector(storage_secret_url)),
        "Mapping": client.put(f"{hub}/connectors/Files/mappings/m1", bodies.mapping(container.container_name)),
        "ErrorBody": client.get(f"{hub}/kpi/Absent"),
        "ConnectionTest": client.post(f"{hub}/connectors/Files/test"),
        "Queued": client.post(f"{hub}/kpi/Revenue/reprocess"),
        "Suggestion": client.post(f"{hub}/connectors/Files/suggest", suggest),
    }
    for schema, answer in answers.items():
        assert answer.json().keys() <= known(schema), schema
        required = document["components"]["schemas"][schema].get("required", [])
        assert set(required) <= answer.json().keys(), schema
