"""The SDK clients: one per account, shared by all threads, with bounded patience and silent about URLs."""

import logging
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential, TokenCredential
from azure.storage.blob import BlobServiceClient, ContainerClient

from shared.domain.errors import FatalError
from shared.storage.accounts import StorageAccount
from shared.storage.retries import RETRIES, Retries

if TYPE_CHECKING:
    from azure.data.tables import TableClient
    from azure.storage.queue import QueueClient

type Credential = AzureNamedKeyCredential | AzureSasCredential | TokenCredential

BLOCK_BYTES = 8 * 1024**2
CHECKSUM: Literal["md5"] = "md5"
"""Sent with whatever is written, so that the service refuses what was damaged on its way."""
_SOCKET_PIECE_BYTES = 1024**2  # the SDK's 4 KiB make reading a blob twice as dear, for the service as well
_CONNECT_S = 10
_READ_S = 60
_HURRIED_S = 4
_TABLE_READ_S = 8  # whoever waits for a definition or a run is better served by a 503 than by silence
# A redirect would carry a signature or a token to wherever the answer says.
TRANSPORT: dict[str, Any] = {
    "connection_timeout": _CONNECT_S,
    "read_timeout": _READ_S,
    "permit_redirects": False,
}
# Two tries of this length, for whoever waits for the answer: of a check, a preview, a vault.
_HURRIED_RETRIES = 1
HURRIED_TRANSPORT: dict[str, Any] = {**TRANSPORT, "connection_timeout": _HURRIED_S, "read_timeout": _HURRIED_S}
_SIGNATURE = re.compile(r"(sig=)[^&\s\"']+", re.IGNORECASE)


class _FitForLogs(logging.Filter):
    """Blots out signatures: urllib3 logs the path and query of every request at DEBUG. And drops what is no news."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith("Connection pool is full"):
            return False  # a connection beyond the pool is closed instead of kept, which does no harm
        if _SIGNATURE.search(message):
            record.msg, record.args = _SIGNATURE.sub(r"\1REDACTED", message), ()
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_FitForLogs())
# Two records per request, with the names of blobs, would drown and outlive what matters.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)


@lru_cache(maxsize=128)
def blob_service(account: StorageAccount) -> BlobServiceClient:
    """The account's blob service."""
    return BlobServiceClient(
        account.blob_endpoint, credential=credential(account), **_storage_options(account.is_hurried)
    )


def sas_container(container_url: str, sas: str, *, is_hurried: bool = False) -> ContainerClient:
    """A container reached by a SAS of its own (without `?`); where it `is_hurried`, given up after about 10 s."""
    options = _storage_options(is_hurried)
    return ContainerClient.from_container_url(container_url, credential=AzureSasCredential(sas), **options)


def queue_client(account: StorageAccount, name: str) -> "QueueClient":
    """A queue whose messages are base64, as the Functions host expects them by default."""
    from azure.storage.queue import QueueClient, TextBase64EncodePolicy

    endpoint = _required(account.queue_endpoint, account, "queue")
    return QueueClient(
        endpoint,
        name,
        credential=credential(account),
        message_encode_policy=TextBase64EncodePolicy(),
        # Of two messages for one run, the second finds nothing to do.
        **_storage_options(repeats_posts=True),
    )


def table_client(account: StorageAccount, name: str) -> "TableClient":
    """A table."""
    from azure.data.tables import TableClient

    endpoint = _required(account.table_endpoint, account, "table")
    transport = {**TRANSPORT, "read_timeout": _TABLE_READ_S}
    return TableClient(
        endpoint,
        name,
        credential=credential(account),
        # The client makes its retry policy itself. It gets nothing to do, behind one that stands before all others.
        retry_total=0,
        per_call_policies=[_retries(transport, most_unanswered=1)],
        **transport,
    )


def credential(account: StorageAccount) -> Credential:
    """What the account is reached with: its key, its signature, or a token."""
    if account.key is not None:
        return AzureNamedKeyCredential(account.login, account.key.get_secret_value())
    if account.sas is not None:
        return AzureSasCredential(account.sas.get_secret_value())
    return token_credential(account.client_id)


@lru_cache(maxsize=8)
def token_credential(client_id: str | None) -> TokenCredential:
    """Tokens of the app's identity; of the user-assigned one where `client_id` names it."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()


def hurried_retries(most: int = _HURRIED_RETRIES) -> Retries:
    """The policy beside HURRIED_TRANSPORT, which repeats a request once where no answer comes."""
    return _retries(HURRIED_TRANSPORT, most, _HURRIED_RETRIES)


def _storage_options(is_hurried: bool = False, *, repeats_posts: bool = False) -> dict[str, Any]:
    return {
        **(HURRIED_TRANSPORT if is_hurried else TRANSPORT),
        "retry_policy": hurried_retries() if is_hurried else _retries(TRANSPORT, repeats_posts=repeats_posts),
        "max_block_size": BLOCK_BYTES,
        "max_single_put_size": BLOCK_BYTES,
        "connection_data_block_size": _SOCKET_PIECE_BYTES,
    }


def _retries(
    transport: dict[str, Any], most: int = RETRIES, most_unanswered: int = RETRIES, repeats_posts: bool = False
) -> Retries:
    return Retries(
        connect_s=transport["connection_timeout"],
        read_s=transport["read_timeout"],
        most=most,
        most_unanswered=most_unanswered,
        repeats_posts=repeats_posts,
    )


def _required(endpoint: str | None, account: StorageAccount, service: str) -> str:
    if endpoint is None:
        raise FatalError("MissingSetting", f"the account {account.name!r} has no {service} endpoint")
    return endpoint
