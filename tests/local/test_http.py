"""HTTP triggers through the functions host."""

import http.client
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

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


def test_a_specific_route_goes_before_the_catch_all(sample: SampleApp) -> None:
    assert sample.http.get("/hello/Ann").json()["name"] == "Ann"
    assert sample.http.get("/HELLO").json()["name"] is None
    assert sample.http.get("/items/7").text == "7"
    assert sample.http.get("/items/seven").json() == {"detail": "Not Found"}  # the catch-all's own 404


def test_another_method_goes_to_the_catch_all(sample: SampleApp) -> None:
    assert sample.http.post("/hello/Ann").json() == {"detail": "Not Found"}
    assert sample.http.delete("/items/7").text == "7"


def test_repeated_query_keys_are_joined_for_a_plain_function(sample: SampleApp) -> None:
    assert sample.http.get("/hello?q=1&q=2").json()["q"] == "1,2"


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("/echo/a%20b", "a b"),
        ("/echo/a+b", "a+b"),
        ("/echo/%C3%A9", "\\xe9"),
        ("/echo/a%252Fb", "a%2Fb"),
        ("/echo/('k')", "('k')"),
        ("/echo/%ff", "%FF"),
    ],
)
def test_the_app_sees_the_path_decoded_once(sample: SampleApp, raw: str, seen: str) -> None:
    assert sample.http.get(raw).headers["x-path"] == seen


def test_a_path_with_a_line_end_reaches_the_app(sample: SampleApp) -> None:
    assert sample.http.get("/nowhere%0D%0Ax").json() == {"detail": "Not Found"}


def test_query_and_body_pass_unchanged(sample: SampleApp) -> None:
    body = os.urandom(300_000)
    answer = sample.http.post("/echo/x?$top=2&a=%26%20b&a=", content=body, headers={"content-type": "image/png"})
    assert answer.content == body
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-query"] == "$top=2&a=%26%20b&a="


def test_every_cookie_is_set_with_its_attributes(sample: SampleApp) -> None:
    cookies = sample.http.get("/echo/x").headers.get_list("set-cookie")
    assert [cookie.split(";")[0] for cookie in cookies] == ["first=1", "second=2"]
    assert "HttpOnly" in cookies[0]
    assert "SameSite=lax" in cookies[0]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE"])
def test_other_methods_arrive(sample: SampleApp, method: str) -> None:
    answer = sample.http.request(method, "/echo/x")
    assert answer.status_code == 200
    assert answer.headers["x-path"] == "x"


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
    smuggled = b"POST /echo/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    start = b"POST /echo/x HTTP/1.1\r\nHost: x\r\n"
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


def test_a_body_over_the_hosts_limit_is_refused_before_it_is_read(sample: SampleApp) -> None:
    connection = http.client.HTTPConnection(sample.http.base_url.host, sample.http.base_url.port, timeout=10)
    with closing(connection):
        connection.putrequest("POST", "/echo/x")
        connection.putheader("Content-Length", str(100 * 1024 * 1024 + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_the_host_answers_while_an_async_function_blocks(sample: SampleApp) -> None:
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(sample.http.post, "/sleep/1.5")
        answers = 0
        while not blocked.done():
            assert sample.http.get("/admin/host/status").json()["state"] == "Running"
            answers += 1
        assert blocked.result().status_code == 204
    assert answers > 10
