"""Lists come in pages that link to the next one, until the last."""

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
