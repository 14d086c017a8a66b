"""Containers of an account: listing, whole blobs, and ranged reads that never mix two versions."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobClient, BlobProperties, ContainerClient, ContentSettings

from shared.deadline import pool_of_threads
from shared.domain.blob_version import bare_etag, leaves_its_container
from shared.domain.errors import (
    DataError,
    NotFoundError,
    PreconditionError,
    RefusedError,
    SkippedError,
    SupersededError,
    UnavailableError,
)
from shared.domain.shown import shown
from shared.storage.accounts import StorageAccount
from shared.storage.blob.copies import copy_blob
from shared.storage.blob.object_store import knows_path, object_store
from shared.storage.clients import BLOCK_BYTES, CHECKSUM, blob_service
from shared.storage.translate import service_code, translated

if TYPE_CHECKING:
    from obstore.store import AzureStore

logger = logging.getLogger(__name__)

_RANGES_AHEAD = 2
_STREAMED_BYTES = 64 * 1024**2  # of one request; each costs the service several milliseconds
_PIECE_BYTES = 2 * 1024**2
_STREAM_S = 60


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """What listing and HEAD say of a blob.

    Attributes:
        etag: without quotes.
        size: bytes.
        tier: `Hot`, `Cool`, `Archive`, ...; None where the service names none.
        copy_status: `pending`, `success`, `aborted` or `failed`; None for a blob that is no copy.
    """

    path: str
    etag: str
    size: int
    last_modified: datetime
    metadata: dict[str, str] = field(default_factory=dict)
    content_encoding: str | None = None
    tier: str | None = None
    copy_status: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a folder of a hierarchical namespace; a listing says so only with metadata."""
        # https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-known-issues
        return self.metadata.get("hdi_isfolder", "").casefold() == "true"


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """One version of a blob, whose first bytes are there.

    Attributes:
        entry: what the blob's properties say; without a tier.
        first, rest: its bytes, in order; the rest is asked for as it is taken.
    """

    entry: BlobEntry
    first: bytes
    rest: Iterator[bytes]


