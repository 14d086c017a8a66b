"""The stand-in's routes, and what it refuses by itself; `tests/host/test_http.py` has what any host does."""

import socket

import pytest

from infra.local.functions_host.triggers.http_routes import route_pattern
from tests.local.conftest import SampleApp

pytestmark = pytest.mark.lengthy


@pytest.mark.parametrize(
    ("route", "path", "parameters"),
    [
        ("hubs", "/hubs", {}),
        ("hubs", "/HUBS/", {}),
        ("hubs", "/hubs/x", None),
        ("hubs/{hub}", "/hubs/North", {"hub": "North"}),
        ("hubs/{hub}", "/hubs", None),
        ("hubs/{hub}", "/hubs/a/b", None),
        ("hubs/{hub?}", "/hubs", {"hub": None}),
        ("hubs/{hub:alpha}", "/hubs/n1", None),
        ("items/{id:int}", "/items/-12", {"id": "-12"}),
        (
            "items/{id:guid}",
            "/items/00000000-0000-0000-0000-00000000000A",
            {"id": "00000000-0000-0000-0000-00000000000A"},
        ),
        ("items/{id:guid}", "/items/12", None),
        ("items/{id:int?}", "/items", {"id": None}),
        ("files/{*rest}", "/files", {"rest": None}),
        ("files/{*rest}", "/files/a/b c/%2F", {"rest": "a/b c/%2F"}),
        ("{*rest}", "/", {"rest": ""}),
        ("{*rest}", "/a\nb", {"rest": "a\nb"}),
        ("a.b/{x}", "/aXb/1", None),
    ],
)
def test_route_templates(route: str, path: str, parameters: dict[str, str | None] | None) -> None:
    match = route_pattern("", route).fullmatch(path)
    assert (match.groupdict() if match else None) == parameters


def test_prefix_of_host_json() -> None:
    assert route_pattern("api", "hubs").fullmatch("/api/hubs")
    assert not route_pattern("api", "hubs").fullmatch("/hubs")


def raw_answer(sample: SampleApp, request: bytes) -> bytes:
    """All that comes back for bytes on the wire, until the host closes or, after an answer, says nothing more."""
    with socket.create_connection((sample.http.base_url.host, sample.http.base_url.port or 80), timeout=10) as wire:
        wire.sendall(request)
        wire.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: wire.recv(65536), b""))


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"transfer-encoding: Chunked\r\nCONTENT-LENGTH: 0\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Length: +4\r\n",
    ],
)
def test_a_body_of_two_lengths_is_refused_and_what_follows_is_no_request(sample: SampleApp, headers: bytes) -> None:
    smuggled = b"POST /fn/echo/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    start = b"POST /fn/echo/x HTTP/1.1\r\nHost: x\r\n"
    answer = raw_answer(sample, start + headers + b"\r\n0\r\n\r\n" + smuggled)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "X" * 200])
def test_a_method_that_no_binding_can_name_is_answered_with_the_error_body(sample: SampleApp, method: str) -> None:
    answer = sample.http.request(method, "/echo/x", headers={"x-canary": "reflected"})
    assert answer.status_code == 405
    assert answer.json()["error"].keys() == {"code", "message", "target", "details"}
    assert answer.json()["error"]["code"] == "MethodNotAllowed"
    assert "GET" in answer.headers["allow"]
    assert "TRACE" not in answer.headers["allow"]
    assert "reflected" not in answer.text


def test_connect_is_answered_with_the_error_body(sample: SampleApp) -> None:
    answer = raw_answer(sample, b"CONNECT elsewhere.example:80 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"code":"NotFound"' in answer


def test_an_exception_of_the_app_is_an_empty_500(sample: SampleApp) -> None:
    answer = sample.http.get("/broken")
    assert (answer.status_code, answer.content) == (500, b"")
