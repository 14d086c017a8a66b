"""Instances, as ingestion left them: real files through the real ingestion, then asked for over HTTP."""

import csv
import io
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from azure.storage.blob import BlobServiceClient

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.arrivals.sweep import carry_out_backfill
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.run import RunState
from shared.domain.slot import slot_of
from shared.kpis.calculate import Calculation, calculate_kpi
from shared.messages.ingest import carry_out_run
from tests.http import bodies
from tests.http.conftest import Client
from tests.lake.given import written

IDS = [
    "a",
    "b/c",
    "d'e",
    "f g",
    "ü😀",
    "100%",
    "x%2Fy",
    "('",
    "h')",
    "q?r#s",
    "t_u",
    "KPIs",
    "w\nx",
    "&=+",
    "/",
    "..",
    "'",
    "m/n",
    "m%2Fn",
    "s;t",
    "k%2Fl/m",
    "k/l/m",
    "https://a/b/c?d=/e/f/g/h/i/j",
]


def ingest(services: Services, hub: str, mapping: str) -> None:
    stored = services.definitions.mapping(hub, "Files", mapping)
    backfill = services.sweeps.backfill(hub, stored.instance_id)
    assert backfill is not None, "its PUT asks for one"
    carry_out_backfill(services, hub, "Files", mapping, backfill.number)
    runs, _ = services.runs.page(hub, mapping=mapping)
    carry_out_run(services, hub, runs[0].run_id, "test")
    ended = services.runs.get(hub, runs[0].run_id)
    assert ended is not None
    assert ended.run.state is RunState.SUCCEEDED, ended.run


@pytest.fixture(scope="module")
def filled(client: Client, services: Services, azurite: Endpoints, storage_secret_url: str) -> str:
    """A hub with contacts of odd ids and with orders."""
    name = f"h{uuid.uuid4().hex[:12]}"
    hub = f"/hubs/{name}"
    fields = [*bodies.profile_type()["fields"], {"fieldName": "Since", "fieldType": "Edm.DateTimeOffset"}]
    bodies_by_path: dict[str, Any] = {
        "": {},
        "/profiles/Contact": bodies.profile_type(fields=fields, apiEntitySetName="Contacts"),
        "/profiles/Empty": bodies.profile_type(),
        "/interactions/Order": bodies.interaction_type(),
        "/kpi/Revenue": bodies.kpi(),
        "/kpi/Sold": bodies.kpi(groupBy=["OrderId"]),
        "/connectors/Files": bodies.blob_connector(storage_secret_url),
    }
    with BlobServiceClient.from_connection_string(azurite.connection_string) as account:
        container = account.create_container(f"c{uuid.uuid4().hex}")
        rows = [["id", "name", "age", "tags", "since"]]
        rows += [[key, f"N{n}", str(n), "x;y", "2026-11-22T14:15:00Z"] for n, key in enumerate(IDS)]
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        container.upload_blob("contacts.csv", text.getvalue().encode())
        container.upload_blob("orders.csv", b"id,amount,at\no1,1.5,2026-11-22\no2,,\n")
    contacts = bodies.mapping(container.container_name)
    properties = contacts["mappingProperties"]
    properties["fileFilter"] = "contacts.csv"
    properties["structure"] += [
        {"propertyName": "Age", "columnName": "age"},
        {"propertyName": "Tags", "columnName": "tags"},
        {"propertyName": "Since", "columnName": "since"},
    ]
    orders = bodies.mapping(container.container_name, entityType="Interaction", entityTypeName="Order")
    orders["mappingProperties"] |= {
        "fileFilter": "orders.csv",
        "structure": [
            {"propertyName": "OrderId", "columnName": "id"},
            {"propertyName": "Amount", "columnName": "amount"},
            {"propertyName": "At", "columnName": "at"},
        ],
    }
    bodies_by_path |= {"/connectors/Files/mappings/Contacts": contacts, "/connectors/Files/mappings/Orders": orders}
    for path, body in bodies_by_path.items():
        answer = client.put(f"{hub}{path}", body)
        assert answer.status_code == 201, answer.text
    ingest(services, name, "Contacts")
    ingest(services, name, "Orders")
    done = calculate_kpi(services, name, "Sold", slot_of(services.clock.now()), "message")
    assert done is Calculation.DONE
    return hub


