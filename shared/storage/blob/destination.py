"""A destination's container, reached by a SAS: what is written to it appears whole or not at all."""

import base64
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cached_property

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock, BlobClient, ContainerClient, ContentSettings
from pydantic import SecretStr

from shared.deadline import pool_of_threads
from shared.domain.blob_version import bare_etag
from shared.domain.errors import DeniedError, NotFoundError, PreconditionError
from shared.domain.shown import shown
from shared.failpoints import FailPoint, failpoint
from shared.settings import Settings
from shared.storage.account_permits import DESTINATION_BUSY, AccountPermits
from shared.storage.blob.blobs import BlobEntry, list_pages, only_version
from shared.storage.blob.sas import ContainerSas, read_container_sas
from shared.storage.clients import BLOCK_BYTES, CHECKSUM, sas_container
from shared.storage.translate import translated

_BLOCKS_AT_ONCE = 3


class DestinationContainer:
    """The container of an `outputBlobSASUri`; raises InvalidRequestError if that is none.

    Where it `is_hurried`, somebody waits for the answers, and a request is given up after about 10 s. With `permits`,
    which are shared fairly among hubs, whatever asks the account raises DeferredError where others come first and it
    does not answer them, or has too much to do; `close` ends the work there.
    """

    def __init__(
        self,
        sas_uri: SecretStr,
        settings: Settings,
        *,
        is_hurried: bool = False,
        permits: AccountPermits | None = None,
        hub: str = "",
    ) -> None:
        self._is_hurried = is_hurried
        self.sas: ContainerSas = read_container_sas(sas_uri, settings)
        account = self.sas.container_url.removesuffix(f"/{self.sas.container}")
        self._permit = (permits or AccountPermits(DESTINATION_BUSY)).permit(account, hub)

    @cached_property
    def _client(self) -> ContainerClient:
        signature = self.sas.signature.get_secret_value()
        return sas_container(self.sas.container_url, signature, is_hurried=self._is_hurried)

    def close(self) -> None:
        """Gives the permit at the account back."""
        self._permit.close()

    def list(self, prefix: str = "", metadata: bool = True) -> Iterator[BlobEntry]:
        """The blobs whose path starts with `prefix`, by path."""
        with self._needing("l", self.sas.name):
            for page in self._permit.each(list_pages(self._client, prefix, metadata, self.sas.name)):
                yield from page

    def find(self, path: str) -> BlobEntry | None:
        """What listing says of one blob, its metadata too: a destination need not grant the right to read."""
        return next((entry for entry in self.list(path) if entry.path == path), None)

    def upload_blocks(
        self,
        path: str,
        chunks: Iterable[bytes],
        metadata: Mapping[str, str],
        content_type: str,
    ) -> str:
        """Writes a blob of any size in one commit: nothing of it is visible before, not even by name.

        Args:
            path: of the blob.
            chunks: its bytes, in pieces of any size.
            metadata: committed together with the content; it is read after the last piece.
            content_type: of the blob.

        Returns:
            The ETag, without quotes.

        Raises:
            PreconditionError: a blob is there already. It may be ours: an earlier commit whose answer was lost.
        """
        blob = self._client.get_blob_client(path)
        blocks = self._stage(blob, path, chunks)
        failpoint(FailPoint.BLOCKS_STAGED)
        with self._needing("w", self._blob(path)), self._permit.request():
            answer = blob.commit_block_list(
                [*blocks],
                content_settings=ContentSettings(content_type=content_type),
                metadata=dict(metadata),
                match_condition=MatchConditions.IfMissing,
            )
        return bare_etag(str(answer["etag"]))

    def _stage(self, blob: BlobClient, path: str, chunks: Iterable[bytes]) -> Sequence[BlobBlock]:
        """Sends the bytes, a few blocks at once, while the next ones are made."""
        # Ids are our own, so that a second writer of the same path cannot slip its blocks in between.
        upload_id = uuid.uuid4().hex
        ids: list[str] = []
        sent: deque[Future[None]] = deque()

        def send(block_id: str, block: bytes) -> None:
            with self._needing("w", self._blob(path)), self._permit.request():
                blob.stage_block(block_id, block, length=len(block), validate_content=CHECKSUM)

        with pool_of_threads(_BLOCKS_AT_ONCE, "stage") as pool:
            for block in _in_blocks(chunks):
                ids.append(base64.b64encode(f"{upload_id}{len(ids):06d}".encode()).decode())
                sent.append(pool.submit(send, ids[-1], block))
                if len(sent) > _BLOCKS_AT_ONCE:
                    sent.popleft().result()
            while sent:
                sent.popleft().result()
        return [BlobBlock(block_id) for block_id in ids]

    def upload_bytes(
        self,
        path: str,
        data: bytes,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        etag: str | None = None,
    ) -> str:
        """Writes a small blob, and returns its ETag, without quotes.

        Args:
            path: of the blob.
            data: its bytes.
            content_type: of the blob.
            metadata: of the blob.
            etag: of the version that is replaced, without quotes; without it, nothing is.

        Raises:
            PreconditionError: what is there is another version, or was not to be there at all. It may be ours: an
                earlier try whose answer was lost.
        """
        with self._needing("w", self._blob(path)), self._permit.request():
            answer = self._client.get_blob_client(path).upload_blob(
                data,
                overwrite=etag is not None,
                metadata=dict(metadata or {}),
                content_settings=ContentSettings(content_type=content_type),
                validate_content=CHECKSUM,
                **(only_version(etag) if etag else {}),
            )
        return bare_etag(str(answer["etag"]))

    def set_metadata(self, path: str, metadata: Mapping[str, str], etag: str) -> None:
        """Gives one version of a blob other metadata; its content stays.

        Raises:
            PreconditionError: it is not of `etag` any more. NotFoundError: it is gone.
        """
        with self._needing("w", self._blob(path)), self._permit.request():
            self._client.get_blob_client(path).set_blob_metadata(dict(metadata), **only_version(etag))

    def delete(self, path: str, etag: str) -> bool:
        """Deletes one version of a blob; False if that is not there any more."""
        try:
            with self._needing("d", self._blob(path)), self._permit.request():
                self._client.get_blob_client(path).delete_blob(**only_version(etag))
        except (NotFoundError, PreconditionError):
            return False
        return True

    @contextmanager
    def _needing(self, right: str, what: str) -> Iterator[None]:
        """Translates errors, and says of a denial what the signature itself tells about it."""
        try:
            with translated(what):
                yield
        except DeniedError:
            if (known := self.sas.refusal(right)) is not None:
                raise known from None
            raise

    def _blob(self, path: str) -> str:
        return f"the blob {shown(path)} in {self.sas.name}"


def _in_blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks of at least `BLOCK_BYTES`, but for the last; a chunk is not cut."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= BLOCK_BYTES:
            yield _joined(waiting)
            waiting, size = [], 0
    if size:
        yield _joined(waiting)


def _joined(chunks: Sequence[bytes]) -> bytes:
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
