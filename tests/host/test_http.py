"""HTTP triggers.

What is documented: https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger and, for
the settings of host.json, https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook.

Not here: what a host refuses by itself on the wire, such as a body of two lengths, where servers differ;
`tests/local/test_http.py` tries the stand-in.
"""

import http.client
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from tests.host.host import PREFIX, Host


def test_routes_begin_with_the_prefix_of_host_json(host: Host) -> None:
    """functions-bindings-http-webhook#hostjson-settings: `routePrefix`."""
    assert host.root.get(f"/{PREFIX}/hello/Ann").status_code == 200
    assert host.root.get("/hello/Ann").status_code == 404
    assert host.root.get("/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("path", "name"), [("/hello/Ann", "Ann"), ("/hello", None), ("/HELLO/Ann", "Ann"), ("/hello/Ann?name=x", "Ann")]
)
def test_a_part_of_the_route_is_a_parameter(host: Host, path: str, name: str | None) -> None:
    """#customize-the-http-endpoint: `{name:alpha?}`."""
    assert host.http.get(path).json()["name"] == name


@pytest.mark.parametrize("function", ["keyed", "guarded"])
def test_keys_are_asked_for_by_a_host_that_has_any(host: Host, function: str) -> None:
    """#http-auth: on the own machine no level is enforced."""
    assert host.http.get(f"/{function}").text == function
    stranger = httpx.get(f"{host.http.base_url}{function}", trust_env=False)
    assert stranger.status_code == (401 if host.address.key else 200)


def test_an_anonymous_function_asks_for_no_key(host: Host) -> None:
    """#http-auth"""
    assert httpx.get(f"{host.http.base_url}hello/Ann", trust_env=False).json()["name"] == "Ann"


def test_a_body_in_chunks_arrives_whole(host: Host) -> None:
    """https://www.rfc-editor.org/rfc/rfc9112#section-7.1"""
    chunks = [os.urandom(70_000) for _ in range(4)]

    def parts() -> Iterator[bytes]:
        yield from chunks

    answer = host.http.post("/echo/x", content=parts())
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert answer.content == b"".join(chunks)


def test_an_answer_to_head_has_no_body(host: Host) -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2"""
    answer = host.http.head("/echo/x", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-path"] == "x"


def test_an_exception_of_the_app_is_a_500(host: Host) -> None:
    """Its body is the host's own affair."""
    assert host.http.get("/broken").status_code == 500


def test_a_specific_route_goes_before_the_catch_all(host: Host) -> None:
    """https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-template-precedence"""
    assert host.http.get("/hello/Ann").json()["name"] == "Ann"
    assert host.http.get("/HELLO").json()["name"] is None
    assert host.http.get("/items/7").text == "7"
    assert host.http.get("/items/seven").json() == {"detail": "Not Found"}  # the catch-all's own 404


def test_another_method_goes_to_the_catch_all(host: Host) -> None:
    assert host.http.post("/hello/Ann").json() == {"detail": "Not Found"}
    assert host.http.delete("/items/7").text == "7"


def test_repeated_query_keys_are_joined_for_a_plain_function(host: Host) -> None:
    assert host.http.get("/hello?q=1&q=2").json()["q"] == "1,2"


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
def test_the_app_sees_the_path_decoded_once(host: Host, raw: str, seen: str) -> None:
    assert host.http.get(raw).headers["x-path"] == seen


def test_a_path_with_a_line_end_reaches_the_app(host: Host) -> None:
    assert host.http.get("/nowhere%0D%0Ax").json() == {"detail": "Not Found"}


def test_query_and_body_pass_unchanged(host: Host) -> None:
    body = os.urandom(300_000)
    answer = host.http.post("/echo/x?$top=2&a=%26%20b&a=", content=body, headers={"content-type": "image/png"})
    assert answer.content == body
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-query"] == "$top=2&a=%26%20b&a="


def test_every_cookie_is_set_with_its_attributes(host: Host) -> None:
    cookies = host.http.get("/echo/x").headers.get_list("set-cookie")
    assert [cookie.split(";")[0] for cookie in cookies] == ["first=1", "second=2"]
    assert "HttpOnly" in cookies[0]
    assert "SameSite=lax" in cookies[0]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE"])
def test_other_methods_arrive(host: Host, method: str) -> None:
    answer = host.http.request(method, "/echo/x")
    assert answer.status_code == 200
    assert answer.headers["x-path"] == "x"


def test_a_body_over_the_hosts_limit_is_refused_before_it_is_read(host: Host) -> None:
    """#limits: 100 MB."""
    connection = http.client.HTTPConnection(host.http.base_url.host, host.http.base_url.port, timeout=10)
    with closing(connection):
        connection.putrequest("POST", f"/{PREFIX}/echo/x")
        connection.putheader("Content-Length", str(100 * 1024 * 1024 + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_the_host_answers_while_an_async_function_blocks(host: Host) -> None:
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(host.http.post, "/sleep/1.5")
        answers = 0
        while not blocked.done():
            assert host.root.get("/admin/host/status").json()["state"] == "Running"
            answers += 1
        assert blocked.result().status_code == 204
    assert answers > 10
