"""Correcting a run over HTTP, and asking where the values of an instance come from."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from azure.storage.blob import ContainerClient

from shared.app import Services
from shared.arrivals.sweep import carry_out_backfill, request_backfill
from shared.domain.documents.run import Run
from shared.http.app import create_http_app
from shared.lake.upkeep.maintain import maintain as maintain_tables
from shared.messages.ingest import handle_message
from shared.settings import Settings
from tests.http import bodies
from tests.http.conftest import Client

CSV = {"Content-Type": "text/csv"}
CORRECTED = "line,id,name\n3,b,Bob\n"


def post(client: Client, path: str, content: str | bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return client.send("POST", path, content=content, headers=CSV if headers is None else headers)


def ingest(services: Services, hub: str, container: ContainerClient, path: str, text: str) -> Run:
    """Uploads a blob and carries out its run."""
    container.upload_blob(path, text.encode(), overwrite=True)
    name, mapping = hub.removeprefix("/hubs/"), path.split("/", maxsplit=1)[0]
    backfill = request_backfill(services, services.definitions.mapping(name, "Files", mapping))
    carry_out_backfill(services, name, "Files", mapping, backfill.number)
    run = services.runs.page(name, mapping=mapping)[0][0]
    return work(services, name, run.run_id)


def work(services: Services, hub: str, run_id: str) -> Run:
    name = hub.removeprefix("/hubs/")
    handle_message(services, {"hub": name, "runId": run_id}, uuid.uuid4().hex)
    stored = services.runs.get(name, run_id)
    assert stored is not None
    return stored.run


@pytest.fixture
def filled(client: Client, hub: str, container: ContainerClient, storage_secret_url: str) -> str:
    """A hub whose mappings fill contacts: their names, and their ages."""

    def mapping(name: str, *columns: tuple[str, str]) -> dict[str, Any]:
        body = bodies.mapping(f"{container.container_name}/{name}")
        structure = [{"propertyName": field, "columnName": column} for field, column in columns]
        body["mappingProperties"] |= {"structure": structure}
        return body

    connector = "/connectors/Files"
    for path, body in {
        "/profiles/Contact": bodies.profile_type(),
        "/interactions/Order": bodies.interaction_type(),
        connector: bodies.blob_connector(storage_secret_url),
        f"{connector}/mappings/Names": mapping("Names", ("ContactId", "id"), ("Name", "name")),
        f"{connector}/mappings/Ages": mapping("Ages", ("ContactId", "id"), ("Age", "age")),
        f"{connector}/mappings/Orders": mapping("Orders", ("OrderId", "id"), ("Amount", "amount"), ("At", "at"))
        | {"entityType": "Interaction", "entityTypeName": "Order"},
    }.items():
        answer = client.put(f"{hub}{path}", body)
        assert answer.status_code == 201, answer.text
    return hub


def test_a_correction(client: Client, services: Services, filled: str, container: ContainerClient) -> None:
    run = ingest(services, filled, container, "Names/1.csv", "id,name\na,Ann\n,Bob\n")
    path = f"{filled}/runs/{run.run_id}"
    taken = post(client, f"{path}/rejects", CORRECTED)
    assert taken.status_code == 202, taken.text
    assert taken.json() == client.get(path).json()
    assert taken.json()["state"] == "Queued"
    busy = post(client, f"{path}/rejects", "id,name\nb,Bea\n")
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "RunInProgress")
    work(services, filled, run.run_id)
    done = client.get(path).json()
    assert (done["state"], done["rowsRead"], done["rowsIngested"], done["rowsRejected"]) == ("Succeeded", 2, 2, 0)
    (repair,) = done["details"]["repairs"]
    assert repair.items() >= {"rows": 1, "ingested": 1, "rejected": 0}.items()
    assert repair["requestedAt"] <= repair["finishedAt"]
    assert client.get(f"{path}/rejects").text == "line,column,code,message,raw\n"
    again = post(client, f"{path}/rejects", CORRECTED)
    assert (again.status_code, again.json()) == (200, done)
    other = post(client, f"{path}/rejects", "id,name\nb,Bea\n")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "NothingToCorrect")
    assert client.get(f"{filled}/data/Contact('b')").json()["Name"] == "Bob"


def test_the_charset_of_the_request_counts(
    client: Client, services: Services, filled: str, container: ContainerClient
) -> None:
    run = ingest(services, filled, container, "Names/1.csv", "id,name\na,Ann\n,Bob\n")
    content = "id,name\nb,Bärbel\n".encode("cp1252")
    path = f"{filled}/runs/{run.run_id}/rejects"
    refused = post(client, path, content)
    assert (refused.status_code, refused.json()["error"]["details"][0]["code"]) == (400, "BadBytes")
    assert post(client, path, content, {"Content-Type": "text/csv; charset=windows-1252"}).status_code == 202
    work(services, filled, run.run_id)
    assert client.get(f"{filled}/data/Contact/b").json()["Name"] == "Bärbel"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": "text/csv", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "text/csv; charset=klingon"}, 415),
    ],
)
def test_bodies_of_another_kind(client: Client, hub: str, headers: dict[str, str], status: int) -> None:
    answer = post(client, f"{hub}/runs/{'0' * 32}/rejects", CORRECTED, headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "UnsupportedMediaType")


def test_a_body_that_is_too_large(settings: Settings, hub: str) -> None:
    small = Client(create_http_app(Services(settings.model_copy(update={"max_correction_bytes": 1024}))))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield b"x" * 1000

    for content in (b"x" * 1025, pieces()):
        answer = small.send("POST", f"{hub}/runs/{'0' * 32}/rejects", content=content, headers=CSV)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "BodyTooLarge")


def test_runs_that_are_not_there(client: Client, hub: str) -> None:
    answer = post(client, f"{hub}/runs/{'0' * 32}/rejects", CORRECTED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RunNotFound")


def test_rows_that_replace_no_reject(
    client: Client, services: Services, filled: str, container: ContainerClient
) -> None:
    run = ingest(services, filled, container, "Names/1.csv", "id,name\na,Ann\n,Bob\n")
    answer = post(client, f"{filled}/runs/{run.run_id}/rejects", "line,id,name\n2,a,Ann\n9,b,Bob\n")
    assert answer.status_code == 400
    details = answer.json()["error"]["details"]
    assert [(fault["code"], fault["target"]) for fault in details] == [
        ("UnknownLine", "line 2"),
        ("UnknownLine", "line 3"),
    ]


def blob_of(run: Run, line: int) -> dict[str, Any]:
    assert run.blob is not None
    return {
        "container": run.blob.container,
        "path": run.blob.path,
        "etag": run.blob.etag,
        "line": line,
        "runId": run.run_id,
    }


def test_origins_of_a_profile(client: Client, services: Services, filled: str, container: ContainerClient) -> None:
    first = ingest(services, filled, container, "Names/1.csv", "id,name\na,Ann\n,Bob\nc,\n")
    ages = ingest(services, filled, container, "Ages/1.csv", "id,age\n\n\na,41\n")
    path = f"{filled}/data/Contact('a')"
    plain = client.get(path).json()
    found = client.get(f"{path}?$expand=origin").json()
    assert found == {
        **plain,
        "origin": {"ContactId": blob_of(ages, 4), "Name": blob_of(first, 2), "Age": blob_of(ages, 4)},
    }
    second = ingest(services, filled, container, "Names/1.csv", "id,name\nx,Xu\n\n\na,Anna\n")
    for _ in ("pending", "maintained"):
        origin = client.get(f"{filled}/data/Contact/a?%24expand=Origin").json()["origin"]
        assert origin == {"ContactId": blob_of(second, 5), "Name": blob_of(second, 5), "Age": blob_of(ages, 4)}
        maintain(services, filled)
    assert client.get(f"{filled}/data/Contact/c?$expand=origin").json()["origin"] == {"ContactId": blob_of(first, 4)}
    post(client, f"{filled}/runs/{first.run_id}/rejects", CORRECTED)
    corrected = work(services, filled, first.run_id)
    found = client.get(f"{filled}/data/Contact/b?$expand=origin").json()
    assert found["origin"] == {"ContactId": blob_of(corrected, 3), "Name": blob_of(corrected, 3)}


def maintain(services: Services, hub: str) -> None:
    name = hub.removeprefix("/hubs/")
    contact = services.definitions.type_named(name, "Contact").document
    maintain_tables(services.lake, contact, services.clock.now(), 21)


def test_origins_of_an_interaction(client: Client, services: Services, filled: str, container: ContainerClient) -> None:
    ingest(services, filled, container, "Orders/1.csv", "id,amount,at\no1,1.5,2026-11-22\n")
    run = ingest(services, filled, container, "Orders/2.csv", "id,amount,at\no2,2,\no1,,2026-11-23\n")
    found = client.get(f"{filled}/data/Order('o1')?$expand=origin").json()
    assert found["origin"] == {"OrderId": blob_of(run, 3), "At": blob_of(run, 3)}


@pytest.mark.parametrize("value", ["", "links", "origin,links", "origin(x)"])
def test_other_expansions_are_refused(client: Client, filled: str, value: str) -> None:
    for path in ("data/Contact('a')", "data/Contact/a"):
        answer = client.get(f"{filled}/{path}?$expand={value}")
        assert (answer.status_code, answer.json()["error"]["target"]) == (400, "$expand")
    assert client.get(f"{filled}/data/Contact?$expand=origin").status_code == 400


def test_there_is_no_origin_of_nothing(client: Client, filled: str) -> None:
    for kind in ("Contact", "Order"):
        assert client.get(f"{filled}/data/{kind}('a')?$expand=origin").status_code == 404
