"""Connectors: trying them for real, and secrets that no answer, log or table shows."""

import json
import logging
from typing import Any

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import ContainerClient

from infra.local.azurite import Endpoints
from tests.http import bodies
from tests.http.conftest import Client

CANARY = "Y2FuYXJ5LXNlY3JldA"


def crm(**properties: Any) -> bodies.Body:
    return {
        "connectorType": "Crm",
        "connectorProperties": {
            "organizationId": "1",
            "organizationUrl": "https://contoso.crm.dynamics.com",
            **properties,
        },
    }


def test_a_connection_that_works_ends_ready(client: Client, hub: str, storage_secret_url: str) -> None:
    answer = client.put(f"{hub}/connectors/Files", bodies.blob_connector(storage_secret_url))
    document = answer.json()
    assert answer.status_code == 201
    assert document["state"] == "Ready", document
    assert document["connectorType"] == "AzureBlob"
    assert document["connectorId"] == 1
    assert document["tenantId"] == hub.removeprefix("/hubs/")
    assert document["created"] == document["lastModified"]
    assert list(document)[:2] == ["connectorId", "connectorName"]
    tried = client.post(f"{hub}/connectors/Files/test")
    assert tried.status_code == 200
    assert tried.json()["ok"] is True
    for check in tried.json()["checks"]:
        assert set(check) == {"name", "ok", "message"}


def test_a_connection_that_fails_says_why(client: Client, hub: str, storage_secret_url: str) -> None:
    absent = f"{storage_secret_url.rpartition('/')[0]}/absent"
    answer = client.put(f"{hub}/connectors/Files", bodies.blob_connector(absent))
    assert answer.status_code == 201
    assert answer.json()["state"] == "Failed"
    assert answer.json()["stateDetail"]
    tried = client.post(f"{hub}/connectors/Files/test").json()
    assert tried["ok"] is False
    assert [check["message"] for check in tried["checks"] if not check["ok"]] == [answer.json()["stateDetail"]]
    again = client.put(f"{hub}/connectors/Files", bodies.blob_connector(storage_secret_url))
    assert (again.status_code, again.json()["state"]) == (200, "Ready")


def test_types_that_do_not_run_yet_are_kept(client: Client, hub: str) -> None:
    answer = client.put(f"{hub}/connectors/Sales", crm(entities=[{"LogicalName": "account", "isProfile": "True"}]))
    assert answer.status_code == 201
    document = answer.json()
    assert (document["connectorType"], document["state"]) == ("CRM", "Created")
    assert document["connectorProperties"]["entities"] == [{"logicalName": "account", "isProfile": True}]
    assert client.post(f"{hub}/connectors/Sales/test").json()["ok"] is False


@pytest.mark.parametrize("url", ["https://evil.example/secrets/a", "http://169.254.169.254/secrets/a", "no url", ""])
def test_vaults_off_the_list_are_refused(client: Client, hub: str, url: str) -> None:
    answer = client.put(f"{hub}/connectors/Files", bodies.blob_connector(url))
    assert answer.status_code == 400
    targets = [detail["target"] for detail in answer.json()["error"]["details"]]
    assert targets == ["connectorProperties.connectionKeyVaultUrl"]