class BlobContainer:
    """One container of an account. Safe for use by many threads."""

    def __init__(self, account: StorageAccount, name: str) -> None:
        self.name = name
        self._account = account
        self._what = f"the container {name!r} of the account {account.name!r}"

    @property
    def account_name(self) -> str:
        """Name of the account."""
        return self._account.name

    @cached_property
    def _client(self) -> ContainerClient:
        return blob_service(self._account).get_container_client(self.name)

    def ensure(self) -> None:
        """Creates the container if it does not exist."""
        with translated(self._what):
            try:
                self._client.create_container()
            except ResourceExistsError as error:
                if service_code(error) != "ContainerAlreadyExists":
                    raise

    def exists(self) -> bool:
        """Whether the container exists."""
        with translated(self._what):
            return self._client.exists()

    def list(self, prefix: str = "", metadata: bool = False) -> Iterator[BlobEntry]:
        """The blobs whose path starts with `prefix`, by path; RefusedError where there is no container."""
        return chain.from_iterable(list_pages(self._client, prefix, metadata, self._what))

    def pages(
        self, prefix: str, marker: str = "", most: int | None = None
    ) -> Iterator[tuple[Sequence[BlobEntry], str]]:
        """As `list` with metadata: pages of at most `most`, each with the marker of the next, empty after the last."""
        with translated(self._what):
            pages: Any = self._client.list_blobs(
                name_starts_with=prefix or None, include=["copy", "metadata"], results_per_page=most
            ).by_page(marker or None)
            for page in pages:
                yield [entry_of(found) for found in page], pages.continuation_token or ""

    def properties(self, path: str) -> BlobEntry:
        """What HEAD says of a blob; raises NotFoundError."""
        with translated(self._blob(path)):
            return entry_of(self._at(path).get_blob_properties())

    def read_bytes(self, path: str) -> bytes:
        """The whole blob, which must be small; raises NotFoundError."""
        with translated(self._blob(path)):
            return self._at(path).download_blob(decompress=False).readall()

    def download(self, path: str, etag: str, chunk_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
        """The bytes of one version of a blob, in order; as `open`, which happens with the first of them."""
        opened = self.open(path, etag, chunk_bytes)
        if opened is not None:
            first, rest = opened.first, opened.rest
            del opened
            yield first
            del first  # megabytes, for as long as the rest is read
            yield from rest

    def open(self, path: str, etag: str, chunk_bytes: int = BLOCK_BYTES) -> OpenBlob | None:
        """The first bytes of one version of a blob, and all that follow, read a few pieces ahead.

        Every range is asked for with the ETag, so the pieces are of one version or there are none.

        Args:
            path: of the blob.
            etag: of the version, without quotes.
            chunk_bytes: of the first piece, and of each that comes by the SDK; about three are held in memory.

        Returns:
            The version; None where it has no bytes.

        Raises:
            SupersededError: the blob was overwritten, also of the bytes that follow. SkippedError: it is gone.
        """
        try:
            first, found = self._read_range(path, etag, 0, chunk_bytes)
        except (PreconditionError, NotFoundError):
            raise self._lost(path) from None
        if found is None:
            return None
        return OpenBlob(
            replace(found, path=path), first, self._following(path, etag, len(first), found.size, chunk_bytes)
        )

    def _following(self, path: str, etag: str, at: int, size: int, chunk_bytes: int) -> Iterator[bytes]:
        try:
            if at < size and knows_path(path):
                for piece in _ahead(self._stream(path, etag, at, size)):
                    at += len(piece)
                    yield piece
            # What the stream did not bring the SDK does, or says why not.
            yield from self._read_rest(path, etag, at, size, chunk_bytes)
        except (PreconditionError, NotFoundError):
            raise self._lost(path) from None

    def read(self, path: str, etag: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes of one version of a blob from `start` up to `end`, which it has; errors as of `open`."""
        return self._following(path, etag, start, end, BLOCK_BYTES)

    def upload_file(
        self,
        path: str,
        local: Path,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
    ) -> str:
        """Writes a local file over whatever is there, and returns the ETag, without quotes."""
        with local.open("rb") as source:
            return self._upload(path, source, metadata, content_type, overwrite=True)

    def upload_bytes(
        self,
        path: str,
        data: bytes,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
        if_none_match: bool = False,
    ) -> str:
        """Writes a blob and returns its ETag; with `if_none_match`, PreconditionError if there is one."""
        return self._upload(path, data, metadata, content_type, overwrite=not if_none_match)

    def delete(self, path: str, etag: str | None = None) -> bool:
        """Deletes a blob; False if there was none. Raises PreconditionError if it is not of `etag` any more."""
        try:
            with translated(self._blob(path)):
                self._at(path).delete_blob(delete_snapshots="include", **(only_version(etag) if etag else {}))
        except NotFoundError:
            return False
        except PreconditionError:
            if isinstance(self._lost(path), SkippedError):
                return False
            raise
        return True

    def copy(
        self,
        path: str,
        to_container: str,
        to_path: str,
        etag: str | None = None,
        may_replace: Callable[[], bool] = lambda: True,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Copies a blob within the account, and waits for the end of it.

        Over whatever is there, unless `may_replace` says no, asked where that is no earlier copy of this blob. The copy
        has `metadata`, or that of the blob.

        Raises:
            NotFoundError: there is no such blob. PreconditionError: it is not of `etag` any more.
            ConflictError: `BlobInTheWay`, what is there may not be replaced. RefusedError: there is no such container.
        """
        sas = self._account.sas
        source = self._at(path).url + (f"?{sas.get_secret_value()}" if sas is not None else "")
        condition: dict[str, Any] = (
            {"source_etag": _quoted(etag), "source_match_condition": MatchConditions.IfNotModified} if etag else {}
        )
        target = BlobContainer(self._account, to_container)._at(to_path)
        what = f"{self._blob(path)} (to be copied to {to_container}/{to_path})"
        with translated(what):
            copy_blob(source, target, {**condition, "metadata": metadata}, may_replace, what)

    def _upload(
        self, path: str, data: Any, metadata: Mapping[str, str] | None, content_type: str, overwrite: bool
    ) -> str:
        with translated(self._blob(path)):
            answer = self._at(path).upload_blob(
                data,
                overwrite=overwrite,
                metadata=dict(metadata) if metadata else None,
                content_settings=ContentSettings(content_type=content_type),
                validate_content=CHECKSUM,
            )
        return bare_etag(str(answer["etag"]))

    def _stream(self, path: str, etag: str, start: int, size: int) -> Iterator[bytes]:
        """The bytes from `start`, by obstore; ends early where anything goes wrong."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            for first in range(start, size, _STREAMED_BYTES):
                after = min(size, first + _STREAMED_BYTES)
                answer = obstore.get(self._store, path, options={"if_match": _quoted(etag), "range": (first, after)})
                left = after - first
                for piece in answer.stream(min_chunk_size=_PIECE_BYTES):
                    left -= len(piece)
                    if left < 0:
                        return
                    yield bytes(piece)
                if left:
                    return
        except (BaseError, OSError) as error:
            # Its text may carry the URL, and with it a signature.
            logger.info("%s in a stream out of %s; the rest is read by ranges", type(error).__name__, self._what)

    @cached_property
    def _store(self) -> "AzureStore":
        # It is not patient itself: what it does not bring is asked for by the SDK, which is.
        return object_store(self._account, self.name, request_s=_STREAM_S, retries=0, retry_s=_STREAM_S)

    def _read_rest(self, path: str, etag: str, start: int, size: int, chunk_bytes: int) -> Iterator[bytes]:
        if start >= size:
            return
        pool = pool_of_threads(_RANGES_AHEAD, "download")
        waiting: deque[Future[tuple[bytes, BlobEntry | None]]] = deque()
        try:
            for offset in range(start, size, chunk_bytes):
                length = min(chunk_bytes, size - offset)
                waiting.append(pool.submit(self._read_range, path, etag, offset, length))
                if len(waiting) > _RANGES_AHEAD:
                    yield waiting.popleft().result()[0]
            while waiting:
                yield waiting.popleft().result()[0]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _read_range(self, path: str, etag: str, offset: int, length: int) -> tuple[bytes, BlobEntry | None]:
        """The bytes of a range, and what the answer says of the blob; None where it has no bytes."""
        with translated(self._blob(path)):
            try:
                stream = self._at(path).download_blob(
                    offset,
                    length,
                    decompress=False,
                    etag=_quoted(etag),
                    match_condition=MatchConditions.IfNotModified,
                )
                data = stream.readall()
            except HttpResponseError as error:
                if offset == 0 and error.status_code == 416:
                    return b"", None  # an empty blob has no range to give
                raise
        whole = (stream.properties.content_range or "").rpartition("/")[2]
        size = int(whole) if whole.isdigit() else len(data)
        if len(data) != min(length, max(size - offset, 0)):
            raise UnavailableError("ShortRead", f"{self._blob(path)} came with fewer bytes than announced")
        return data, replace(entry_of(stream.properties), size=size)

    def _lost(self, path: str) -> DataError:
        try:
            # A condition on a blob that is gone fails like one on a blob that was overwritten.
            self.properties(path)
        except NotFoundError:
            return SkippedError("BlobGone", f"{self._blob(path)} was deleted before it was read")
        return SupersededError("BlobOverwritten", f"{self._blob(path)} was overwritten; its newer version has a run")

    def _at(self, path: str) -> BlobClient:
        if leaves_its_container(path):
            raise RefusedError("UnsafePath", f"{self._blob(path)}: a path must not hold `.` or `..` between slashes")
        return self._client.get_blob_client(path)

    def _blob(self, path: str) -> str:
        return f"the blob {shown(path)} in {self._what}"


def _ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, fetched a few ahead in a thread of their own."""
    pool = pool_of_threads(1, "download")
    try:
        waiting = deque(pool.submit(next, pieces, b"") for _ in range(_RANGES_AHEAD))
        while piece := waiting.popleft().result():
            waiting.append(pool.submit(next, pieces, b""))
            yield piece
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def container_names(account: StorageAccount) -> Iterator[str]:
    """The names of the account's containers."""
    with translated(f"the account {account.name!r}"):
        for found in blob_service(account).list_containers(results_per_page=100):
            yield str(found.name)


def list_pages(client: ContainerClient, prefix: str, metadata: bool, what: str) -> Iterator[Sequence[BlobEntry]]:
    """The blobs of a container whose path starts with `prefix`, by path, those of each request together."""
    include = ["copy", "metadata"] if metadata else ["copy"]
    with translated(what):
        for page in client.list_blobs(name_starts_with=prefix or None, include=include).by_page():
            yield [entry_of(found) for found in page]


def entry_of(found: BlobProperties) -> BlobEntry:
    """The facts of a blob out of the SDK's answer."""
    return BlobEntry(
        path=found.name,
        etag=bare_etag(found.etag),
        size=found.size,
        last_modified=found.last_modified,
        # A listing gives an empty value as None.
        metadata={name: value or "" for name, value in (found.metadata or {}).items()},
        content_encoding=found.content_settings.content_encoding or None,
        tier=str(found.blob_tier) if found.blob_tier else None,
        copy_status=found.copy.status or None,
    )


def only_version(etag: str) -> dict[str, Any]:
    """The condition, for a call of the SDK, that a blob still is of `etag` (without quotes)."""
    return {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}


def _quoted(etag: str) -> str:
    return f'"{etag}"'
