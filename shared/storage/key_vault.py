"""Key Vault: secrets of the hub's own vault, and of vaults that connectors may name."""

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, HttpResponseError
from azure.keyvault.secrets import SecretClient
from pydantic import SecretStr

from shared.domain.errors import (
    Fault,
    HubError,
    InvalidRequestError,
    MissingError,
    RefusedError,
    ThrottledError,
    TransientError,
    UnavailableError,
)
from shared.domain.names import LOOPBACK
from shared.domain.own_names import is_own_secret
from shared.settings import Settings
from shared.storage.clients import HURRIED_TRANSPORT, hurried_retries, token_credential
from shared.storage.loopback import LoopbackCredential, LoopbackTransport, loopback_endpoint
from shared.storage.retries import RETRIES, asked_by

logger = logging.getLogger(__name__)

_VAULT_HOST = re.compile(
    r"(?P<vault>[a-z0-9][a-z0-9-]{1,22}[a-z0-9])\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)"
)
_SECRET_URL = re.compile(
    r"(?P<vault>https?://[a-z0-9.:\[\]-]+)/secrets/(?P<name>[a-z0-9-]{1,127})(?:/(?P<version>[a-z0-9]{1,64}))?/?",
    re.IGNORECASE,
)
_FRESH_S = 60
# A vault that does not answer for a while must not stop what was running.
_STALE_S = 15 * 60


@dataclass(frozen=True)
class KeptSecret:
    """A secret of the hub's own vault, as a list of them tells it: without its value.

    Attributes:
        created: when its newest version was set.
        tags: as they were given to `set`.
    """

    name: str
    created: datetime
    tags: Mapping[str, str]


@dataclass(frozen=True)
class _Known:
    value: SecretStr
    read_at: float


class Vaults:
    """The vaults of the allow-list: `KEY_VAULT_URL`, which is the hub's own, and `ALLOWED_KEY_VAULTS`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._own = _vault_url(settings.key_vault_url, settings)
        named = [self._own, *(_vault_url(item, settings) for item in settings.allowed_key_vaults)]
        self._allowed = frozenset(url for url in named if url)
        self._clients: dict[str, SecretClient] = {}
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def check_url(self, secret_url: str, target: str = "connectorProperties.connectionKeyVaultUrl") -> None:
        """Raises InvalidRequestError unless the URL names a secret of a vault on the allow-list, made by somebody else.

        What the app keeps for one connector is for no other, of whatever hub.
        """
        self._parse_foreign(secret_url, target)

    def get(self, secret_url: str) -> str:
        """The value of a secret, at most a minute old; older only while its vault does not answer.

        Raises:
            InvalidRequestError: as `check_url`.
            RefusedError: there is no such secret (`SecretNotFound`), or it is not for us (`VaultRefused`).
            UnavailableError: the vault does not answer.
        """
        return self._read(*self._parse_foreign(secret_url, "connectorProperties.connectionKeyVaultUrl"))

    def _read(self, vault: str, name: str, version: str) -> str:
        key = f"{vault}/{name.lower()}/{version.lower()}"
        known = self._known.get(key)
        age = time.monotonic() - known.read_at if known else None
        if known and age is not None and age < _FRESH_S:
            return known.value.get_secret_value()
        try:
            with _translated(f"the secret {name!r} of the vault {vault}"):
                value = self._client(vault).get_secret(name, version or None).value or ""
        except TransientError:
            if known and age is not None and age < _STALE_S:
                logger.warning("vault %s does not answer; a value %d s old is used", vault, age)
                return known.value.get_secret_value()
            raise
        with self._lock:
            self._known[key] = _Known(SecretStr(value), time.monotonic())
        return value

    def get_own(self, reference: str) -> str:
        """The value behind a reference that `set` returned; errors as in `get`."""
        name, _, version = reference.partition("/")
        return self._read(self._own_vault(), name, version)

    def set(self, name: str, value: str, tags: Mapping[str, str] | None = None) -> str:
        """Stores a new version of a secret in the hub's own vault.

        Returns:
            `NAME/VERSION`, by which `get_own` reads this very version.

        Raises:
            RefusedError: the vault does not let us. UnavailableError: it does not answer, or none is set.
        """
        vault = self._own_vault()
        with _translated(f"the secret {name!r} of the vault {vault}"):
            stored = self._client(vault).set_secret(name, value, tags=dict(tags or {}))
        return f"{name}/{stored.properties.version}"

    def delete(self, name: str) -> None:
        """Deletes a secret of the hub's own vault with all its versions; nothing happens if it is gone."""
        vault = self._own_vault()
        of_it = f"/{name.lower()}/"
        with self._lock:  # other threads read meanwhile
            self._known = {key: item for key, item in self._known.items() if of_it not in key}
        with suppress(MissingError), _translated(f"the secret {name!r} of the vault {vault}"):
            self._client(vault).begin_delete_secret(name)

    def kept(self) -> Iterator[KeptSecret]:
        """The secrets of the hub's own vault; errors as in `set`."""
        vault = self._own_vault()
        with _translated(f"the list of secrets of the vault {vault}"):
            for item in self._client(vault).list_properties_of_secrets():
                if item.name and item.created_on:
                    yield KeptSecret(item.name, item.created_on, item.tags or {})

    def _own_vault(self) -> str:
        if self._own:
            return self._own
        message = "no vault is configured; set KEY_VAULT_URL"
        if self._settings.key_vault_url:
            message = "KEY_VAULT_URL is no vault: set https://NAME.vault.azure.net, or one of DEVELOPMENT_ENDPOINTS"
        raise UnavailableError("VaultMissing", message)

    def _parse_foreign(self, secret_url: str, target: str) -> tuple[str, str, str]:
        vault, name, version = self._parse(secret_url, target)
        if is_own_secret(name):
            message = (
                "this secret is the app's own, kept for a connector; store the connection in another and name that"
            )
            raise InvalidRequestError([Fault("SecretNotAllowed", target, message)])
        return vault, name, version

    def _parse(self, secret_url: str, target: str) -> tuple[str, str, str]:
        found = _SECRET_URL.fullmatch(secret_url.strip())
        vault = _vault_url(found["vault"], self._settings) if found else ""
        if found is None or not vault:
            message = "it must be the URL of a Key Vault secret: https://VAULT.vault.azure.net/secrets/NAME"
            raise InvalidRequestError([Fault("InvalidValue", target, message)])
        if vault not in self._allowed:
            message = "this vault is not on the allow-list; add it to ALLOWED_KEY_VAULTS or use another"
            raise InvalidRequestError([Fault("VaultNotAllowed", target, message)])
        return vault, found["name"], found["version"] or ""

    def _client(self, vault: str) -> SecretClient:
        with self._lock:
            if vault not in self._clients:
                self._clients[vault] = _client(vault, self._settings)
            return self._clients[vault]


