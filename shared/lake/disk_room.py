"""Room on the temporary disk for data files that are in use: bounded, so that whoever ingests finds some left.

A workspace takes room before its files are fetched and keeps it until it ends. A file that several use counts once.
"""

import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from shared.domain.errors import ThrottledError, UnavailableError

_MB = 1024**2
# Who waits keeps one of the forty threads that answer requests.
_MOST_WAITING = 8

_changed = threading.Condition()
_held: dict[Path, dict[str, int]] = {}
_waiting = 0


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """How many bytes of files there may be.

    Attributes:
        pages: in use, for a page to take some.
        work: in use, for work that nobody waits for to take some; more than `pages`.
        kept: not in use, but perhaps again.
    """

    pages: int
    work: int
    kept: int

    @classmethod
    def of(cls, free: int) -> Self:
        """Leaves a quarter of a disk with so many bytes to files that are being ingested, and to the engine."""
        return cls(pages=free // 2, work=free * 5 // 8, kept=min(1024**3, free // 8))


@cache
def room_of_this_disk() -> DiskRoom:
    """The room on the disk as this process found it."""
    return DiskRoom.of(shutil.disk_usage(tempfile.gettempdir()).free)


def take_room(owner: Path, files: Mapping[str, int], most: int, within_s: float) -> None:
    """Takes room for more files, and waits for it where others have it.

    Args:
        owner: folder of a workspace.
        files: their sizes, by what tells them apart.
        most: bytes of all files that may be in use then.
        within_s: seconds to wait.

    Raises:
        UnavailableError: there is not so much room.
        ThrottledError: others do not give it back in time, or too many wait for it.
    """
    global _waiting  # noqa: PLW0603 - of the process, as the disk is
    with _changed:
        mine = {**_held.get(owner, {}), **files}
        if (needed := sum(mine.values())) > most:
            raise UnavailableError(
                "NoRoom",
                f"{needed // _MB + 1} MB of the table are needed at once, and the temporary disk of the instance "
                f"has room for {most // _MB} MB; it needs more room",
            )
        if not _fits(mine, most):
            if _waiting >= _MOST_WAITING:
                raise _busy()
            _waiting += 1
            try:
                if not _changed.wait_for(lambda: _fits(mine, most), within_s):
                    raise _busy()
            finally:
                _waiting -= 1
        _held[owner] = mine


def give_back_room(owner: Path) -> None:
    """Gives back all that a workspace took."""
    with _changed:
        if _held.pop(owner, None) is not None:
            _changed.notify_all()


def _fits(mine: Mapping[str, int], most: int) -> bool:
    used = dict(mine)
    for files in _held.values():
        used.update(files)
    return sum(used.values()) <= most


def _busy() -> ThrottledError:
    message = "others are reading large tables of this app; repeat the request, or ask for them one after the other"
    return ThrottledError("LargeTablesBusy", message)
