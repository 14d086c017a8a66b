"""Storage accounts: where they are and how they are reached, read from settings or from a connector's secret."""

import base64
import binascii
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.domain.errors import FatalError, Fault, InvalidRequestError
from shared.domain.names import account_and_path, account_at, in_cloud_of
from shared.settings import Settings
from shared.storage.loopback import loopback_endpoint, without_shorthand

# Public and sovereign clouds, and accounts with DNS zone endpoints:
# https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-endpoints
_ACCOUNT = r"[a-z0-9]{3,24}"
_BLOB_HOST = re.compile(
    rf"{_ACCOUNT}(?:\.blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)"
    r"|\.z\d{1,2}\.blob\.storage\.azure\.net)"
)


@dataclass(frozen=True)
class StorageAccount:
    """An account and its endpoints; without a connection string it is reached by identity.

    Attributes:
        name: of a connector's account, the one in its endpoint, whatever else its connection string says; with its
            cloud outside the public one (`account_at`).
        client_id: of the user-assigned identity; None leaves the choice to the default chain.
        is_hurried: whether somebody waits for the answer; see `hurried`.
    """

    name: str
    blob_endpoint: str
    queue_endpoint: str | None = None
    table_endpoint: str | None = None
    connection_string: SecretStr | None = None
    client_id: str | None = None
    is_hurried: bool = False

    def hurried(self) -> Self:
        """The same account for whoever waits for its answer: its blob service is given up after about 10 s."""
        return replace(self, is_hurried=True)

    @property
    def login(self) -> str:
        """The name that storage itself calls the account by."""
        return self.name.partition(".")[0]

    @cached_property
    def key(self) -> SecretStr | None:
        """The account key of the connection string, where it has one."""
        return self._secret("accountkey")

    @cached_property
    def sas(self) -> SecretStr | None:
        """The shared access signature of the connection string, without `?`, where it has one."""
        return self._secret("sharedaccesssignature")

    def _secret(self, name: str) -> SecretStr | None:
        if self.connection_string is None:
            return None
        text = _parts(self.connection_string.get_secret_value()).get(name)
        return SecretStr(text.lstrip("?")) if text else None


@dataclass(frozen=True)
class BlobUrl:
    """A blob URL taken apart, its host proven to be Azure Storage or a listed endpoint on loopback.

    Attributes:
        endpoint: of the account, without a slash at its end.
        path: below the account, still percent-encoded, without a slash at its start.
        query: without `?`; may be a secret.
    """

    account: str
    endpoint: str
    path: str
    query: str


def read_blob_url(text: str, settings: Settings) -> BlobUrl:
    """Takes a blob URL apart.

    Raises:
        ValueError: the URL is not one of Azure Blob Storage; the message repeats nothing of it.
    """
    if not re.fullmatch(r"https?://[!-~]+", text, re.IGNORECASE) or "\\" in text:
        raise ValueError("it must be a URL such as https://ACCOUNT.blob.core.windows.net/CONTAINER")
    parts = urlsplit(text)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("its port is not a number") from None
    if endpoint := loopback_endpoint(parts, settings):
        account, path = account_and_path(host, parts.path.strip("/"))
        if not re.fullmatch(_ACCOUNT, account):
            raise ValueError("on loopback its path must start with the name of the account")
        return BlobUrl(account, f"{endpoint}/{account}", path, parts.query)
    if not _BLOB_HOST.fullmatch(host) or "@" in parts.netloc or port not in {None, 443}:
        raise ValueError("its host must be an Azure Storage account such as ACCOUNT.blob.core.windows.net")
    if parts.scheme.lower() != "https":
        raise ValueError("it must start with https://")
    return BlobUrl(account_at(host), f"https://{host}", parts.path.lstrip("/"), parts.query)


