"""The real `SecretClient` against the stand-in, with its check of the challenge's resource on."""

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline.transport import HttpRequest, HttpResponse, HttpTransport, RequestsTransport
from azure.keyvault.secrets import SecretClient

from infra.local.key_vault import SecretStore
from tests.local.conftest import SampleApp


class AnyToken:
    def get_token(self, *_: Any, **__: Any) -> AccessToken:
        return AccessToken("a token", int(time.time()) + 3600)


class ToLoopback(HttpTransport[HttpRequest, HttpResponse]):
    def __init__(self, base: str) -> None:
        self._requests: HttpTransport[HttpRequest, HttpResponse] = RequestsTransport()
        self._base = base

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        self._requests.open()

    def close(self) -> None:
        self._requests.close()

    def send(self, request: HttpRequest, **options: Any) -> HttpResponse:
        real = request.url
        parts = urlsplit(real)
        request.url = f"{self._base}{parts.path}?{parts.query}"
        try:
            return self._requests.send(request, **options)
        finally:
            request.url = real


@pytest.fixture
def vault(sample: SampleApp) -> Iterator[SecretClient]:
    url = "https://local.vault.azure.net"
    with SecretClient(url, AnyToken(), transport=ToLoopback(sample.stack.key_vault_url)) as client:
        yield client


def test_the_storage_secret_is_there_from_the_start(sample: SampleApp, vault: SecretClient) -> None:
    name = sample.stack.storage_secret_url.rpartition("/")[2]
    secret = vault.get_secret(name)
    assert secret.value == sample.stack.storage_connection_string
    assert secret.properties.vault_url == "https://local.vault.azure.net"
    assert sample.stack.storage_secret_url == f"{sample.stack.key_vault_url}/secrets/{name}"


def test_versions(vault: SecretClient) -> None:
    first = vault.set_secret("versions", "one", content_type="text/plain", tags={"a": "b"})
    second = vault.set_secret("versions", "two")
    assert vault.get_secret("versions").value == "two"
    assert vault.get_secret("versions", first.properties.version).value == "one"
    assert vault.get_secret("versions", first.properties.version).properties.tags == {"a": "b"}
    found = {p.version for p in vault.list_properties_of_secret_versions("versions")}
    assert found == {first.properties.version, second.properties.version}
    assert "versions" in {p.name for p in vault.list_properties_of_secrets()}


def test_a_deleted_secret_can_be_set_again(vault: SecretClient) -> None:
    vault.set_secret("again", "one")
    assert vault.begin_delete_secret("again").result().name == "again"
    with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
        vault.get_secret("again")
    assert vault.set_secret("again", "two").value == vault.get_secret("again").value == "two"


def test_recover_and_purge(vault: SecretClient) -> None:
    vault.set_secret("back", "one")
    vault.begin_delete_secret("back").result()
    vault.begin_recover_deleted_secret("back").result()
    assert vault.get_secret("back").value == "one"
    vault.begin_delete_secret("back").result()
    vault.purge_deleted_secret("back")
    with pytest.raises(ResourceNotFoundError):
        vault.get_deleted_secret("back")


def test_nobody_reads_without_a_token(sample: SampleApp) -> None:
    answer = httpx.get(sample.stack.storage_secret_url)
    assert answer.status_code == 401
    assert 'resource="https://vault.azure.net"' in answer.headers["www-authenticate"]
    assert "AccountKey" not in answer.text


def test_secrets_survive_encrypted(tmp_path: Path) -> None:
    SecretStore(tmp_path).set("name", {"value": "precious"})
    kept = SecretStore(tmp_path).get("NAME")
    assert kept is not None
    assert kept["value"] == "precious"
    for file in tmp_path.iterdir():
        assert "precious" not in file.read_text(encoding="ascii")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.dumps(kept)