@pytest.mark.parametrize("key", [key for key in IDS if key not in {"m%2Fn", "k%2Fl/m"}])
def test_an_instance_is_found_by_its_id_whatever_it_holds(client: Client, filled: str, key: str) -> None:
    number = IDS.index(key)
    expected = {
        "ContactId": key,
        "Name": f"N{number}",
        "Age": number,
        "Tags": ["x", "y"],
        "Since": "2026-11-22T14:15:00Z",
    }
    in_quotes = quote(key.replace("'", "''"), safe="")
    plain = quote(key, safe="").replace(".", "%2E")
    paths = [f"data/Contact('{in_quotes}')"]
    if key != "/":
        paths.append(f"data/Contact/{plain}")
    for path in paths:
        answer = client.get(f"{filled}/{path}")
        assert answer.status_code == 200, path
        assert answer.json().items() >= expected.items()


def test_etags_and_head(client: Client, filled: str) -> None:
    path = f"{filled}/data/Contact/a"
    answer = client.get(path)
    tag = answer.headers["etag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert client.get(path, headers={"If-Match": '"other"'}).status_code == 412
    head = client.send("HEAD", path)
    assert (head.content, head.headers["etag"]) == (b"", tag)


def test_types_are_found_by_their_entity_set_too(client: Client, filled: str) -> None:
    assert client.get(f"{filled}/DATA/contacts('a')/").json()["Name"] == "N0"
    assert len(client.get(f"{filled}/data/CONTACTS").json()["value"]) == len(IDS)


def test_an_id_that_reached_us_with_its_slash_still_encoded(client: Client, filled: str) -> None:
    """The Functions host decodes paths, but leaves `%2F` as it is."""
    for path in ("data/Contact('b%252Fc')", "data/Contact/b%252fc"):
        assert client.get(f"{filled}/{path}").json()["ContactId"] == "b/c"


def test_an_id_that_may_mean_two(client: Client, filled: str) -> None:
    for path in (
        "data/Contact('k%252Fl%252Fm')",
        "data/Contact('m%252Fn')",
        "data/Contact/m%252Fn",
        "data/Contact('m%252Fn')?$expand=origin",
    ):
        answer = client.get(f"{filled}/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "AmbiguousId"), path
    found = client.get(f"{filled}/data/Contact", params={"$filter": "ContactId eq 'm%2Fn'"}).json()["value"]
    assert [row["ContactId"] for row in found] == ["m%2Fn"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("data/Contact('absent')", "InstanceNotFound"),
        ("data/Contact('A')", "InstanceNotFound"),
        ("data/Contact('')", "InstanceNotFound"),
        ("data/Contact/absent", "InstanceNotFound"),
        ("data/Empty/a", "InstanceNotFound"),
        ("data/Absent", "TypeNotFound"),
        ("data/Absent('a')", "TypeNotFound"),
        ("data/KPIs/Absent", "KpiNotFound"),
    ],
)
def test_what_is_not_there(client: Client, filled: str, path: str, code: str) -> None:
    answer = client.get(f"{filled}/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


@pytest.mark.parametrize("path", ["data/Contact(5)", "data/Con-tact", "data/Con-tact('a')", "data/Contact('a"])
def test_addresses_that_are_none(client: Client, filled: str, path: str) -> None:
    answer = client.get(f"{filled}/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidName")


@pytest.mark.parametrize("query", ["$top=5", "%24top=1", "$top=1000", ""])
def test_lists_are_paged(client: Client, filled: str, query: str) -> None:
    found: list[str] = []
    url = f"{filled}/data/Contact?{query}"
    while url:
        page = client.get(url).json()
        found += [item["ContactId"] for item in page["value"]]
        url = page.get("nextLink", "")
    assert sorted(found) == sorted(IDS)


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ("Age eq 3", [3]),
        ("age lt 2 or Name eq 'N5'", [0, 1, 5]),
        ("ContactId eq 'd''e'", [IDS.index("d'e")]),
        ("Age gt 100", []),
    ],
)
def test_filters(client: Client, filled: str, condition: str, numbers: list[int]) -> None:
    for name in ("$filter", "%24filter"):
        answer = client.get(f"{filled}/data/Contact?{name}={quote(condition)}&$top=2")
        assert answer.status_code == 200, answer.text
        found = answer.json()["value"]
        while "nextLink" in answer.json():
            answer = client.get(answer.json()["nextLink"])
            found += answer.json()["value"]
        assert sorted(item["Age"] for item in found) == numbers


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("$filter=Size eq 1", "$filter"),
        ("$filter=Age eq", "$filter"),
        ("$filter=", "$filter"),
        ("$filter=1 eq 1; drop table x", "$filter"),
        ("$filter=Age eq 1&$filter=Age eq 2", "$filter"),
        ("$skiptoken=!", "$skiptoken"),
        ("$top=-1", "$top"),
        ("$orderby=Age", "$orderby"),
    ],
)
def test_questions_that_are_refused(client: Client, filled: str, query: str, target: str) -> None:
    answer = client.get(f"{filled}/data/Contact?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["target"] == target


def test_interactions(client: Client, filled: str) -> None:
    first, second = client.get(f"{filled}/data/Order").json()["value"]
    assert first.items() >= {"OrderId": "o1", "Amount": 1.5, "At": "2026-11-22T00:00:00Z"}.items()
    assert second.items() >= {"OrderId": "o2", "Amount": None, "At": None}.items()
    assert client.get(f"{filled}/data/Order('o2')").json() == second


def test_nothing_yet_is_an_empty_page(client: Client, filled: str) -> None:
    assert client.get(f"{filled}/data/Empty").json() == {"value": []}
    assert client.get(f"{filled}/data/KPIs/Revenue").json() == {"value": []}


def test_kpi_values(client: Client, filled: str) -> None:
    page = client.get(f"{filled}/data/kpis/SOLD?$top=1").json()
    value = page["value"][0]
    assert value.items() >= {"OrderId": "o1", "Timestamp": "2026-11-22T00:00:00Z", "Value": 1.5}.items()
    assert value["CalculationTime"].endswith("Z")
    assert list(value) == ["OrderId", "Timestamp", "Value", "CalculationTime"]
    found = [item["OrderId"] for item in page["value"]]
    while "nextLink" in page:
        page = client.get(page["nextLink"]).json()
        found += [item["OrderId"] for item in page["value"]]
    assert len(found) == len(set(found))


def test_reprocess_queues_the_calculation(client: Client, filled: str) -> None:
    answer = client.post(f"{filled}/kpi/revenue/reprocess")
    assert answer.status_code == 202
    assert answer.json()["runs"] == f"http://hubs.example:8080{filled}/runs?kind=Kpi"


def test_a_type_that_is_made_anew_starts_empty(client: Client, services: Services, hub: str, tmp_path: Path) -> None:
    path, name, definitions = f"{hub}/profiles/Contact", hub.removeprefix("/hubs/"), services.definitions
    assert client.put(path, bodies.profile_type()).status_code == 201
    contact = definitions.entity_type(name, EntityKind.PROFILE, "Contact").document
    changes = services.changes(contact)
    changes.commit(changes.upload(written(contact, [{"_key": "a", "ContactId": "a"}], tmp_path), "run"), "blob", 1)
    assert len(client.get(f"{hub}/data/Contact").json()["value"]) == 1
    definitions.delete_entity_type(name, EntityKind.PROFILE, "Contact")  # and there the deletion was interrupted
    assert client.get(path).status_code == 404
    anew = client.put(path, bodies.profile_type(lakePath=contact.lake_path))
    assert anew.status_code == 201
    assert anew.json()["lakePath"].startswith(f"{contact.lake_path}-")
    assert client.get(f"{hub}/data/Contact").json()["value"] == []
