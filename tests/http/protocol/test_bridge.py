"""The application behind Azure's own bridge, as the Functions worker calls it."""

import asyncio
import json

import azure.functions as func
import pytest

from shared.app import Services
from shared.triggers.bridge import Bridge, create_bridge
from tests.http import bodies


@pytest.fixture(scope="module")
def bridge(services: Services) -> Bridge:
    return create_bridge(services)


def send(
    bridge: Bridge,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> func.HttpResponse:
    url = f"https://contoso.azurewebsites.net{path}"
    request = func.HttpRequest(method, url, headers={"Host": "contoso.azurewebsites.net", **(headers or {})}, body=body)

    async def call() -> func.HttpResponse:
        return await bridge(request, None)

    return asyncio.run(call())


def test_definitions_pass(bridge: Bridge) -> None:
    assert send(bridge, "PUT", "/hubs/bridged").status_code in {200, 201}
    body = json.dumps(bodies.profile_type()).encode()
    for name in ("Alpha", "Beta"):
        # The worker hands over the body whole, without a Content-Length.
        assert send(bridge, "PUT", f"/hubs/bridged/profiles/{name}", body).status_code in {200, 201}
    answer = send(bridge, "GET", "/hubs/bridged/profiles?%24top=1&api-version=2017-04-26")
    assert answer.status_code == 200
    page = json.loads(answer.get_body())
    assert [item["typeName"] for item in page["value"]] == ["Alpha"]
    assert page["nextLink"].startswith("https://contoso.azurewebsites.net/hubs/bridged/profiles?")
    following = page["nextLink"].removeprefix("https://contoso.azurewebsites.net")
    assert [item["typeName"] for item in json.loads(send(bridge, "GET", following).get_body())["value"]] == ["Beta"]
    assert answer.headers["cache-control"] == "no-store"
    assert send(bridge, "DELETE", "/hubs/bridged/profiles/Beta").status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", b"", 404),
        ("OPTIONS", "/hubs", b"", 405),
        ("PUT", "/hubs/bridged", b"{", 400),
        ("PUT", "/hubs/bridged", b" " * (256 * 1024 + 1), 413),
        ("GET", "/hubs/bridged/data/Contact('a%2Fb')", b"", 404),
        ("GET", "/hubs/bridged/data/Contact('a%252Fb')", b"", 404),
        ("GET", "/hubs/%C3%BC", b"", 400),
        ("PUT", "/hubs/bridged/profiles/P%0D%0AX:%20y", b"{}", 400),
        ("GET", "/no%0Awhere", b"", 404),
    ],
)
def test_errors_pass(bridge: Bridge, method: str, path: str, body: bytes, status: int) -> None:
    send(bridge, "PUT", "/hubs/bridged")
    answer = send(bridge, method, path, body)
    assert answer.status_code == status
    assert json.loads(answer.get_body())["error"]["code"]


def test_head_passes(bridge: Bridge) -> None:
    answer = send(bridge, "HEAD", "/health/live")
    assert (answer.status_code, answer.get_body()) == (200, b"")


@pytest.mark.parametrize("path", ["profiles/a;b", "profiles/a%3Bb", "data/Contact('a;b", "data/a%3Bb('c')"])
def test_a_semicolon_belongs_to_the_path(bridge: Bridge, path: str) -> None:
    send(bridge, "PUT", "/hubs/bridged")
    answer = send(bridge, "PUT" if path.startswith("profiles") else "GET", f"/hubs/bridged/{path}", b"{}")
    error = json.loads(answer.get_body())["error"]
    assert (answer.status_code, error["code"]) == (400, "InvalidName")
