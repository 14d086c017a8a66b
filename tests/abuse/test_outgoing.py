"""The app calls nobody whom a definition or an event only pretends to be; whoever is called is listened to."""

import re
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.acceptance.hub import Hub, Json, mapping_body

# Addresses that lead, or pretend to lead, to a listener of ours; `{port}` is its port.
HOSTS = {
    "the metadata service": "169.254.169.254",
    "a private network": "10.0.0.1",
    "loopback in decimal": "2130706433:{port}",
    "loopback in hex": "0x7f000001:{port}",
    "loopback in octal": "0177.0.0.1:{port}",
    "loopback cut short": "127.1:{port}",
    "another loopback": "127.0.0.2:{port}",
    "any address": "0.0.0.0:{port}",
    "mapped into IPv6": "[::ffff:127.0.0.1]:{port}",
    "a user before it": "account.blob.core.windows.net@127.0.0.1:{port}",
    "a user behind it": "127.0.0.1:{port}@account.blob.core.windows.net",
    "a fragment": "127.0.0.1:{port}#.blob.core.windows.net",
    "a backslash": "127.0.0.1:{port}\\@account.blob.core.windows.net",
    "a suffix": "account.blob.core.windows.net.127.0.0.1.example:{port}",
    "a name for loopback": "localhost.:{port}",
    "another name": "ip6-localhost:{port}",
    "another port": "127.0.0.1:{port}",
    "another port, by name": "localhost:{port}",
    "a letter of another script": "\u0430ccount.blob.core.windows.net:{port}",
}
REFUSED_ACCOUNT = "the secret is no usable storage connection: (its host|it must be a URL|on loopback its port)"
SIGNED = "?sv=2024-11-04&sr=c&sp=racwdl&se=2099-01-01T00%3A00%3A00Z&sig=CANARYoutgoing"


