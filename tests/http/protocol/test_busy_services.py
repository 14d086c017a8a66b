"""Services that ask to be left alone: whoever calls the API is told at once for how long, in each of them."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

import httpx
import pytest
from azure.storage.blob import ContainerClient
from pydantic import SecretStr

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.app import Services
from shared.deadline import HTTP_ANSWER_S
from shared.http.app import create_http_app
from tests.fault_proxy import Answer, FaultProxy, Plan, running_proxy
from tests.http import bodies
from tests.http.conftest import Client
from tests.local_services import development
from tests.passing_time import PassingTime
from tests.thorough import THOROUGH

BUSY = {429: "TooManyRequests", 503: "ServerBusy"}


@dataclass
class Faulty:
    """A hub with a connector and a mapping, whose services are behind proxies."""

    client: Client
    hub: str
    proxies: dict[str, FaultProxy]

    def ask(self, service: str) -> httpx.Response:
        """Asks for something that takes one request to a service."""
        files = f"{self.hub}/connectors/Files"
        match service:
            case "table":
                return self.client.get(self.hub)
            case "queue":
                return self.client.post(f"{files}/mappings/Contacts/run")
            case "vault":
                return self.client.post(f"{files}/suggest", {"blob": "landing/a.csv"})
            case _:
                return self.client.post(f"{files}/mappings/Contacts/preview")


def always(answer: Answer) -> Plan:
    return lambda _: answer


@pytest.fixture
def faulty(azurite: Endpoints, vault: KeyVault, container: ContainerClient) -> Iterator[Faulty]:
    with (
        running_proxy(azurite.blob) as blob,
        running_proxy(azurite.queue) as queue,
        running_proxy(azurite.table) as table,
        running_proxy(vault.url) as vaults,
    ):
        proxies = {"blob": blob, "queue": queue, "table": table, "vault": vaults}
        text = azurite.connection_string
        for service in ("blob", "queue", "table"):
            text = text.replace(getattr(azurite, service), proxies[service].endpoint)
        settings = development(azurite, vaults.endpoint).model_copy(update={"hub_storage": SecretStr(text)})
        services = Services(settings)
        client = Client(create_http_app(services))
        hub = f"/hubs/h{uuid.uuid4().hex[:12]}"
        secret = f"s{uuid.uuid4().hex}"
        services.vaults.set(secret, text)
        for path, body in {
            hub: {},
            f"{hub}/profiles/Contact": bodies.profile_type(),
            f"{hub}/connectors/Files": bodies.blob_connector(f"{vaults.endpoint}/secrets/{secret}"),
            f"{hub}/connectors/Files/mappings/Contacts": bodies.mapping(container.container_name),
        }.items():
            answer = client.put(path, body)
            assert answer.status_code == 201, answer.text
        # What was read of the vault is known for a while; a new process knows nothing.
        faulty = Faulty(Client(create_http_app(Services(settings))), hub, proxies)
        for proxy in proxies.values():
            proxy.requests.clear()
        yield faulty


WAITS = [(None, 4, "5"), ("0", 4, "5"), ("8", 2, "8"), ("60", 1, "60"), ("3600", 1, "3600")]
# Each service, and each time that one may ask for; all of them of all in a thorough run.
ASKED = [
    (service, *wait)
    for service in ("blob", "queue", "table", "vault")
    for wait in WAITS
    if THOROUGH or service == "table" or wait in WAITS[::3]
]


@pytest.mark.parametrize(("service", "asked", "requests", "retry_after"), ASKED)
def test_a_busy_service_is_answered_in_time(
    faulty: Faulty, service: str, asked: str | None, requests: int, retry_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status, code in BUSY.items():
        time_passes = PassingTime(monkeypatch)
        proxy = faulty.proxies[service]
        proxy.requests.clear()
        proxy.plan = always(Answer(status, code, {"Retry-After": asked} if asked else {}))
        answer = faulty.ask(service)
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, retry_after), answer.text
        # Of a blob one is repeated once, where somebody waits for it.
        assert len(proxy.requests) == (min(requests, 2) if service == "blob" else requests)
        assert sum(time_passes.pauses) < HTTP_ANSWER_S


@pytest.mark.parametrize("asked", [None, "0", "8", "60", "3600"])
def test_a_lake_that_is_busy_is_answered_in_time(faulty: Faulty, asked: str | None) -> None:
    """Its libraries pay no heed to what is asked of them; they have limits of their own."""
    faulty.client.get(f"{faulty.hub}/data/Contact")
    proxy = faulty.proxies["blob"]
    for status, code in BUSY.items():
        proxy.plan = always(Answer(status, code, {"Retry-After": asked} if asked else {}))
        proxy.requests.clear()
        began = monotonic()
        answer = faulty.client.get(f"{faulty.hub}/data/Contact")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "LakeUnavailable"), answer.text
        assert monotonic() - began < 30
        assert 1 < len(proxy.requests) <= 12