def test_secrets_show_nowhere(
    client: Client, hub: str, sas_uri: str, azurite: Endpoints, caplog: pytest.LogCaptureFixture
) -> None:
    signature = sas_uri.rpartition("sig=")[2]
    client.put(f"{hub}/profiles/Contact", bodies.profile_type())
    given = {
        "connectionString": f"Url=https://x.example; Username=a; Password={CANARY};",
        "accessToken": CANARY,
        "legacy": {"deep": [f"AccountKey={CANARY}"], "url": f"https://a.example/?sig={CANARY}"},
        "plain": "stays",
    }
    with caplog.at_level(logging.DEBUG):
        answers = [
            client.put(f"{hub}/connectors/Sales", crm(**given)),
            client.put(f"{hub}/connectors/Out", bodies.outbound_connector(sas_uri)),
        ]
        assert [answer.status_code for answer in answers] == [201, 201]
        shown = answers[0].json()["connectorProperties"]
        assert (shown["connectionString"], shown["accessToken"]) == ("***", "***")
        assert shown["legacy"] == {"deep": ["***"], "url": "***"}
        assert shown["plain"] == "stays"
        assert answers[1].json()["connectorProperties"]["outputBlobSASUri"] == "***"
        wrong: list[object] = [
            crm(**given) | {"isInternal": "x", "colour": CANARY},
            crm(**given) | {f"Password={CANARY}": 1, f"https://a.example/?sig={CANARY}&x": 2},
            crm(organizationId=None, connectionString={"a": f"Password={CANARY}"}),
            crm(**given) | {"displayName": f"Password={CANARY}"},
            {"connectorType": f"Password={CANARY}", "connectorProperties": {}},
            bodies.blob_connector(f"https://evil.example/?sig={CANARY}"),
            {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": {"password": CANARY}}},
            bodies.outbound_connector(f"https://evil.example/c?sp=rw&sig={CANARY}"),
            bodies.outbound_connector(sas_uri, displayName=f"sig={CANARY}"),
        ]
        for bad in wrong:
            answer = client.put(f"{hub}/connectors/Wrong", bad)
            assert answer.status_code == 400
            answers.append(answer)
        for name in ("Sales", "Out"):
            path = f"{hub}/connectors/{name}"
            answers += [client.get(path), client.post(f"{path}/test"), client.get(f"{path}x")]
        answers += [client.get(f"{hub}/connectors"), client.get("/openapi.json")]
    for answer in answers:
        assert CANARY not in answer.text
        assert signature not in answer.text
    # The client of the test itself is not the app's log.
    logged = [r.getMessage() for r in caplog.records if r.name.split(".")[0] not in {"httpx", "httpcore"}]
    assert any("urllib3" in record.name for record in caplog.records)
    assert CANARY not in "\n".join(logged)
    assert signature not in "\n".join(logged)
    with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
        rows = json.dumps(list(tables.get_table_client("definitions").list_entities()), default=str)
    assert "organizationUrl" in rows
    assert CANARY not in rows
    assert signature not in rows


def test_a_masked_secret_stays_as_it_was(client: Client, hub: str, sas_uri: str) -> None:
    client.put(f"{hub}/profiles/Contact", bodies.profile_type())
    first = client.put(f"{hub}/connectors/Out", bodies.outbound_connector(sas_uri))
    assert first.json()["state"] == "Ready", first.text
    again = client.put(f"{hub}/connectors/Out", first.json() | {"displayName": "Partner"})
    assert again.status_code == 200
    assert (again.json()["state"], again.json()["displayName"]) == ("Ready", "Partner")
    assert client.post(f"{hub}/connectors/Out/test").json()["ok"] is True
    fresh = client.put(f"{hub}/connectors/Other", bodies.outbound_connector("***"))
    assert fresh.status_code == 400
    assert fresh.json()["error"]["target"] == "connectorProperties.outputBlobSASUri"


METADATA = "Metadata/Profile/Contact/metadata.json"


def test_metadata_of_somebody_else_is_taken_over_when_that_is_asked_for(
    client: Client, hub: str, sas_uri: str, container: ContainerClient
) -> None:
    client.put(f"{hub}/profiles/Contact", bodies.profile_type())
    container.upload_blob(METADATA, b"theirs", metadata={"their": "own"})
    answer = client.put(f"{hub}/connectors/Out", bodies.outbound_connector(sas_uri))
    assert (answer.status_code, answer.json()["state"]) == (201, "Failed")
    assert METADATA in answer.json()["stateDetail"]
    blob = container.get_blob_client(METADATA)
    untouched = blob.get_blob_properties().etag
    for body in (None, {}, {"takeOver": False}, {"takeover": "false"}, {"TAKEOVER": "False"}, {"takeOver": 0}):
        options = {} if body is None else {"json": body}
        tried = client.send("POST", f"{hub}/connectors/Out/test", **options).json()
        [failed] = [check for check in tried["checks"] if not check["ok"]]
        assert (tried["ok"], failed["name"]) == (False, "metadata Profile/Contact")
        assert "takeOver" in failed["message"]
        assert blob.get_blob_properties().etag == untouched
    for body in ({"takeOver": True}, {"takeover": "true"}, {"TAKEOVER": "True"}, {"takeOver": 1}):
        container.upload_blob(METADATA, b"theirs", metadata={"their": "own"}, overwrite=True)
        tried = client.post(f"{hub}/connectors/Out/test", body).json()
        assert tried["ok"] is True
        [taken] = [check for check in tried["checks"] if check["name"] == "metadata Profile/Contact"]
        assert METADATA in taken["message"]
        assert blob.download_blob().readall() == b"theirs"
        assert client.get(f"{hub}/connectors/Out").json()["state"] == "Ready"
        assert client.post(f"{hub}/connectors/Out/test").json()["ok"] is True


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("Out", {"takeOver": "perhaps"}, "InvalidValue"),
        ("Out", {"takeOver": None}, "InvalidValue"),
        ("Out", {"takeOver": [True]}, "InvalidValue"),
        ("Out", {"takeOver": True, "force": True}, "UnknownProperty"),
        ("Files", {"takeOver": True}, "InvalidValue"),
        ("Sales", {"takeOver": True}, "InvalidValue"),
    ],
)
def test_what_a_test_cannot_do_is_refused(
    client: Client, hub: str, sas_uri: str, storage_secret_url: str, name: str, body: bodies.Body, code: str
) -> None:
    client.put(f"{hub}/profiles/Contact", bodies.profile_type())
    connectors = {
        "Out": bodies.outbound_connector(sas_uri),
        "Files": bodies.blob_connector(storage_secret_url),
        "Sales": crm(),
    }
    assert client.put(f"{hub}/connectors/{name}", connectors[name]).status_code == 201
    answer = client.post(f"{hub}/connectors/{name}/test", body)
    assert answer.status_code == 400
    assert [detail["code"] for detail in answer.json()["error"]["details"]] == [code]
    assert client.post(f"{hub}/connectors/Nobody/test", {"takeOver": True}).status_code == 404
    assert client.post(f"{hub}/connectors/{name}/test", {"takeOver": False}).status_code == 200