class Listener:
    """A port on loopback that answers nothing, and counts who comes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.visitors = 0


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


@contextmanager
def listening() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Listener(server.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                found.visitors += 1
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield found
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_signature_for_somebody_else(hub: Hub, listener: Listener, host: str, scheme: str) -> None:
    place = f"{scheme}://{host.format(port=listener.port)}/devstoreaccount1/partner{SIGNED}"
    properties = {"outputBlobSASUri": place, "entityList": [{"entityType": "Profile", "entityName": "Customer"}]}
    answer = put(hub, "/connectors/Elsewhere", {"connectorType": "Outbound", "connectorProperties": properties})
    is_refused(answer, listener, "connectorProperties.outputBlobSASUri", "InvalidSas")


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_vault_of_somebody_else(hub: Hub, listener: Listener, host: str) -> None:
    url = f"http://{host.format(port=listener.port)}/secrets/storage"
    body = {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": url}}
    # What is a URL of a vault, but of one that was not allowed, is told so.
    codes = {"InvalidValue", "VaultNotAllowed"}
    is_refused(put(hub, "/connectors/Vaulted", body), listener, "connectorProperties.connectionKeyVaultUrl", *codes)


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_an_account_of_somebody_else_behind_a_secret(hub: Hub, listener: Listener, host: str) -> None:
    endpoint = f"http://{host.format(port=listener.port)}/devstoreaccount1"
    for text in (endpoint, f"AccountName=a;AccountKey=Q0FOQVJZ;BlobEndpoint={endpoint}"):
        # The app knows a secret that it has read for a while, so each has a name of its own.
        url = f"{hub.stack.key_vault_url}/secrets/elsewhere-{uuid.uuid4().hex}"
        kept = httpx.put(f"{url}?api-version=7.4", json={"value": text}, headers={"Authorization": "Bearer local"})
        assert kept.status_code == 200
        body = {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": url}}
        answer = put(hub, "/connectors/Elsewhere2", body)
        assert answer.json()["state"] == "Failed", answer.text
        assert re.search(REFUSED_ACCOUNT, answer.json()["stateDetail"])
        assert "CANARY" not in answer.text
        assert "Q0FOQVJZ" not in answer.text
        assert listener.visitors == 0


@pytest.mark.parametrize("container", ["..", "%2e%2e", ".", "a/..%2fx", "UPPER", "a", "-a-", "a--b", "$root", ""])
def test_a_container_of_no_name(hub: Hub, container: str) -> None:
    place = f"{hub.stack.blob_endpoint}/{container}{SIGNED}"
    properties = {"outputBlobSASUri": place, "entityList": [{"entityType": "Profile", "entityName": "Customer"}]}
    answer = put(hub, "/connectors/Nowhere", {"connectorType": "Outbound", "connectorProperties": properties})
    check_fault(answer, "connectorProperties.outputBlobSASUri", "InvalidSas")
    assert "CANARY" not in answer.text


OF_THE_APP = {
    "the app's tables": "lake",
    "the app's rejects": "runs",
    "the host's keys": "azure-webjobs-secrets",
    "the host's leases": "azure-webjobs-hosts",
    "the code": "deployments",
    "the logs": "$logs",
    "the root": "$root",
    "the web": "$web",
}
NO_FOLDERS = {
    "the app's tables, shouted": "LAKE",
    "up": "inbox/../lake",
    "a URL with a query": "https://account.blob.core.windows.net/inbox?sig=CANARY",
    "another account": "https://another.blob.core.windows.net/inbox",
    "a file": "file:///etc/inbox",
    "the metadata service": "http://169.254.169.254/metadata/inbox",
    "a backslash": "inbox\\..\\lake",
    "NUL": "in\0box",
    "two thousand signs": "i" * 2_000,
}


@pytest.mark.parametrize("folder", OF_THE_APP.values(), ids=OF_THE_APP)
def test_a_folder_of_the_app(hub: Hub, folder: str) -> None:
    check_folder(hub, folder, "ContainerNotAllowed")


@pytest.mark.parametrize("folder", NO_FOLDERS.values(), ids=NO_FOLDERS)
def test_a_folder_that_is_none_of_ours(hub: Hub, folder: str) -> None:
    check_folder(hub, folder, "InvalidValue")


def check_folder(hub: Hub, folder: str, code: str) -> None:
    body = mapping_body("inbox", {"Id": "id"})
    body["mappingProperties"]["folderPath"] = folder
    path = "/connectors/Landing/mappings/Elsewhere"
    check_fault(put(hub, path, body), "mappingProperties.folderPath", code)
    moved = mapping_body(hub.inbox.container_name, {"Id": "id"}, folder="moved")
    done = {"completionOperationType": "MoveFile", "destinationFolder": folder}
    moved["mappingProperties"]["completeOperation"] = done
    check_fault(put(hub, path, moved), "mappingProperties.completeOperation.destinationFolder", code)
    # A preview looks below the mapping's own folder only.
    seen = hub.request("POST", "/connectors/Landing/mappings/Customers/preview", json={"blob": f"{folder}/x.csv"})
    if seen.status_code == 404:
        assert seen.json()["error"]["code"] == "BlobNotFound"
    else:
        check_fault(seen, "blob", "InvalidValue")
    check_fault(hub.request("POST", "/connectors/Landing/suggest", json={"blob": f"{folder}/x.csv"}), "blob", code)


EVENTS: dict[str, dict[str, Any]] = {
    "a listener": {"url": "http://127.0.0.1:{port}/devstoreaccount1/inbox/a.csv"},
    "the metadata service": {"url": "http://169.254.169.254/inbox/a.csv"},
    "a user": {"url": "http://devstoreaccount1@127.0.0.1:{port}/inbox/a.csv"},
    "nothing": {"url": ""},
    "a number": {"url": 7},
    "a list": {"url": []},
}


@pytest.mark.parametrize("data", EVENTS.values(), ids=EVENTS)
def test_an_event_calls_nobody(hub: Hub, listener: Listener, data: Json) -> None:
    url = data["url"].format(port=listener.port) if isinstance(data["url"], str) else data["url"]
    answer = hub.deliver(hub.event("a.csv", "0x1", url=url))
    assert answer.status_code == 202
    handshake = {"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "subject": "", "topic": "t",
                 "data": {"validationCode": "c", "validationUrl": f"http://127.0.0.1:{listener.port}/"},
                 "eventTime": "2026-11-22T10:00:00Z", "dataVersion": "1", "metadataVersion": "1"}  # fmt: skip
    assert hub.deliver(handshake).status_code == 202
    assert listener.visitors == 0


def put(hub: Hub, path: str, body: Json) -> httpx.Response:
    return hub.request("PUT", path, json=body)


def check_fault(answer: httpx.Response, target: str, *codes: str) -> None:
    """The request is refused for this property and no other, and one of these faults is among its own."""
    assert answer.status_code == 400, answer.text
    faults = answer.json()["error"]["details"]
    assert {fault["target"] for fault in faults} == {target}, answer.text
    assert {fault["code"] for fault in faults} & set(codes), answer.text


def is_refused(answer: httpx.Response, listener: Listener, target: str, *codes: str) -> None:
    check_fault(answer, target, *codes)
    assert "CANARY" not in answer.text
    assert listener.visitors == 0
