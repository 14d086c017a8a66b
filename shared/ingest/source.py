"""The blob version at its source: is it still the one announced, its bytes, and what becomes of it."""

import logging
from collections.abc import Callable, Generator
from datetime import datetime
from types import TracebackType
from typing import Self

from shared.app import Services
from shared.csv.reading_time import too_large
from shared.definitions.store.definition_store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.mappings import CompletionOperationType, Mapping, split_folder
from shared.domain.errors import (
    ArchivedError,
    DeferredError,
    DeniedError,
    HubError,
    MissingError,
    NotFoundError,
    PreconditionError,
    SkippedError,
    SupersededError,
    TransientError,
    UnavailableError,
)
from shared.ingest.outcome import Uncompleted
from shared.storage.account_permits import SOURCE_BUSY, AccountPermits, Permit
from shared.storage.blob.blobs import BlobContainer, BlobEntry, OpenBlob

logger = logging.getLogger(__name__)

# Metadata of a file that was moved: how often. Each move is a new file to whoever reads there, so mappings that move
# files to each other would do so for ever, and keep all hubs waiting.
MOVES = "hubmoves"
MOST_MOVES = 8
_IN_A_CIRCLE = (
    f"mappings have moved this file {MOST_MOVES} times, each to where another one reads it, so it stays; let one of "
    "them move its files to a folder that no mapping reads"
)


