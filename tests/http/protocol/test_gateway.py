"""What holds for every request, whatever it asks: headers, HEAD, the error body, and that nothing gets out."""

import asyncio
import logging
from typing import Any

import pytest
from starlette.types import Message

from shared.app import Services
from shared.domain.errors import (
    AccountingError,
    CommitConflictError,
    ConflictError,
    DataError,
    HubError,
    RefusedError,
    ThrottledError,
    UnavailableError,
)
from shared.http.app import create_http_app
from shared.settings import Settings
from tests.http.conftest import Client

SECRET = "sig=Zm9vYmFyc2VjcmV0"


def raising(services: Services, error: Exception) -> Client:
    """The application with one more route, which fails."""
    app = create_http_app(services)

    def fail() -> None:
        raise error

    app.add_api_route("/fail", fail)
    return Client(app)


@pytest.mark.parametrize("path", ["/health/live", "/hubs", "/nowhere", "/hubs/1", "/openapi.json"])
def test_every_answer_is_for_the_caller_alone(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-ms-request-id"]
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/", 404, "RouteNotFound", None),
        ("GET", "/nowhere", 404, "RouteNotFound", None),
        ("PUT", "/hubs/contoso/links/L1", 404, "RouteNotFound", None),
        ("GET", "/hubs/contoso/relationships", 404, "RouteNotFound", None),
        ("GET", "/hubs/contoso/connectors/c1/slots", 404, "RouteNotFound", None),
        ("GET", "/docs", 404, "RouteNotFound", None),
        ("GET", "/hubs//profiles", 404, "RouteNotFound", None),
        ("POST", "/hubs", 405, "MethodNotAllowed", "GET, HEAD"),
        ("PATCH", "/hubs/contoso", 405, "MethodNotAllowed", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/hubs/contoso/connectors/c1", 405, "MethodNotAllowed", "DELETE, GET, HEAD, PUT"),
        ("GET", "/hubs/contoso/connectors/c1/test", 405, "MethodNotAllowed", "POST"),
        ("DELETE", "/hubs/contoso/data/Contact('1')", 405, "MethodNotAllowed", "GET, HEAD"),
        ("PUT", "/HUBS/contoso/Runs/1", 405, "MethodNotAllowed", "GET, HEAD"),
        ("DELETE", "/health/live", 405, "MethodNotAllowed", "GET, HEAD"),
    ],
)
def test_unknown_routes_and_methods(
    client: Client, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    answer = client.send(method, path)
    assert answer.status_code == status
    assert answer.headers.get("allow") == allow
    error = answer.json()["error"]
    assert error["code"] == code
    assert set(error) == {"code", "message", "target", "details"}
    assert error["message"]


@pytest.mark.parametrize("path", ["/health/live", "/hubs", "/openapi.json", "/hubs/absent", "/hubs/a b"])
def test_head_is_get_without_the_body(client: Client, path: str) -> None:
    got, head = client.get(path), client.send("HEAD", path)
    assert head.status_code == got.status_code
    assert head.content == b""
    changing = {"x-ms-request-id"}
    assert {n: v for n, v in head.headers.items() if n not in changing} == {
        n: v for n, v in got.headers.items() if n not in changing
    }


@pytest.mark.parametrize("path", ["/HUBS", "/Hubs/", "/hubs/", "/Health/LIVE", "/OpenApi.json"])
def test_fixed_segments_match_in_any_case(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (ConflictError("InUse", "it is used by X; delete that first", "X"), 409, None),
        (RefusedError("AccessDenied", "the container refuses; ask its owner"), 409, None),
        (DataError("MissingColumns", "the file lacks a"), 409, None),
        (ThrottledError("Throttled", "too much", retry_after_s=7.2), 429, "8"),
        (UnavailableError("StorageUnavailable", "no answer"), 503, "5"),
        (CommitConflictError("CommitConflict", "try again", retry_after_s=0.1), 503, "1"),
        (AccountingError("RowsDiffer", "counts differ"), 500, None),
    ],
)
def test_errors_of_our_tree(services: Services, error: HubError, status: int, retry_after: str | None) -> None:
    answer = raising(services, error).get("/fail")
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == retry_after
    assert answer.json() == {
        "error": {"code": error.code, "message": error.message, "target": error.target, "details": []}
    }


@pytest.mark.parametrize(
    "error", [ValueError(f"cannot read https://a.example/c?{SECRET}&se=1"), KeyError("x"), RecursionError()]
)
def test_an_unexpected_error_is_answered_and_logged_without_secrets(
    services: Services, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    client = raising(services, error)
    with caplog.at_level(logging.DEBUG):
        answer = client.get("/fail")
    assert answer.status_code == 500
    found = answer.json()["error"]
    assert found["code"] == "InternalError"
    request_id = answer.headers["x-ms-request-id"]
    assert request_id in found["message"]
    assert type(error).__name__ not in answer.text
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == 1
    assert request_id in logged[0].getMessage()
    assert type(error).__name__ in logged[0].getMessage()
    assert SECRET not in caplog.text


def test_broken_settings_are_an_answer_too() -> None:
    answer = Client(create_http_app(Services(Settings(hub_storage=None)))).get("/hubs")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"]


def test_the_access_log_names_routes_not_people(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "shared.http"):
        client.get("/hubs/contoso/data/Contact('ann@example.com')?code=topsecret&%24filter=x")
    lines = [record.getMessage() for record in caplog.records if record.name == "shared.http.protocol.gateway"]
    assert len(lines) == 1
    assert "GET /hubs/{hub}/data/{type:before_key}('{key:path}') answered 400" in lines[0]
    assert "ann@example.com" not in caplog.text
    assert "topsecret" not in caplog.text


def test_the_request_id_is_the_invocations(services: Services) -> None:
    """The Functions bridge puts the invocation's id into the scope; its traces are found by it."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/health/live",
        "raw_path": b"/health/live",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "server": ("127.0.0.1", 80),
        "state": None,
        "client": None,
        "azure_functions.invocation_id": "0f0f",
    }
    asyncio.run(create_http_app(services)(scope, receive, send))
    assert (b"x-ms-request-id", b"0f0f") in sent[0]["headers"]
