"""Data files of the lake on the local disk: fetched whole, once, since their content never changes.

Any number of threads and processes share the folder. A file appears there by a rename, so it is whole or absent. Who
works with a file holds a hard link to it in a folder of his own, so making room never takes a file away from anybody.
"""

import hashlib
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.deadline import pool_of_threads, seconds_left
from shared.disk_room import DiskRoom, Request, Share, reserve_room
from shared.domain.errors import FatalError
from shared.lake.container.faults import translated

if TYPE_CHECKING:
    from obstore.store import AzureStore

MAX_BYTES = 1024**3
_FETCHES_AT_ONCE = 4
_CHUNK_BYTES = 8 * 1024**2
_UNFINISHED = "fetch-"
_FILE_COSTS_BYTES = 16 * 1024  # so that a great many small files do not get too many
_CHECKS_PER_FILLING = 32  # listing the folder for each file would take longer than fetching it
_ABANDONED_AFTER_S = 3600


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file to fetch.

    Attributes:
        path: blob path in the container.
        size: bytes, as the table's log says.
        name: name of the link, without a folder.
    """

    path: str
    size: int
    name: str


class LocalFiles:
    """The shared folder of one container."""

    def __init__(
        self,
        store: "AzureStore",
        origin: str,
        folder: Path | None = None,
        max_bytes: int = MAX_BYTES,
        room: DiskRoom | None = None,
        share: Share = Share.WORK,
        within_s: float = 0,
    ) -> None:
        """`origin` (URL of the container) tells equal paths of different accounts apart.

        Of files that nobody uses, `max_bytes` are kept. Those in use take `room`, of `share`, for which a thread waits
        `within_s`.

        Without `folder` it is one of this user's in the system's temporary folder; hard links must be possible from it
        into the folders of workspaces, so it has to lie on the same disk.
        """
        self._store = store
        self._origin = origin
        self._max_bytes = max_bytes
        self._room = room
        self._share = share
        self._within_s = within_s
        self._lock = threading.Lock()
        self._fetched_bytes = max_bytes  # what other processes left is looked at first
        self._folder = folder or Path(tempfile.gettempdir()) / f"connector-hub-lake-{os.getuid()}"

    def link(self, wanted: Sequence[WantedFile], folder: Path) -> list[Path]:
        """Hard links to the files, in the order of `wanted`; `folder` lies in the one of a workspace.

        They are of one hub, whose name their paths begin with.

        Raises:
            FatalError: a file is gone, or has another size than the log says.
            UnavailableError: storage does not answer, or there is not so much room on the disk.
            ThrottledError: others have the room.
        """
        if self._room is not None and wanted:
            sizes = {f"{self._origin}/{file.path}": file.size for file in wanted}
            request = Request(folder.parent, wanted[0].path.partition("/")[0], self._share, sizes)
            reserve_room(request, self._room, min(self._within_s, seconds_left()))
        self._folder.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(exist_ok=True)
        if len(wanted) == 1:
            return [self._link(wanted[0], folder)]
        with pool_of_threads(_FETCHES_AT_ONCE) as pool:
            return list(pool.map(lambda file: self._link(file, folder), wanted))

    def _link(self, file: WantedFile, folder: Path) -> Path:
        link = folder / file.name
        kept = self._folder / hashlib.sha256(f"{self._origin}/{file.path}".encode()).hexdigest()
        try:
            os.link(kept, link)
            os.utime(kept)
        except FileNotFoundError:
            if not link.exists():  # else it was taken away after it was linked
                self._fetch(file, link, kept)
        return link

    def _fetch(self, file: WantedFile, link: Path, kept: Path) -> None:
        part = self._folder / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            with part.open("xb") as out:
                for chunk in self._chunks(file.path):
                    out.write(chunk)
            if (size := part.stat().st_size) != file.size:
                raise FatalError(
                    "FileDamaged",
                    f"{file.path} in the container lake has {size} bytes, its table says {file.size}; restore it",
                    file.path,
                )
            os.link(part, link)
            part.replace(kept)
        finally:
            part.unlink(missing_ok=True)
        with self._lock:
            self._fetched_bytes += file.size + _FILE_COSTS_BYTES
            is_due = self._fetched_bytes > self._max_bytes // _CHECKS_PER_FILLING
            self._fetched_bytes = 0 if is_due else self._fetched_bytes
        if is_due:
            self._make_room()

    def _chunks(self, path: str) -> Iterator[bytes]:
        import obstore

        with translated(path):
            yield from obstore.get(self._store, path).stream(min_chunk_size=_CHUNK_BYTES)

    def _make_room(self) -> None:
        kept = []
        abandoned = time.time() - _ABANDONED_AFTER_S
        for entry in os.scandir(self._folder):
            try:
                state = entry.stat()
            except FileNotFoundError:
                continue
            if not entry.name.startswith(_UNFINISHED) or state.st_mtime < abandoned:
                kept.append((state.st_mtime, state.st_size + _FILE_COSTS_BYTES, entry.path))
        excess = sum(size for _, size, _ in kept) - self._max_bytes
        for _, size, path in sorted(kept):
            if excess <= 0:
                return
            Path(path).unlink(missing_ok=True)
            excess -= size
