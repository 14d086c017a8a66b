"""The life of every kind of definition, the same for all: create, read, replace, list, delete; ETags and faults."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from azure.storage.blob import ContainerClient
from fastapi.routing import APIRoute

from shared.http.resources.render import routes_of
from shared.http.resources.resource import Resource as Row
from shared.http.routes.table import DEFINITIONS
from tests.http import bodies
from tests.http.bodies import Body
from tests.http.conftest import Client


@dataclass(frozen=True)
class Resource:
    """A resource that is not there yet, in a hub where everything that it needs is.

    Attributes:
        collection, name: its path is made of both.
        named: the property that holds its name.
        body: a good body; `changed` is another one.
        missing: code of the error where it is absent.
    """

    collection: str
    name: str
    named: str
    body: Body
    changed: Body
    missing: str

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.name}"


KINDS = ["hub", "profile", "interaction", "kpi", "connector", "outbound", "crm", "mapping"]


@pytest.fixture(params=KINDS)
def resource(
    request: pytest.FixtureRequest,
    client: Client,
    hub: str,
    storage_secret_url: str,
    container: ContainerClient,
    sas_uri: str,
) -> Resource:
    def put(path: str, body: Body) -> None:
        assert client.put(f"{hub}/{path}", body).status_code == 201

    put("profiles/Contact", bodies.profile_type())
    put("interactions/Order", bodies.interaction_type())
    put("connectors/Files", bodies.blob_connector(storage_secret_url))
    blob, outbound = bodies.blob_connector(storage_secret_url), bodies.outbound_connector(sas_uri)
    crm: Body = {
        "connectorType": "CRM",
        "connectorProperties": {"organizationId": "1", "organizationUrl": "https://contoso.crm.dynamics.com"},
    }
    new: Body = {"description": "new"}
    news: Body = {"description": {"en-us": "new"}}
    profile, interaction, kpi = bodies.profile_type(), bodies.interaction_type(), bodies.kpi()
    mapping = bodies.mapping(container.container_name)
    found: dict[str, Resource] = {
        "hub": Resource("/hubs", f"{hub.removeprefix('/hubs/')}x", "hubName", {}, new, "HubNotFound"),
        "profile": Resource(f"{hub}/profiles", "Guest", "typeName", profile, profile | news, "ProfileTypeNotFound"),
        "interaction": Resource(
            f"{hub}/interactions", "Visit", "typeName", interaction, interaction | news, "InteractionTypeNotFound"
        ),
        "kpi": Resource(f"{hub}/kpi", "Revenue", "kpiName", kpi, kpi | news, "KpiNotFound"),
        "connector": Resource(f"{hub}/connectors", "More", "connectorName", blob, blob | new, "ConnectorNotFound"),
        "outbound": Resource(
            f"{hub}/connectors", "Out", "connectorName", outbound, outbound | new, "ConnectorNotFound"
        ),
        "crm": Resource(f"{hub}/connectors", "Crm", "connectorName", crm, crm | new, "ConnectorNotFound"),
        "mapping": Resource(
            f"{hub}/connectors/Files/mappings",
            "Contacts",
            "connectorMappingName",
            mapping,
            mapping | new,
            "MappingNotFound",
        ),
    }
    return found[request.param]


def test_every_kind_is_here() -> None:
    assert {row.singular.removesuffix("_type") for row in DEFINITIONS} == {*KINDS} - {"outbound", "crm"}


@pytest.mark.parametrize("row", DEFINITIONS, ids=lambda row: row.plural)
def test_a_row_fits_its_model(row: Row[Any]) -> None:
    """Every form has every column that lists are sorted by, and the example is a good body."""
    for form in row.model.forms:
        assert {*row.columns} <= {field.alias for field in form.model_fields.values()}
    assert row.model.read(row.example)


@pytest.mark.parametrize("row", DEFINITIONS, ids=lambda row: row.plural)
def test_the_actions_of_a_row_stand_below_it(row: Row[Any]) -> None:
    rendered = [route.path for route in routes_of(row) if isinstance(route, APIRoute)]
    assert rendered[:4] == [row.list_path, row.path, row.path, row.path]
    assert all(path.startswith(f"{row.path}/") for path in rendered[4:])


def names_of(client: Client, resource: Resource) -> list[str]:
    answer = client.get(resource.collection, params={"$top": 1000})
    assert answer.status_code == 200
    return [item[resource.named] for item in answer.json()["value"]]


def test_create_read_replace_list_delete(client: Client, resource: Resource) -> None:
    absent = client.get(resource.path)
    assert absent.status_code == 404
    assert absent.json()["error"]["code"] == resource.missing
    assert resource.name not in names_of(client, resource)

    created = client.put(resource.path, resource.body)
    assert created.status_code == 201
    document = created.json()
    assert document[resource.named] == resource.name
    assert document["created"].endswith("Z")
    assert client.get(resource.path).json() == document
    assert resource.name in names_of(client, resource)

    replaced = client.put(resource.path, resource.changed)
    assert replaced.status_code == 200
    assert "new" in str(replaced.json()["description"])
    assert replaced.json()["created"] == document["created"]
    assert client.get(resource.path).json() == replaced.json()

    for _ in range(2):
        deleted = client.delete(resource.path)
        assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.get(resource.path).status_code == 404
    assert resource.name not in names_of(client, resource)


def test_names_are_found_in_any_case_and_kept_in_theirs(client: Client, resource: Resource) -> None:
    client.put(resource.path, resource.body)
    shouted = f"{resource.collection}/{resource.name.upper()}"
    assert client.get(shouted).json()[resource.named] == resource.name
    again = client.put(shouted, resource.changed)
    assert again.status_code == 200
    assert again.json()[resource.named] == resource.name
    assert client.delete(shouted).status_code == 204
    assert client.get(resource.path).status_code == 404


def test_etags(client: Client, resource: Resource) -> None:
    path, body = resource.path, resource.body
    must_exist, must_not = {"If-Match": "*"}, {"If-None-Match": "*"}
    assert client.put(path, body, headers=must_exist).status_code == 412
    first = client.put(path, body, headers=must_not)
    assert first.status_code == 201
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert tag.endswith('"')
    assert client.put(path, body, headers=must_not).status_code == 412

    read = client.get(path)
    assert read.headers["etag"] == tag
    known = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    assert client.get(path, headers={"If-None-Match": "*"}).status_code == 304
    assert client.get(path, headers={"If-None-Match": f"W/{tag}"}).status_code == 304
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get(path, headers={"If-Match": '"other"'}).status_code == 412

    second = client.put(path, resource.changed, headers={"If-Match": tag})
    assert second.status_code == 200
    assert second.headers["etag"] != tag
    late = client.put(path, body, headers={"If-Match": tag})
    assert late.status_code == 412
    assert late.json()["error"]["code"] == "PreconditionFailed"
    assert client.get(path).headers["etag"] == second.headers["etag"]
    assert client.delete(path, headers={"If-Match": tag}).status_code == 412
    assert client.put(path, body, headers=must_exist).status_code == 200
    tag = client.get(path).headers["etag"]
    assert client.delete(path, headers={"If-Match": tag}).status_code == 204
    assert client.delete(path, headers={"If-Match": tag}).status_code == 412


@pytest.mark.parametrize(
    ("header", "value"), [("If-Match", '"a", "b"'), ("If-None-Match", '"a"'), ("If-None-Match", "W/*")]
)
def test_conditions_that_are_not_taken(client: Client, hub: str, header: str, value: str) -> None:
    answer = client.put(hub, {}, headers={header: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["target"] == header


def test_read_only_properties_are_ignored(client: Client, resource: Resource) -> None:
    plain = client.put(resource.path, resource.body).json()
    forged = {
        "created": "yesterday",
        "lastModified": 7,
        "tenantId": "another",
        "state": "Expiring",
        "connectorId": 99,
        "provisioningState": "Failed",
        "lastChangedUtc": {},
        "runId": "1",
    }
    known = {name: value for name, value in forged.items() if name in plain or name in {"created", "tenantId"}}
    assert known
    answer = client.put(resource.path, resource.body | known)
    assert answer.status_code == 200
    for name in known.keys() - {"lastModified", "lastChangedUtc"}:
        assert answer.json().get(name) == plain.get(name)


def test_unknown_properties_are_named(client: Client, resource: Resource) -> None:
    answer = client.put(resource.path, resource.body | {"colour": "red", "Size": 1})
    assert answer.status_code == 400
    found = {(detail["code"], detail["target"]) for detail in answer.json()["error"]["details"]}
    assert found == {("UnknownProperty", "colour"), ("UnknownProperty", "Size")}
    assert client.get(resource.path).status_code == 404


def test_property_names_are_read_in_any_case(client: Client, resource: Resource) -> None:
    shouted = {name.upper(): value for name, value in resource.changed.items()}
    answer = client.put(resource.path, shouted)
    assert answer.status_code == 201
    assert client.put(resource.path, resource.changed).json().keys() == answer.json().keys()


@pytest.mark.parametrize("name", ["a", "1ab", "a-b", "a b", "ab\n", "a.b", "ä1", "a%", "'a'", "a" * 129, "a(b", "..a"])
@pytest.mark.parametrize(
    "collection",
    [
        *(row.list_path.format(hub="contoso", connector="c1") for row in DEFINITIONS),
        "/hubs/contoso/data/KPIs",
    ],
)
def test_names_that_are_not_allowed(client: Client, collection: str, name: str) -> None:
    path = f"{collection}/{quote(name, safe='')}"
    answers = [client.get(path)]
    if "data" not in collection:
        answers += [client.put(path, {}), client.delete(path)]
    for answer in answers:
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["code"] == "InvalidName"
        assert "letter" in error["message"]


def test_everything_wrong_with_an_address_at_once(client: Client) -> None:
    answer = client.get("/hubs/a_b/connectors/1/mappings", params={"$top": "x"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "InvalidRequest"
    found = {(detail["code"], detail["target"]) for detail in error["details"]}
    assert found == {("InvalidName", "hub"), ("InvalidName", "connector"), ("InvalidValue", "$top")}


@pytest.mark.parametrize(
    ("path", "named", "body"),
    [
        ("profiles/Contact", "typeName", bodies.profile_type()),
        ("interactions/Order", "TypeName", bodies.interaction_type()),
        ("connectors/Shop", "connectorName", {"connectorType": "None", "connectorProperties": {}}),
        ("", "hubName", {}),
    ],
)
def test_a_body_that_names_itself_otherwise(client: Client, hub: str, path: str, named: str, body: Body) -> None:
    full = f"{hub}/{path}".rstrip("/")
    answer = client.put(full, body | {named: "Another"})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["code"] == "NameMismatch"
    name = full.rsplit("/", maxsplit=1)[-1]
    assert client.put(full, body | {named: name.upper()}).is_success


def test_nothing_stands_below_a_hub_that_is_absent(client: Client, hub: str) -> None:
    absent = f"{hub}x"
    targets: list[tuple[str, Any]] = [
        ("profiles/Contact", bodies.profile_type()),
        ("interactions/Order", bodies.interaction_type()),
        ("kpi/Revenue", bodies.kpi()),
        ("connectors/Shop", {"connectorType": "None", "connectorProperties": {}}),
        ("connectors/Shop/mappings/m1", bodies.mapping("container")),
    ]
    for path, body in targets:
        collection = path.rsplit("/", maxsplit=1)[0]
        answers = [client.put(f"{absent}/{path}", body), client.get(f"{absent}/{path}")]
        answers.append(client.get(f"{absent}/{collection}"))
        for answer in answers:
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "HubNotFound"
        assert client.delete(f"{absent}/{path}").status_code == 204
    for path in ("runs", "runs/1", "runs/1/rejects", "data/Contact", "data/Contact/1", "data/KPIs/Revenue"):
        answer = client.get(f"{absent}/{path}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "HubNotFound"
