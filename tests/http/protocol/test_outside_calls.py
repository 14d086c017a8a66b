"""Requests that call accounts of others: however many of a hub hang, the other hubs are answered."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from azure.storage.blob import ContainerClient

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.http.protocol import outside_calls
from shared.permits import Permits
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from tests.fault_proxy import FaultProxy, Hang, running_proxy
from tests.http import bodies
from tests.http.conftest import Client
from tests.local_services import forget_hub

AT_ONCE = 45  # more than there are threads
SOON_S = 4.0


@dataclass
class Hub:
    """A hub with a connector and a mapping; its account is behind a proxy."""

    path: str
    connector: dict[str, object]
    proxy: FaultProxy

    def asked(self, folder: str) -> dict[str, tuple[str, str, dict[str, object]]]:
        """Method, path and body of every request that calls the account."""
        files = f"{self.path}/connectors/Files"
        return {
            "put": ("PUT", files, {**self.connector, "displayName": "New"}),
            "put new": ("PUT", f"{self.path}/connectors/More", self.connector),
            "test": ("POST", f"{files}/test", {}),
            "suggest": ("POST", f"{files}/suggest", {"blob": f"{folder}/a.csv"}),
            "preview": ("POST", f"{files}/mappings/Contacts/preview", {}),
        }


@pytest.fixture
def hanging(
    client: Client, hub: str, azurite: Endpoints, vault: KeyVault, settings: Settings, container: ContainerClient
) -> Iterator[Hub]:
    with running_proxy(azurite.blob) as proxy:
        secret = f"s{uuid.uuid4().hex}"
        Vaults(settings).set(secret, azurite.connection_string.replace(azurite.blob, proxy.endpoint))
        connector = bodies.blob_connector(f"{vault.url}/secrets/{secret}")
        for path, body in {
            "profiles/Contact": bodies.profile_type(),
            "connectors/Files": connector,
            "connectors/Files/mappings/Contacts": bodies.mapping(container.container_name),
        }.items():
            assert client.put(f"{hub}/{path}", body).status_code == 201
        yield Hub(hub, connector, proxy)


def test_a_hub_whose_accounts_hang_leaves_threads_for_the_others(
    client: Client, azurite: Endpoints, hanging: Hub, container: ContainerClient
) -> None:
    other = f"/hubs/h{uuid.uuid4().hex[:12]}"
    assert client.put(other, {}).status_code == 201
    assert client.put(f"{other}/profiles/Contact", bodies.profile_type()).status_code == 201
    assert client.get(f"{other}/data/Contact").status_code == 200
    hanging.proxy.plan = lambda _: Hang()
    hanging.proxy.requests.clear()
    method, path, body = hanging.asked(container.container_name)["test"]

    async def ask() -> tuple[httpx.Response, float, list[httpx.Response]]:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hubs.example:8080") as http:
            waiting = [asyncio.create_task(http.request(method, path, json=body)) for _ in range(AT_ONCE)]
            try:
                while len(hanging.proxy.requests) < 8:
                    await asyncio.sleep(0.01)
                began = time.monotonic()
                answer = await http.get(f"{other}/data/Contact")
                took = time.monotonic() - began
            finally:
                hanging.proxy.release()
                answers = await asyncio.gather(*waiting)
            return answer, took, answers

    answer, took, answers = asyncio.run(ask())
    forget_hub(azurite, other.removeprefix("/hubs/"))
    assert answer.status_code == 200
    assert took < SOON_S
    refused = [found for found in answers if found.status_code == 429]
    assert Counter(found.json()["error"]["code"] for found in refused) == {"OutsideCallsBusy": len(refused)}
    assert AT_ONCE - 12 <= len(refused) <= AT_ONCE - 8
    assert all(found.headers["retry-after"] for found in refused)


def test_mappings_are_put_without_a_turn_and_listed_by_their_sweeps(
    client: Client, hanging: Hub, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, body = f"{hanging.path}/connectors/Files/mappings", bodies.mapping(container.container_name)
    hanging.proxy.requests.clear()
    with monkeypatch.context() as changed:
        changed.setattr(outside_calls, "_CALLS", Permits(most_of_one=12, most=32, within_s=60, at_once=0))
        assert [client.put(f"{path}/M{number}", body).status_code for number in range(2)] == [201, 201]
    assert hanging.proxy.requests == []
    assert client.put(f"{path}/M1", body).status_code == 200
    assert len(hanging.proxy.requests) == 1, "with a permit it is listed at once"


def test_without_a_turn_nothing_is_done(
    client: Client, hanging: Hub, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = hanging.asked(container.container_name)
    before = client.get(f"{hanging.path}/connectors").json()
    hanging.proxy.requests.clear()
    with monkeypatch.context() as changed:
        changed.setattr(outside_calls, "_CALLS", Permits(most_of_one=0, most=0, within_s=0))
        for method, path, body in asked.values():
            answer = client.send(method, path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "OutsideCallsBusy"), path
            assert answer.headers["retry-after"]
    assert client.get(f"{hanging.path}/connectors").json() == before
    assert hanging.proxy.requests == []
    method, path, body = asked["put new"]
    assert client.send(method, path, json=body).json()["state"] == "Ready"


def test_a_few_at_once_all_get_their_turn(client: Client, hanging: Hub) -> None:
    names = [f"Files{number}" for number in range(12)]
    with ThreadPoolExecutor(len(names)) as pool:
        answers = pool.map(lambda name: client.put(f"{hanging.path}/connectors/{name}", hanging.connector), names)
    assert {(answer.status_code, answer.json().get("state")) for answer in answers} == {(201, "Ready")}
