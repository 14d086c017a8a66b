"""The container `lake`: how it is reached, and how a table is opened.

Both libraries get their access from the hub's `StorageAccount`.
"""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from shared.deadline import seconds_left
from shared.disk_room import DiskRoom, Share, room_of_this_disk
from shared.domain.own_names import CONTAINER_LAKE
from shared.lake.container.faults import translated
from shared.lake.container.local_files import LocalFiles
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.blob.blobs import BlobContainer
from shared.storage.blob.object_store import is_http, object_store, storage_token

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from obstore.store import AzureStore

# The libraries' own patience is three minutes; a queue message or a caller is better served by an early answer.
# They repeat 408, 429 and 5xx after a tenth of a second and more, whatever `Retry-After` says.
_RETRIES = 5


class _Patience(NamedTuple):
    """How long the libraries wait: for a request with its body, and until they ask no more."""

    request_s: float
    retry_s: float


_PATIENT = _Patience(120, 30)  # a whole file of 64 MB comes with one request
_HURRIED = _Patience(30, 10)  # where somebody waits for the answer


class Lake:
    """The hub's Delta tables; one object per process, shared by all threads."""

    def __init__(
        self,
        account: StorageAccount,
        settings: Settings,
        container: str = CONTAINER_LAKE,
        room: DiskRoom | None = None,
    ) -> None:
        """`room` is for data files on the local disk; without it, what the disk has."""
        self.settings = settings
        self._room = room or room_of_this_disk()
        self._account = account
        self._container = container
        self._store_with = lru_cache(self._make_store)
        self._files_with = lru_cache(self._make_files)

    @cached_property
    def blobs(self) -> BlobContainer:
        """The container; created if it is missing."""
        container = BlobContainer(self._account, self._container)
        container.ensure()
        return container

    @property
    def store(self) -> "AzureStore":
        """The container's blobs, for transfers of whole data files."""
        return self._store_with(_patience())

    @property
    def files(self) -> LocalFiles:
        """Data files on the local disk."""
        return self._files_with(_patience())

    def open(self, table: str, version: int | None = None) -> "DeltaTable | None":
        """The table at its newest version, or at one of the past, or None.

        Raises:
            FatalError: there are files that no Delta reader understands.
            UnavailableError: storage does not answer.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        self.store  # noqa: B018 - makes the container
        with translated(table):
            try:
                return DeltaTable(self.uri(table), version=version, storage_options=self.storage_options())
            except TableNotFoundError:
                return None

    def upload(self, path: str, local: Path) -> None:
        """Writes a local file as a blob of the container; UnavailableError where storage does not answer."""
        # By the SDK: its blocks carry a checksum each.
        self.blobs.upload_file(path, local)

    def uri(self, table: str) -> str:
        """The address of a table as deltalake takes it."""
        return f"az://{self._container}/{table}"

    def storage_options(self) -> dict[str, str]:
        """Access for deltalake. A token lasts an hour or more; ask anew for each table that is opened."""
        patience = _patience()
        options = {
            "azure_storage_account_name": self._account.login,
            "azure_storage_endpoint": self._account.blob_endpoint,
            "allow_http": str(is_http(self._account)).lower(),
            "max_retries": str(_RETRIES),
            "retry_timeout": f"{patience.retry_s}s",
            "timeout": f"{patience.request_s}s",
        }
        if self._account.key is not None:
            options["azure_storage_account_key"] = self._account.key.get_secret_value()
        elif self._account.sas is not None:
            options["azure_storage_sas_key"] = self._account.sas.get_secret_value()
        else:
            options["azure_storage_token"] = storage_token(self._account)["token"]
        return options

    def _make_store(self, patience: _Patience) -> "AzureStore":
        self.blobs  # noqa: B018 - makes the container
        request_s, retry_s = patience
        return object_store(self._account, self._container, request_s=request_s, retries=_RETRIES, retry_s=retry_s)

    def _make_files(self, patience: _Patience) -> LocalFiles:
        return LocalFiles(
            self._store_with(patience),
            f"{self._account.blob_endpoint}/{self._container}",
            max_bytes=self._room.kept,
            room=self._room,
            share=Share.WORK if patience is _PATIENT else Share.PAGES,
            within_s=patience.retry_s,
        )


def _patience() -> _Patience:
    return _PATIENT if seconds_left() >= _PATIENT.request_s else _HURRIED
