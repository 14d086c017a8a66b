"""Mappings: the first PUT and `run` queue a sweep, `preview` reads real rows."""

import base64
import json
import uuid
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.arrivals.match import new_run
from shared.arrivals.sweep import carry_out_backfill
from shared.domain.blob_version import BlobVersion
from shared.domain.own_names import TABLE_RUNS, TABLE_SLOTS
from shared.http.app import create_http_app
from shared.ledger.hub_rows import HubRows
from shared.ledger.sweeps import Backfill, Known
from shared.settings import Settings
from shared.storage.tables import Table
from tests.fault_proxy import Request, running_proxy
from tests.http import bodies
from tests.http.bodies import Body
from tests.http.conftest import Client
from tests.local_services import account_of


@pytest.fixture
def connector(client: Client, hub: str, storage_secret_url: str) -> str:
    assert client.put(f"{hub}/profiles/Contact", bodies.profile_type()).status_code == 201
    path = f"{hub}/connectors/Files"
    assert client.put(path, bodies.blob_connector(storage_secret_url)).json()["state"] == "Ready"
    return path


def sweeps(azurite: Endpoints, hub: str) -> list[Body]:
    """The sweeps of a hub that wait in the queue."""
    with QueueClient.from_connection_string(azurite.connection_string, "ingest") as queue:
        waiting = [json.loads(base64.b64decode(message.content)) for message in queue.peek_messages(32)]
    of_hub = [message for message in waiting if f"/hubs/{message['hub']}" == hub]
    return [{name: value for name, value in message.items() if name != "backfill"} for message in of_hub]


@pytest.fixture(autouse=True)
def _empty_queue(azurite: Endpoints, services: Services) -> None:
    services.ingest_queue.ensure()
    with QueueClient.from_connection_string(azurite.connection_string, "ingest") as queue:
        queue.clear_messages()


def test_a_new_mapping_and_run_queue_a_sweep(
    client: Client, azurite: Endpoints, hub: str, connector: str, container: ContainerClient
) -> None:
    body = bodies.mapping(container.container_name)
    created = client.put(f"{connector}/mappings/Contacts", body)
    assert created.status_code == 201
    assert (created.json()["state"], created.json()["connectorType"]) == ("Ready", "AzureBlob")
    expected = {
        "hub": hub.removeprefix("/hubs/"),
        "connector": "Files",
        "mapping": "Contacts",
        "sweep": True,
    }
    assert sweeps(azurite, hub) == [expected]
    assert client.put(f"{connector}/mappings/contacts", body).status_code == 200
    assert len(sweeps(azurite, hub)) == 1

    run = client.post(f"{connector}/mappings/CONTACTS/run")
    assert run.status_code == 202
    assert sweeps(azurite, hub) == [expected, expected]
    assert run.json()["runs"] == f"http://hubs.example:8080{hub}/runs?connector=Files&mapping=Contacts"
    assert client.get(run.json()["runs"]).json() == {"value": []}


def test_what_is_known_of_sweeps_goes_with_the_hub(
    client: Client, services: Services, hub: str, connector: str, container: ContainerClient
) -> None:
    assert client.put(f"{connector}/mappings/Contacts", bodies.mapping(container.container_name)).status_code == 201
    name = hub.removeprefix("/hubs/")
    assert len(services.sweeps.known(name)) == 1
    for path in (connector, f"{hub}/profiles/Contact", hub):
        assert client.delete(path).status_code == 204
    assert services.sweeps.known(name) == {}


