"""Lists come in pages that link to the next one, until the last."""

import base64
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.http import bodies
from tests.http.conftest import Client


@pytest.fixture
def names(client: Client, hub: str) -> list[str]:
    found = [f"T{number:02}" for number in range(33)]
    for name in found:
        assert client.put(f"{hub}/profiles/{name}", bodies.profile_type()).status_code == 201
    return found


def test_pages(client: Client, hub: str, names: list[str]) -> None:
    first = client.get(f"{hub}/profiles").json()
    assert [item["typeName"] for item in first["value"]] == names[:30]
    rest = client.get(first["nextLink"]).json()
    assert [item["typeName"] for item in rest["value"]] == names[30:]
    assert "nextLink" not in rest
    whole = client.get(f"{hub}/profiles", params={"$top": 1000}).json()
    assert [item["typeName"] for item in whole["value"]] == names
    assert "nextLink" not in whole
    assert "nextLink" not in client.get(f"{hub}/profiles?$top=33").json()
    assert client.get(f"{hub}/interactions").json() == {"value": []}


@pytest.mark.parametrize("top", ["$top=7", "%24top=7"])
def test_the_next_link_is_the_same_question(client: Client, hub: str, names: list[str], top: str) -> None:
    query = f"api-version=2017-04-26&{top}&$orderby=typeName desc&code=a%2Bb"
    link = client.get(f"{hub}/profiles?{query}", headers={"host": "contoso.azurewebsites.net"}).json()["nextLink"]
    address = urlsplit(link)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"http://contoso.azurewebsites.net{hub}/profiles"
    options = parse_qs(address.query)
    token = options.pop("$skiptoken")
    assert len(token) == 1
    assert options == {
        "api-version": ["2017-04-26"],
        "$top": ["7"],
        "$orderby": ["typeName desc"],
        "code": ["a+b"],
    }
    found: list[str] = []
    url = f"{hub}/profiles?{query}"
    while url:
        page = client.get(url).json()
        found += [item["typeName"] for item in page["value"]]
        url = page.get("nextLink", "")
        assert url.count("skiptoken") <= 1
    assert found == names[::-1]


def test_hubs_are_paged_too(client: Client) -> None:
    for number in range(3):
        client.put(f"/hubs/paged{number}", {})
    found: list[str] = []
    url = "/hubs?$top=2"
    while url:
        page = client.get(url).json()
        assert 0 < len(page["value"]) <= 2
        found += [item["hubName"] for item in page["value"]]
        url = page.get("nextLink", "")
    assert len(found) == len(set(found))
    assert {"paged0", "paged1", "paged2"} <= set(found)


LISTS = (
    "/hubs",
    "{hub}/profiles",
    "{hub}/interactions",
    "{hub}/kpi",
    "{hub}/connectors",
    "{hub}/connectors/Files/mappings",
    "{hub}/runs",
    "{hub}/data/Contact",
    "{hub}/data/KPIs/Visits",
)
TOKENS = {
    "12,000 open lists": "[" * 12_000,
    "9,000 open objects": '{"a":' * 9_000,
    "half a surrogate pair": '"\\ud800"',
    "half a pair in an object": '{"hubName": "\\udc00", "typeName": "\\udc00"}',
    "NaN": "NaN",
    "NaN in an object": '{"created": NaN}',
    "a list": '["a"]',
    "a list in an object": '{"created": ["a"]}',
    "null": "null",
    "a number of 5,000 digits": "9" * 5_000,
    "a key of 20,000 letters": '"' + "k" * 20_000 + '"',
    "a key of controls": '"\\u0000\\u001f\'"',
    "a key": '"k"',
    "values of other kinds": '{"created": true, "hubName": 1.5, "typeName": null, "other": "x"}',
    "nothing": '""',
}


@pytest.fixture(scope="module")
def listed(client: Client, storage_secret_url: str) -> str:
    hub = "/hubs/listed"
    for path, body in {
        "": {},
        "/profiles/Contact": bodies.profile_type(),
        "/interactions/Visit": bodies.interaction_type(),
        "/kpi/Visits": bodies.kpi(entityTypeName="Visit"),
        "/connectors/Files": bodies.blob_connector(storage_secret_url),
    }.items():
        assert client.put(f"{hub}{path}", body).status_code in {200, 201}
    return hub


@pytest.mark.parametrize("path", LISTS)
def test_a_made_up_token_is_a_place_in_the_list_or_is_refused_in_words(client: Client, listed: str, path: str) -> None:
    refused = set()
    for name, text in TOKENS.items():
        token = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        answer = client.get(path.format(hub=listed), params={"$skiptoken": token})
        assert answer.status_code in {200, 400}, (name, answer.text[:300])
        if answer.status_code == 400:
            refused.add(name)
            assert [fault["code"] for fault in answer.json()["error"]["details"]] == ["InvalidSkipToken"], name
            assert len(answer.text) < 1_000
    assert refused >= set(TOKENS) - {
        "a key of 20,000 letters",
        "a key of controls",
        "a key",
        "values of other kinds",
        "nothing",
    }
