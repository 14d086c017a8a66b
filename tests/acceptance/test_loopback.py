"""In Development the stack's own endpoints on loopback are called, and nothing else that listens there."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.hub import Hub


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_container_of_the_stack_is_reached_in_any_spelling_of_loopback(hub: Hub, host: str) -> None:
    sas = hub.partner_sas().replace("127.0.0.1", host)
    hub.profile_type()
    connector = hub.outbound({"entityType": "Profile", "entityName": "Customer"}, sas=sas)
    assert connector["state"] == "Ready", connector


def test_nothing_else_on_loopback_is_called(hub: Hub) -> None:
    hub.profile_type()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        port = listener.getsockname()[1]
        elsewhere = hub.partner_sas().replace(urlsplit(hub.stack.blob_endpoint).netloc, f"localhost:{port}")
        customers = [{"entityType": "Profile", "entityName": "Customer"}]
        properties = {"outputBlobSASUri": elsewhere, "entityList": customers}
        body = {"connectorType": "Outbound", "connectorProperties": properties}
        refused = hub.request("PUT", "/connectors/Partner", json=body)
        assert refused.status_code == 400
        assert [fault["code"] for fault in refused.json()["error"]["details"]] == ["InvalidSas"]
        url = f"{hub.stack.key_vault_url}/secrets/elsewhere"
        secret = {"value": f"http://127.0.0.1:{port}/acc"}
        httpx.put(f"{url}?api-version=7.4", json=secret, headers={"Authorization": "Bearer local"}).raise_for_status()
        landing = {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": url}}
        connector = hub.put("/connectors/Elsewhere", landing)
        assert connector["state"] == "Failed"
        assert "DEVELOPMENT_ENDPOINTS" in connector["stateDetail"]
        with pytest.raises(BlockingIOError):
            listener.accept()