def test_what_is_known_of_sweeps_does_not_go_with_an_earlier_hub_of_the_name(
    client: Client, settings: Settings, services: Services, azurite: Endpoints, hub: str
) -> None:
    """Which is deleted while another one is made: the new one's first sweeps are not to be lost."""
    name, now = hub.removeprefix("/hubs/"), services.clock.now()
    old, new = (Backfill(instance, "1", now) for instance in ("old", "new"))
    services.sweeps.ask(name, old)

    def make_anew(request: Request) -> None:
        if request.method == "POST" and services.definitions.closing_of(name):
            # Another process comes first, and the next owner of the name after it.
            assert client.delete(hub).status_code == 204
            assert client.put(hub, {}).status_code == 201
            services.sweeps.ask(name, new)

    with running_proxy(azurite.table) as proxy:
        behind, account = Services(settings), account_of(azurite, table=proxy.endpoint)
        behind.hub_rows = HubRows(Table(account, TABLE_RUNS), Table(account, TABLE_SLOTS))
        proxy.plan = make_anew
        assert Client(create_http_app(behind)).delete(hub).status_code == 409
    assert services.sweeps.known(name) == {"new": Known(backfill=new)}


@pytest.mark.parametrize("action", ["run", "preview", "pause", "resume"])
def test_actions_need_the_mapping(client: Client, azurite: Endpoints, hub: str, connector: str, action: str) -> None:
    answer = client.post(f"{connector}/mappings/Absent/{action}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "MappingNotFound")
    answer = client.post(f"{connector}x/mappings/Absent/{action}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ConnectorNotFound")
    assert sweeps(azurite, hub) == []


def test_only_blob_connectors_have_mappings(
    client: Client, azurite: Endpoints, hub: str, connector: str, container: ContainerClient
) -> None:
    client.put(f"{hub}/connectors/Nothing", {"connectorType": "None", "connectorProperties": {}})
    answer = client.put(f"{hub}/connectors/Nothing/mappings/m1", bodies.mapping(container.container_name))
    assert answer.status_code == 400
    assert client.put(f"{hub}/connectors/Absent/mappings/m1", bodies.mapping("container")).status_code == 404
    assert sweeps(azurite, hub) == []


def test_the_newest_run_is_named(
    client: Client, services: Services, hub: str, connector: str, container: ContainerClient
) -> None:
    client.put(f"{connector}/mappings/Contacts", bodies.mapping(container.container_name))
    assert "runId" not in client.get(f"{connector}/mappings/Contacts").json()
    name = hub.removeprefix("/hubs/")
    stored = services.definitions.mapping(name, "Files", "Contacts")
    run = new_run(services, name, stored, BlobVersion(container.container_name, "a.csv", "0x1"))
    assert services.runs.create(run)
    assert client.get(f"{connector}/mappings/Contacts").json()["runId"] == run.run.run_id


CSV = b"id,name,age\n1,Ann,41\n2,Bob,old\n,Cid,5\n3,Dan,\n"


@pytest.mark.parametrize(
    ("body", "rows", "lines"),
    [
        ({}, ["1", "3"], [3, 4]),
        ({"blob": "in/a.csv"}, ["1", "3"], [3, 4]),
        ({"blob": "in/a.csv", "rows": "1"}, ["1"], [3]),
    ],
)
def test_preview(
    client: Client, connector: str, container: ContainerClient, body: Any, rows: list[str], lines: list[int]
) -> None:
    mapping = bodies.mapping(f"{container.container_name}/in")
    mapping["mappingProperties"]["structure"].append({"propertyName": "Age", "columnName": "age"})
    client.put(f"{connector}/mappings/Contacts", mapping)
    container.upload_blob("in/a.csv", CSV)
    answer = client.post(f"{connector}/mappings/Contacts/preview", body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert set(found) >= {"columns", "rows", "rejects"}
    assert not found["isCut"]
    assert [column["name"] for column in found["columns"]] == ["ContactId", "Name", "Age"]
    assert [row["ContactId"] for row in found["rows"]] == rows
    assert [reject["line"] for reject in found["rejects"]][: len(lines)] == lines
    for reject in found["rejects"]:
        assert set(reject) == {"line", "column", "code", "message", "raw"}


def test_preview_of_what_is_not_there(client: Client, connector: str, container: ContainerClient) -> None:
    client.put(f"{connector}/mappings/Contacts", bodies.mapping(container.container_name))
    for body in ({}, {"blob": f"{uuid.uuid4()}.csv"}):
        answer = client.post(f"{connector}/mappings/Contacts/preview", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "BlobNotFound")
    answer = client.post(f"{connector}/mappings/Contacts/preview", {"blob": "../lake/x.csv"})
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "blob")
    container.upload_blob("bad.csv", b"a,b\n1,2\n")
    answer = client.post(f"{connector}/mappings/Contacts/preview", {"blob": "bad.csv"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "MissingColumns")


def test_pause_and_resume(
    client: Client, azurite: Endpoints, hub: str, connector: str, container: ContainerClient
) -> None:
    path = f"{connector}/mappings/Contacts"
    body = bodies.mapping(container.container_name)
    body["mappingProperties"]["availability"] = {"frequency": "day", "interval": "1"}
    created = client.put(path, body)
    assert created.json()["nextRunTime"] == created.json()["lastModified"], "it is due at once"
    paused = client.post(f"{path}/PAUSE")
    assert (paused.status_code, paused.json()["state"]) == (200, "Stopped")
    assert "nextRunTime" not in paused.json()
    assert paused.headers["ETag"] != created.headers["ETag"]
    again = client.post(f"{path}/pause", headers={"If-Match": paused.headers["ETag"]})
    assert (again.status_code, again.headers["ETag"]) == (200, paused.headers["ETag"])
    assert client.post(f"{path}/resume", headers={"If-Match": created.headers["ETag"]}).status_code == 412
    assert client.get(path).json()["state"] == "Stopped"

    refused = client.post(f"{path}/run")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "MappingPaused")
    assert client.put(path, body).json()["state"] == "Stopped"

    before = len(sweeps(azurite, hub))
    resumed = client.post(f"{path}/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (200, "Ready")
    assert client.post(f"{path}/resume").headers["ETag"] == resumed.headers["ETag"]
    assert [message.get("wake") for message in sweeps(azurite, hub)[before:]] == [True, True]
    listed = client.get(f"{connector}/mappings").json()["value"]
    assert [mapping["nextRunTime"] for mapping in listed] == [client.get(path).json()["nextRunTime"]]


def test_availability_is_of_the_user_alone(client: Client, connector: str, container: ContainerClient) -> None:
    path = f"{connector}/mappings/Contacts"
    mapping = client.put(path, bodies.mapping(container.container_name) | {"nextRunTime": "2030-01-01T00:00:00Z"})
    assert mapping.status_code == 201
    assert "nextRunTime" not in mapping.json()
    assert "availability" not in mapping.json()["mappingProperties"]


def test_the_progress_of_a_run(
    client: Client, services: Services, hub: str, connector: str, container: ContainerClient
) -> None:
    path = f"{connector}/mappings/Contacts"
    client.put(path, bodies.mapping(container.container_name))
    container.upload_blob("a.csv", CSV)
    link = client.post(f"{path}/run").json()["progress"]
    found = client.get(link)
    assert found.status_code == 200
    assert found.json().items() >= {"state": "Searching", "found": 0, "queued": 0, "running": 0}.items()
    assert found.json()["askedAt"].endswith("Z")
    assert client.get(found.json()["runs"]).status_code == 200
    name = hub.removeprefix("/hubs/")
    stored = services.definitions.mapping(name, "Files", "Contacts")
    backfill = services.sweeps.backfill(name, stored.instance_id)
    assert backfill is not None
    carry_out_backfill(services, name, "Files", "Contacts", backfill.number)
    found = client.get(link)
    assert found.json().items() >= {"state": "Ingesting", "found": 1, "queued": 1}.items()
    assert client.get(link, headers={"If-None-Match": found.headers["ETag"]}).status_code == 304