def _vault_url(text: str, settings: Settings) -> str:
    """`https://HOST` of a vault, or a listed endpoint on loopback; empty where it is neither."""
    text = text.strip().rstrip("/")
    if re.fullmatch(r"[a-zA-Z0-9-]+", text):
        text = f"https://{text}.vault.azure.net"
    try:
        parts = urlsplit(text.lower())
        port = parts.port
        if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
            return ""
        if endpoint := loopback_endpoint(parts, settings):
            return endpoint
    except ValueError:
        return ""
    is_vault = bool(_VAULT_HOST.fullmatch(parts.hostname or ""))
    return f"https://{parts.hostname}" if is_vault and parts.scheme == "https" and port in {None, 443} else ""


def _client(vault: str, settings: Settings) -> SecretClient:
    options: dict[str, Any] = {**HURRIED_TRANSPORT, "retry_policy": hurried_retries(RETRIES)}
    parts = urlsplit(vault)
    if parts.hostname in LOOPBACK:
        name = f"https://local{parts.port}.vault.azure.net"
        transport = LoopbackTransport(vault, **HURRIED_TRANSPORT)
        return SecretClient(name, LoopbackCredential(), transport=transport, **options)
    return SecretClient(vault, token_credential(settings.hub_storage__client_id), **options)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except AzureError as error:
        raise _translate(error, what) from None
    except ValueError:
        # The SDK's word for a challenge whose resource is not this vault: somebody is asking for our token.
        raise RefusedError("VaultRefused", f"{what} asks for a token that is not for it") from None


def _translate(error: AzureError, what: str) -> HubError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    match status:
        case 404:
            return MissingError("SecretNotFound", f"{what} does not exist; create it or correct its URL")
        case 400 | 401 | 403 | 409:
            message = f"{what} is refused with {status}; let the app's identity use it, and see that it is enabled"
            return RefusedError("VaultRefused", message)
        case 429:
            return ThrottledError(
                "VaultThrottled", f"{what}: the vault asks to slow down", retry_after_s=asked_by(error)
            )
        case None:
            return UnavailableError("VaultUnavailable", f"{what} cannot be reached ({type(error).__name__})")
        case _:
            message = f"{what} is not available: the vault answers {status}"
            return UnavailableError("VaultUnavailable", message, retry_after_s=asked_by(error))
