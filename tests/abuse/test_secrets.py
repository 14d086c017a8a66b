"""Marked secrets are sent to every place that takes a text, and then looked for in what the stack keeps and says."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.hub import Hub, Json, mapping_body

MARK = "CANARYb3e9"

# By the property's name, or by what the value says, a secret of a connector: it goes to the vault, and nowhere else.
KEPT: dict[str, Json] = {
    "the 2017 names": {"accessToken": MARK, "connectionString": f"Url=x;Password={MARK}"},
    "in another case": {"ACCESSTOKEN": MARK, "OutputBlobSasUri": MARK},
    "other names": {"password": MARK, "clientSecret": MARK, "apiKey": MARK, "secret": MARK},
    "written otherwise": {"access_token": MARK, "access-token": MARK, " accessToken": MARK, "Api_Key": MARK},
    "ending in key": {"accountKey": MARK, "primary-key": MARK},
    "names that say it plainly": {"signature": MARK, "credentials": MARK, "passPhrase": MARK, "Authorization": MARK},
    "deep": {"a": {"b": [{"token": MARK}]}},
    "a list": {"tokens": [MARK, MARK]},
    "a signature": {"address": f"https://x.example/?sv=1&sig={MARK}"},
    "a signature, shouted": {"address": f"https://x.example/?SIG={MARK}"},
    "a signature, escaped": {"address": f"https://x.example/?next=%3Fsig%3D{MARK}"},
    "an account's key": {"text": f"AccountName=a;AccountKey={MARK}"},
    "a password": {"text": f"Server=x;Pwd={MARK}"},
    "a bearer": {"header": f"Bearer {MARK}AAAAAAAAAAAAAAAAAAAA"},
    "a user of a URL": {"address": f"https://ann:{MARK}@x.example/"},
    "with blanks": {"text": f"AccountKey = {MARK}"},
    "full-width": {"text": f"\uff53\uff49\uff47\uff1d{MARK}"},
}
CARRIERS = {
    "a signature": f"https://x.example/?sig={MARK}",
    "a signature, escaped": f"x%3Fsig%3D{MARK}",
    "a key": f"AccountKey = {MARK}",
    "a password": f"Pwd={MARK}",
    "a bearer": f"Bearer {MARK}AAAAAAAAAAAAAAAAAAAA",
    "a user of a URL": f"https://ann:{MARK}@x.example/",
}


@pytest.mark.parametrize("properties", KEPT.values(), ids=KEPT)
def test_a_secret_of_a_connector(hub: Hub, properties: Json) -> None:
    body = {"connectorType": "None", "connectorProperties": properties}
    put = hub.request("PUT", "/connectors/Keeper", json=body)
    assert put.status_code in {200, 201}, put.text
    for answer in (put, hub.request("GET", "/connectors/Keeper"), hub.request("GET", "/connectors")):
        assert MARK not in answer.text
        assert "***" in answer.text
    masked = put.json()["connectorProperties"]
    again = hub.request("PUT", "/connectors/Keeper", json={"connectorType": "None", "connectorProperties": masked})
    assert again.json()["connectorProperties"] == masked
    check_nothing_is_kept(hub)


@pytest.mark.parametrize("text", CARRIERS.values(), ids=CARRIERS)
def test_a_secret_where_none_may_stand(hub: Hub, text: str) -> None:
    mapping = mapping_body(hub.inbox.container_name, {"Id": "id"})
    structure = {"propertyName": "Id", "columnName": text}
    connector = {"connectorType": "None", "connectorProperties": {}}
    key = {"strongIdName": "Key", "keyPropertyNames": ["Id"]}
    kpi = {"entityType": "Interaction", "entityTypeName": "Nobody", "function": "Sum", "calculationWindow": "Day"}
    tries: list[tuple[str, Json, str]] = [
        ("", {"displayName": text}, "SecretNotAllowed"),
        ("", {"tags": {"a": text}}, "SecretNotAllowed"),
        ("/connectors/Carrier", {**connector, "description": text}, "SecretNotAllowed"),
        ("/connectors/Carrier", {**connector, "connectorProperties": {text: 1}}, "SecretNotAllowed"),
        ("/connectors/Carrier", {**connector, text: 1}, "UnknownProperty"),
        ("/connectors/Landing/mappings/Carrier", {**mapping, "description": text}, "SecretNotAllowed"),
        ("/connectors/Landing/mappings/Carrier", properties_of(mapping, fileFilter=text), "SecretNotAllowed"),
        ("/connectors/Landing/mappings/Carrier", properties_of(mapping, structure=[structure]), "SecretNotAllowed"),
        ("/profiles/Carrier", {"fields": [{"fieldName": "Id", "fieldType": text}], "strongIds": [key]}, "UnknownValue"),
        ("/kpi/Carrier", {**kpi, "expression": text}, "InvalidValue"),
    ]
    for path, body, code in tries:
        answer = hub.request("PUT", path, json=body)
        assert answer.status_code == 400, (path, body, answer.text)
        assert {fault["code"] for fault in answer.json()["error"]["details"]} == {code}, (path, body, answer.text)
        assert MARK not in answer.text, (path, answer.text)
    for path in (
        f"/data/Customer?$filter={quote(f"City eq '{text}' and Nothing eq 1", safe='')}",
        f"/connectors?$orderby={quote(text, safe='')}",
        f"/connectors?$skiptoken={quote(text, safe='')}",
        f"/connectors/{quote(text, safe='')}",
    ):
        answer = hub.request("GET", path)
        assert answer.status_code in {400, 404}, (path, answer.text)
        assert MARK not in answer.text, (path, answer.text)
    check_nothing_is_kept(hub)


def properties_of(mapping: Json, **changes: object) -> Json:
    return {**mapping, "mappingProperties": {**mapping["mappingProperties"], **changes}}


def check_nothing_is_kept(hub: Hub) -> None:
    """Looks through every file of the stack but the vault's, whatever way the mark is spelt there."""
    folder = Path(hub.stack.log_file).parent
    spellings = [
        MARK.encode(),
        MARK.encode("utf-16-le"),
        base64.b64encode(MARK.encode()).rstrip(b"=")[:-2],
        json.dumps(MARK).strip('"').encode(),
    ]
    looked = 0
    for path in folder.rglob("*"):
        if path.is_file() and "vault" not in path.relative_to(folder).parts:
            content = path.read_bytes()
            looked += len(content)
            assert [spelling for spelling in spellings if spelling in content] == [], path
    assert looked > 10_000
