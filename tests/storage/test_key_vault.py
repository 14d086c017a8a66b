"""The real Key Vault client against the vault stand-in: the allow-list, what is cached, and what is never said."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.domain.errors import InvalidRequestError, RefusedError, ThrottledError, UnavailableError
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from tests.local_services import running_vault, silent_service

MARKER = "MARKER-5b0f"


@pytest.fixture
def vaults(settings: Settings) -> Vaults:
    return Vaults(settings)


def of_production(own: str = "https://hub.vault.azure.net", allowed: tuple[str, ...] = ()) -> Vaults:
    return Vaults(Settings(key_vault_url=own, allowed_key_vaults=allowed))


def of_development(own: str, *listed: str) -> Vaults:
    settings = Settings(
        azure_functions_environment="Development", key_vault_url=own, development_endpoints=(own, *listed)
    )
    return Vaults(settings)


def test_a_secret_is_kept_and_found(vaults: Vaults, vault: KeyVault, name: str) -> None:
    reference = vaults.set(name, MARKER)
    assert reference.startswith(f"{name}/")
    assert vaults.get_own(reference) == MARKER
    assert vaults.get(f"{vault.url}/secrets/{name}") == MARKER
    assert vaults.get(f"{vault.url}/secrets/{name}/") == MARKER


def test_a_reference_is_of_one_version(vaults: Vaults, name: str) -> None:
    old = vaults.set(name, "old")
    new = vaults.set(name, "new")
    assert (vaults.get_own(old), vaults.get_own(new)) == ("old", "new")


def test_a_value_is_known_for_a_minute(vaults: Vaults, settings: Settings, vault: KeyVault, name: str) -> None:
    url = f"{vault.url}/secrets/{name}"
    vaults.set(name, "old")
    assert vaults.get(url) == "old"
    Vaults(settings).set(name, "new")
    assert vaults.get(url) == "old"
    assert Vaults(settings).get(url) == "new"


def test_a_deleted_secret_is_gone_at_once(vaults: Vaults, name: str) -> None:
    reference = vaults.set(name, MARKER)
    assert vaults.get_own(reference) == MARKER
    vaults.delete(name)
    vaults.delete(name)
    with pytest.raises(RefusedError) as refused:
        vaults.get_own(reference)
    assert refused.value.code == "SecretNotFound"
    assert name in refused.value.message


def test_a_deletion_does_not_mind_readers(vaults: Vaults, name: str) -> None:
    """What another thread reads in the midst of it changes what is known."""
    known, other = vaults.set(f"{name}known", "1"), vaults.set(f"{name}other", "2")
    vaults.get_own(known)

    class ReadInTheMidst(str):
        __slots__ = ()

        def lower(self) -> str:
            reader = threading.Thread(target=vaults.get_own, args=(other,))
            reader.start()
            reader.join()
            return super().lower()

    vaults.delete(ReadInTheMidst(f"{name}known"))
    assert vaults.get_own(other) == "2"
    with pytest.raises(RefusedError):
        vaults.get_own(known)


def test_a_vault_that_is_down_is_unavailable(azurite: Endpoints, tmp_path: Path) -> None:
    """What was read a moment ago is still good, everything else must wait."""
    with running_vault(tmp_path, azurite) as running:
        vaults = of_development(running.url)
        reference = vaults.set("known", MARKER)
        assert vaults.get_own(reference) == MARKER
    assert vaults.get_own(reference) == MARKER
    for attempt in (
        lambda: vaults.get_own("unknown"),
        lambda: vaults.set("other", MARKER),
    ):
        with pytest.raises(UnavailableError) as failed:
            attempt()
        assert failed.value.code == "VaultUnavailable"
        assert MARKER not in str(failed.value)


def test_without_a_vault_nothing_can_be_kept() -> None:
    with pytest.raises(UnavailableError, match="KEY_VAULT_URL"):
        of_production("").set("x", MARKER)


@pytest.mark.parametrize(
    "url",
    [
        "https://hub.vault.azure.net/secrets/storage",
        "https://HUB.vault.azure.net/Secrets/storage/0123456789abcdef0123456789abcdef",
        "https://hub.vault.azure.net:443/secrets/storage/",
        "  https://partner-1.vault.azure.net/secrets/a-B-9 ",
        "https://sovereign.vault.azure.cn/secrets/x",
        "https://named.vault.azure.net/secrets/x",
    ],
)
def test_secrets_of_the_allow_list_are_taken(url: str) -> None:
    allowed = ("https://partner-1.vault.azure.net/", "https://sovereign.vault.azure.cn", "named")
    of_production(allowed=allowed).check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        MARKER,
        f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={MARKER}",
        "https://hub.vault.azure.net",
        "https://hub.vault.azure.net/secrets/",
        "https://hub.vault.azure.net/secrets/a/b/c",
        "https://hub.vault.azure.net/secrets/a%2e",
        f"https://hub.vault.azure.net/secrets/a?x={MARKER}",
        "https://hub.vault.azure.net/secrets/a#b",
        "https://hub.vault.azure.net/keys/a",
        "https://hub.vault.azure.net/deletedsecrets/a",
        "http://hub.vault.azure.net/secrets/a",
        "https://hub.vault.azure.net:8443/secrets/a",
        f"https://user:{MARKER}@hub.vault.azure.net/secrets/a",
        "https://hub.vault.azure.net@evil.example/secrets/a",
        "https://evil.example/hub.vault.azure.net/secrets/a",
        "https://hub.vault.azure.net.evil.example/secrets/a",
        "https://evil.example#hub.vault.azure.net/secrets/a",
        "https://evil.example\\@hub.vault.azure.net/secrets/a",
        "https://evil.vault.azure.net/secrets/a",
        "https://xhub.vault.azure.net/secrets/a",
        "https://hub.vault.azure.net./secrets/a",
        "https://127.0.0.1/secrets/a",
        "http://127.0.0.1:10010/secrets/a",
        "https://169.254.169.254/secrets/a",
        "https://[::1]/secrets/a",
        "https://\u04bbub.vault.azure.net/secrets/a",
    ],
)
def test_everything_else_is_refused_without_an_echo(url: str) -> None:
    for attempt in (of_production().check_url, of_production().get):
        with pytest.raises(InvalidRequestError) as refused:
            attempt(url)
        assert refused.value.details[0].target == "connectorProperties.connectionKeyVaultUrl"
        assert MARKER not in str(refused.value)
        assert "evil" not in str(refused.value)


def test_loopback_is_for_development_alone(vault: KeyVault) -> None:
    with pytest.raises(InvalidRequestError):
        of_production(vault.url, (vault.url,)).get(f"{vault.url}/secrets/storage")
    for listed, code in (((), "InvalidValue"), ((vault.url,), "VaultNotAllowed")):
        with pytest.raises(InvalidRequestError) as refused:
            of_development("http://127.0.0.1:1", *listed).get(f"{vault.url}/secrets/storage")
        assert refused.value.details[0].code == code


def test_a_vault_on_loopback_is_listed_like_any_endpoint(vault: KeyVault) -> None:
    unlisted = Vaults(Settings(azure_functions_environment="Development", key_vault_url=vault.url))
    with pytest.raises(UnavailableError, match="DEVELOPMENT_ENDPOINTS"):
        unlisted.set("x", MARKER)


class Listener:
    """A server that is no vault: it answers whatever it is told to, and keeps what it was sent."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listener.seen.append(dict(self.headers))
                body = json.dumps({"error": {"code": "X", "message": MARKER}}).encode()
                self.send_response(listener.status)
                for header, value in {"Content-Length": str(len(body)), **listener.headers}.items():
                    self.send_header(header, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.vaults = of_development(self.url)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def read(self) -> str:
        return self.vaults.get(f"{self.url}/secrets/x")

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.stop()


def test_a_challenge_for_something_else_gets_no_token(listener: Listener) -> None:
    """Whoever asks for a token of another resource asks in vain."""
    listener.status = 401
    listener.headers = {
        "WWW-Authenticate": 'Bearer authorization="https://login.microsoftonline.com/t", '
        'resource="https://management.azure.com"'
    }
    with pytest.raises(RefusedError) as refused:
        listener.read()
    assert refused.value.code == "VaultRefused"
    assert listener.seen
    assert not [headers for headers in listener.seen if "Authorization" in headers]


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, RefusedError, "VaultRefused"),
        (403, RefusedError, "VaultRefused"),
        (404, RefusedError, "SecretNotFound"),
        (307, UnavailableError, "VaultUnavailable"),
    ],
)
def test_answers_of_a_vault_become_errors_of_ours(
    listener: Listener, status: int, error: type[Exception], code: str
) -> None:
    listener.status = status
    listener.headers = {"Location": "http://127.0.0.1:1/elsewhere"}
    with pytest.raises(error, match=code) as failed:
        listener.read()
    assert MARKER not in str(failed.value)


@pytest.mark.parametrize(("status", "error"), [(429, ThrottledError), (503, UnavailableError)])
@pytest.mark.lengthy
def test_a_vault_in_trouble_is_asked_again(listener: Listener, status: int, error: type[Exception]) -> None:
    listener.status = status
    with pytest.raises(error):
        listener.read()
    assert len(listener.seen) == 4


@pytest.mark.lengthy
def test_a_vault_that_never_answers_is_given_up_within_seconds() -> None:
    with silent_service() as url:
        vaults = of_development(url)
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="cannot be reached"):
            vaults.get(f"{url}/secrets/x")
        assert time.monotonic() - began < 12


def test_no_secret_is_logged(vaults: Vaults, name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        reference = vaults.set(name, MARKER)
        assert vaults.get_own(reference) == MARKER
        vaults.delete(name)
    assert caplog.records
    assert MARKER not in caplog.text
    assert MARKER not in repr(vars(vaults))
