"""Request bodies: what is read, and how the rest is refused."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.http.protocol.json_body import VALUES_LIMIT
from tests.http import bodies
from tests.http.conftest import Client

JSON = {"content-type": "application/json"}


def nested(depth: int) -> bytes:
    return b'{"tags":' + b'{"a":' * (depth - 1) + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the body is empty"),
        (b" \r\n", "the body is empty"),
        (b'{"fields": [}', "line 1, column 13"),
        (b'{\n  "fields": 1,\n}', "line 2, column 14"),
        (b"{'a': 1}", "line 1, column 2"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"displayName": "\xff"}', "not UTF-8 at byte 17"),
        (b'{"displayName": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'{"tenantFeatures": NaN}', "NaN"),
        (b'{"tenantFeatures": -Infinity}', "-Infinity"),
        (b'{"tenantFeatures": ' + b"9" * 5000 + b"}", "the number '99"),
        (b'{"tenantFeatures": -' + b"9" * 309 + b"}", "the number '-99"),
        (b'{"tags": [[1e999]]}', "the number '1e999'"),
        (b'{"tags": {"a": -1e999}}', "the number '-1e999'"),
        (b'{"fields": 1, "fields": 2}', "'fields' twice"),
        (b'{"connectorProperties": {"a": 1, "b": [{"Url": 1, "uRL": 2}]}}', "'uRL' twice"),
        (b'{"tags": {"' + b"t" * 513 + b'": ""}}', "more than 512 characters"),
        (b'{"tags": {"Team": "a", "team": "b"}}', "'team' twice"),
        (nested(33), "deeper than 32"),
        (b"[" * 100_000, "deeper than 32"),
        (b'{"a":' * 40_000, "deeper than 32"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_json_of_ours(client: Client, hub: str, content: bytes, message: str) -> None:
    answer = client.send("PUT", f"{hub}/profiles/Contact", content=content, headers=JSON)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "InvalidJson"
    assert message in error["message"]


def test_32_levels_are_read(client: Client, hub: str) -> None:
    answer = client.send("PUT", hub, content=nested(32), headers=JSON)
    assert answer.json()["error"]["code"] == "InvalidRequest"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "Application/JSON; charset=utf-8"},
        {"content-type": "application/merge-patch+json"},
        {"content-type": "text/json"},
        {"content-type": "application/json", "content-encoding": "identity"},
    ],
    ids=str,
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_is_read(client: Client, hub: str, headers: dict[str, str], encoding: str) -> None:
    content = json.dumps(bodies.profile_type(description={"de": "Ü😀"}), ensure_ascii=False).encode(encoding)
    answer = client.send("PUT", f"{hub}/profiles/Contact", content=content, headers=headers)
    assert answer.status_code == 201
    assert answer.json()["description"] == {"de": "Ü😀"}


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/xml"},
        {"content-type": "nonsense"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
    ids=str,
)
def test_other_media_types_are_415(client: Client, hub: str, headers: dict[str, str]) -> None:
    content = json.dumps(bodies.profile_type()).encode()
    answer = client.send("PUT", f"{hub}/profiles/Contact", content=content, headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "UnsupportedMediaType"


@pytest.mark.parametrize("is_announced", [True, False])
@pytest.mark.parametrize(("size", "status"), [(256 * 1024, 201), (256 * 1024 + 1, 413), (300 * 1024, 413)])
def test_the_limit_is_256_kib(client: Client, hub: str, size: int, status: int, is_announced: bool) -> None:
    content = json.dumps(bodies.profile_type()).encode()
    content += b" " * (size - len(content))

    async def pieces() -> AsyncIterator[bytes]:
        # httpx announces no Content-Length for a stream.
        for start in range(0, len(content), 50_000):
            yield content[start : start + 50_000]

    answer = client.send("PUT", f"{hub}/profiles/Contact", content=content if is_announced else pieces(), headers=JSON)
    assert answer.status_code == status
    if status == 413:
        assert answer.json()["error"]["code"] == "BodyTooLarge"


@pytest.mark.parametrize(
    "route", ["kpi/Revenue/reprocess", "connectors/Files/test", "connectors/Files/mappings/m1/run"]
)
def test_actions_take_no_properties(client: Client, hub: str, route: str) -> None:
    answer = client.post(f"{hub}/{route}", {"force": True, "again": 1})
    assert answer.status_code == 400
    assert [detail["target"] for detail in answer.json()["error"]["details"]] == ["force", "again"]
    assert client.send("POST", f"{hub}/{route}", content=b" " * 300_000, headers=JSON).status_code == 413
    assert client.send("POST", f"{hub}/{route}").status_code == 404


def test_a_hub_may_have_no_body(client: Client, hub: str) -> None:
    assert client.send("PUT", hub).status_code == 200
    assert client.send("PUT", hub, content=b" ", headers={"content-type": "text/plain"}).status_code == 200


def test_a_read_only_property_is_not_set_by_its_name_in_python(client: Client, hub: str) -> None:
    answer = client.put(hub, {"tenant_id": "other", "display_name": "H"})
    assert answer.status_code == 400
    assert [detail["target"] for detail in answer.json()["error"]["details"]] == ["tenant_id", "display_name"]


@pytest.mark.parametrize(("values", "status"), [(VALUES_LIMIT - 1, 400), (VALUES_LIMIT, 413)])
def test_a_body_holds_so_many_values(client: Client, hub: str, values: int, status: int) -> None:
    content = f'{{"tags": [{",".join("1" * values)}]}}'
    answer = client.send("PUT", hub, content=content.encode(), headers=JSON)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "", {f"p{number}": 1 for number in range(1100)}),
        ("PUT", "/connectors/Partner", {"connectorType": "Other", **{f"p{number}": 1 for number in range(1098)}}),
        ("PUT", "", {"tags": {f"t{number}": "Pwd=x" for number in range(1100)}}),
        ("POST", "/connectors/Files/mappings/daily/run", {f"p{number}": 1 for number in range(1100)}),
    ],
)
def test_the_faults_of_an_answer_are_counted_and_not_all_told(
    client: Client, hub: str, method: str, path: str, body: Any
) -> None:
    error = client.send(method, f"{hub}{path}", json=body).json()["error"]
    assert len(error["details"]) == 100
    assert error["message"].endswith("; and 1080 more")


def test_the_message_of_a_conflict_tells_the_first_faults(client: Client, hub: str) -> None:
    more = [{"fieldName": f"Field{number}", "fieldType": "Edm.String"} for number in range(300)]
    body = bodies.profile_type()
    assert client.put(f"{hub}/profiles/Contact", {**body, "fields": body["fields"] + more}).status_code == 201
    other = [{**field, "fieldType": "Edm.Int32"} for field in more]
    answer = client.put(f"{hub}/profiles/Contact", {**body, "fields": body["fields"] + other})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], len(error["details"])) == (409, "SchemaConflict", 100)
    assert error["message"].endswith("; and 280 more")


@pytest.mark.parametrize("length", ["9" * 5000, "\u00b2", "-1"])
def test_an_announced_length_that_is_none(client: Client, hub: str, length: str) -> None:
    headers = [(b"content-length", length.encode("latin-1"))]
    assert client.send("PUT", hub, content=b"{}", headers=headers).status_code in {200, 413}