def test_sorted_by_any_column(client: Client, hub: str) -> None:
    for name, text in (("Beta", "z"), ("alpha", "Y"), ("Gamma", None)):
        body: bodies.Body = {"connectorType": "None", "connectorProperties": {}, "description": text}
        assert client.put(f"{hub}/connectors/{name}", body).status_code == 201

    def listed(orderby: str | None) -> list[str]:
        options = {} if orderby is None else {"$orderby": orderby}
        answer = client.get(f"{hub}/connectors", params=options)
        assert answer.status_code == 200, answer.text
        return [item["connectorName"] for item in answer.json()["value"]]

    assert listed(None) == ["alpha", "Beta", "Gamma"]
    assert listed("created desc") == ["Gamma", "alpha", "Beta"]
    assert listed("connectorId") == ["Beta", "alpha", "Gamma"]
    assert listed("description desc, connectorName") == ["Beta", "alpha", "Gamma"]
    assert listed("CONNECTORNAME DESC") == ["Gamma", "Beta", "alpha"]
    every = client.get(f"{hub}/connectors/Beta").json().keys() - {"connectorProperties"}
    for column in every:
        assert len(listed(f"{column} desc")) == 3
    refused = client.get(f"{hub}/connectors", params={"$orderby": "size"})
    assert refused.status_code == 400
    assert refused.json()["error"]["target"] == "$orderby"


def test_its_mappings_go_with_it(client: Client, hub: str, storage_secret_url: str, container: ContainerClient) -> None:
    client.put(f"{hub}/profiles/Contact", bodies.profile_type())
    client.put(f"{hub}/connectors/Files", bodies.blob_connector(storage_secret_url))
    client.put(f"{hub}/connectors/Files/mappings/m1", bodies.mapping(container.container_name))
    assert client.delete(f"{hub}/connectors/Files").status_code == 204
    assert client.get(f"{hub}/connectors/Files/mappings/m1").json()["error"]["code"] == "ConnectorNotFound"
    assert client.delete(f"{hub}/profiles/Contact").status_code == 204