def hub_account(settings: Settings) -> StorageAccount:
    """The hub's own account.

    Raises:
        FatalError: neither `HUB_STORAGE` nor the three `HUB_STORAGE__*Uri` are usable.
    """
    if settings.storage_connection_string is not None:
        try:
            account = _from_connection_string(settings.storage_connection_string)
        except ValueError as error:
            raise FatalError("InvalidSetting", f"HUB_STORAGE is not usable: {error}") from None
        return replace(account, name=in_cloud_of(urlsplit(account.blob_endpoint).hostname or "", account.name))
    blob, queue, table = (
        settings.hub_storage__blob_service_uri,
        settings.hub_storage__queue_service_uri,
        settings.hub_storage__table_service_uri,
    )
    if not (blob and queue and table):
        raise FatalError(
            "MissingSetting",
            "set HUB_STORAGE, or HUB_STORAGE__blobServiceUri, HUB_STORAGE__queueServiceUri and "
            "HUB_STORAGE__tableServiceUri",
        )
    if not all(uri.lower().startswith("https://") for uri in (blob, queue, table)):
        raise FatalError("InvalidSetting", "HUB_STORAGE__*ServiceUri must start with https://, as an identity is used")
    return StorageAccount(
        _account_at(blob),
        blob.rstrip("/"),
        queue.rstrip("/"),
        table.rstrip("/"),
        client_id=settings.hub_storage__client_id,
    )


def account_from_secret(text: str, settings: Settings) -> StorageAccount:
    """The account that a connector's secret names.

    Args:
        text: a connection string, or the https URL of a blob service, which is then reached by identity.
        settings: list the endpoints on loopback that may be called, and say which identity is used.

    Raises:
        InvalidRequestError: it is neither, or its host is not Azure Storage; nothing of it is repeated.
    """
    text = text.strip()
    try:
        if text.lower().startswith(("https://", "http://")):
            url = read_blob_url(text, settings)
            if url.path or url.query:
                raise ValueError(
                    "a blob service URL must have neither path nor query; for a shared access signature use a "
                    "connection string with BlobEndpoint and SharedAccessSignature"
                )
            if not url.endpoint.startswith("https://"):
                raise ValueError("a service that speaks no https takes no identity; use a connection string")
            return StorageAccount(url.account, url.endpoint, client_id=settings.hub_storage__client_id)
        account = _from_connection_string(text)
        # A foreign endpoint would be sent signatures made with the key.
        url = read_blob_url(account.blob_endpoint, settings)
        if url.path or url.query:
            raise ValueError("its BlobEndpoint must have neither path nor query")
        if not re.fullmatch(_ACCOUNT, account.name):
            raise ValueError("its AccountName must be 3 to 24 of a-z and 0-9")
    except ValueError as error:
        target = "connectorProperties.connectionKeyVaultUrl"
        message = f"the secret is no usable storage connection: {error}"
        raise InvalidRequestError([Fault("InvalidConnection", target, message)]) from None
    return StorageAccount(url.account, url.endpoint, connection_string=account.connection_string)


def _from_connection_string(text: str) -> StorageAccount:
    """Raises ValueError, which repeats nothing of the text."""
    text = without_shorthand(text)
    parts = _parts(text)
    name, key, sas = parts.get("accountname"), parts.get("accountkey"), parts.get("sharedaccesssignature")
    if not key and not sas:
        raise ValueError("it needs AccountName and AccountKey, or an endpoint and SharedAccessSignature")
    if key:
        try:
            base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("its AccountKey is not base64") from None

    def endpoint(service: str) -> str | None:
        if explicit := parts.get(f"{service}endpoint"):
            return explicit.rstrip("/")
        protocol = parts.get("defaultendpointsprotocol", "https")
        suffix = parts.get("endpointsuffix", "core.windows.net")
        return f"{protocol}://{name}.{service}.{suffix}" if name else None

    blob = endpoint("blob")
    if blob is None:
        raise ValueError("it names neither AccountName nor BlobEndpoint")
    return StorageAccount(name or _account_at(blob), blob, endpoint("queue"), endpoint("table"), SecretStr(text))


def _account_at(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return account_and_path(parts.hostname or "", parts.path.strip("/"))[0]


def _parts(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    return {name.strip().casefold(): value.strip() for name, _, value in pairs}