class Source:
    """One blob version in its container; a context manager, which gives the permit at the account back.

    Attributes:
        place: account, container and path: tells the blob from all others.
        size: bytes of the blob; None as long as nobody has said.
        bytes_read: bytes downloaded so far.

    With a `permit`, whatever asks the account raises DeferredError where others come first and it does not answer them,
    or has too much to do. With `is_alone`, which says of a container whether no other hub uses it, MoveFile replaces
    nothing that may be another hub's.
    """

    def __init__(
        self,
        container: BlobContainer,
        version: BlobVersion,
        permit: Permit | None = None,
        is_alone: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.version = version
        self.place = f"{container.account_name}/{version.container}/{version.path}"
        self.size = version.size
        self.bytes_read = 0
        self.is_gzip = version.path.casefold().endswith(".gz")
        self._container = container
        self._permit = permit or AccountPermits(SOURCE_BUSY).permit("", "")
        self._is_alone = is_alone
        self._opened: OpenBlob | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._permit.close()

    def open(self) -> datetime:
        """Asks for the first bytes of this version, and keeps them for `chunks`.

        Returns:
            When the blob was committed, to the second.

        Raises:
            SupersededError, SkippedError, DeferredError, RefusedError: as `check_current`.
        """
        try:
            with self._permit.request():
                opened = self._container.open(self.version.path, self.version.etag)
        except (TransientError, DeferredError):
            raise
        except HubError:
            self.check_current()  # the properties may tell better why
            raise
        if opened is None:
            self.check_current()
            raise UnavailableError("BlobChanging", f"{self.place} changed while it was opened; it is looked at again")
        self._judge(opened.entry)
        self.size = opened.entry.size
        self._opened = opened
        return opened.entry.last_modified

    def check_current(self) -> None:
        """Checks whether the blob still holds this version.

        Raises:
            SupersededError: it was overwritten. SkippedError: it is gone, empty or a folder.
            DeferredError: it is still being copied. RefusedError: it is archived.
        """
        try:
            with self._permit.request():
                entry = self._container.properties(self.version.path)
        except NotFoundError:
            raise SkippedError("BlobGone", "the blob was deleted; nothing of this version was ingested") from None
        self._judge(entry)

    def _judge(self, entry: BlobEntry) -> None:
        if entry.etag != self.version.etag:
            raise SupersededError("BlobOverwritten", "the blob was overwritten; its newer version has its own run")
        if entry.copy_status == "pending":
            # A copy between accounts may take days, and nobody has to do anything about it.
            raise DeferredError("CopyPending", "the blob is still being copied to its place; the run goes on after it")
        if (entry.tier or "").casefold() == "archive":
            raise ArchivedError("BlobArchived", "the blob is in the archive tier; rehydrate it, then run the mapping")
        if entry.is_folder:
            raise SkippedError("Folder", "this is a folder of an account with a hierarchical namespace, not a file")
        if entry.size == 0 and entry.copy_status in {"failed", "aborted"}:
            raise SkippedError("CopyFailed", "the copy of the blob failed and left 0 bytes; copy it again")
        if entry.size == 0:
            raise SkippedError("EmptyBlob", "the blob has 0 bytes; nothing was ingested")
        self.is_gzip = self.is_gzip or (entry.content_encoding or "").casefold() == "gzip"

    def check_size(self, most: int) -> None:
        """Refuses a blob of more than `most` bytes, packed or not, before they are asked for; DataError `TooLarge`."""
        if self.size is not None and self.size > most:
            raise too_large(most)

    def chunks(self) -> Generator[bytes]:
        """The bytes of this very version, in pieces; the first are those of `open`, where it was called before."""
        rest = self._container.download(self.version.path, self.version.etag)
        if self._opened is not None:
            first, rest = self._opened.first, self._opened.rest
            self._opened = None
            self.bytes_read += len(first)
            yield first
            del first  # megabytes, for as long as the rest is read
        for chunk in self._permit.each(rest):
            self.bytes_read += len(chunk)
            yield chunk

    def complete(self, mapping: Mapping) -> Uncompleted | None:
        """Carries out the mapping's `completeOperation`; safe to repeat.

        Returns:
            Why it could not be done, or None. The rows are in, so the run succeeds all the same.

        Raises:
            TransientError, DeferredError: it may work the next time.
        """
        operation = mapping.mapping_properties.complete_operation
        if operation.completion_operation_type is CompletionOperationType.DO_NOTHING:
            return None
        try:
            with self._permit.request():
                if operation.completion_operation_type is CompletionOperationType.DELETE_FILE:
                    self._container.delete(self.version.path, self.version.etag)
                else:
                    return self._move(mapping, operation.destination_folder or "")
        except (TransientError, DeferredError):
            raise
        except HubError as error:
            logger.warning("complete operation failed: run for mapping %s: %s", mapping.connector_mapping_name, error)
            if isinstance(error, PreconditionError) and self._is_superseded():
                return Uncompleted(error.message, CompletionOperationType.DO_NOTHING)
            is_of_all = isinstance(error, MissingError | DeniedError)
            return Uncompleted(error.message, operation.completion_operation_type, is_of_all)
        return None

    def _is_superseded(self) -> bool:
        """Whether this version was overwritten, and is gone for good."""
        try:
            self.check_current()
        except SupersededError:
            return True
        except HubError:
            return False
        return False

    def _move(self, mapping: Mapping, folder: str) -> Uncompleted | None:
        container, prefix = split_folder(folder)
        name = self.version.path.removeprefix(mapping.prefix)
        try:
            target = f"{prefix}/{name}" if prefix else name
            metadata = self._container.properties(self.version.path).metadata
            moves = _moves_in(metadata)
            if moves >= MOST_MOVES:
                return Uncompleted(_IN_A_CIRCLE, CompletionOperationType.DO_NOTHING)
            self._container.copy(
                self.version.path,
                container,
                target,
                self.version.etag,
                lambda: self._is_alone(container),
                {**metadata, MOVES: str(moves + 1)},
            )
        except NotFoundError:
            return None  # an earlier attempt moved it
        self._container.delete(self.version.path, self.version.etag)
        return None


def _moves_in(metadata: dict[str, str]) -> int:
    """How often mappings have moved a file, by its metadata; others may have written anything there."""
    moves = metadata.get(MOVES, "")
    return int(moves) if moves in map(str, range(MOST_MOVES + 1)) else 0


def open_source(services: Services, mapping: Stored[Mapping], version: BlobVersion) -> Source:
    """Opens the container that the mapping reads, with the connector's own credentials.

    Raises:
        RequestError: `ContainerNotAllowed`, `ContainerOfAnotherHub`. Others as `Connectors.source_account`.
    """
    connector = services.definitions.connector(mapping.document.tenant_id, mapping.document.connector_name)
    account = services.definitions.account_of_mapping(connector, mapping)
    services.source_permits.learn(mapping.document.tenant_id, mapping.document.connector_name, account.blob_endpoint)
    return Source(
        BlobContainer(account, version.container),
        version,
        services.source_permits.permit(account.blob_endpoint, mapping.document.tenant_id),
        lambda name: services.definitions.containers.is_alone(mapping.document.tenant_id, account, name),
    )
