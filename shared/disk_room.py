"""Room on the temporary disk for data files that are in use: bounded, so that whoever ingests finds some left.

A workspace takes room before its files are fetched and keeps it until it ends. Pages and work have a share each, so
neither waits for the other; what is small gets room from a reserve where its share has none. A file that several use
counts once in each of them.
"""

import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from itertools import takewhile
from pathlib import Path
from time import monotonic
from typing import Self

from shared.deadline import put_off
from shared.domain.errors import ThrottledError, UnavailableError
from shared.work_folder import remove_left_behind

_MB = 1024**2
# Who waits for a page keeps one of the forty threads that answer requests.
_MOST_WAITING = 8
_MOST_WAITING_OF_ONE = 2
# Longer than until the next attempt, so that work rests, which is no attempt.
_WORK_RESTS_S = 60.0


class Share(Enum):
    """Who uses files: pages that somebody waits for, work that nobody waits for, and what is small of both."""

    PAGES = "pages"
    WORK = "work"
    SMALL = "small"


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """How many bytes of files there may be.

    Attributes:
        pages: in use by pages.
        work: in use by work.
        small: in use by those of both that found no room in their share and need little; a quarter of it at most, and
            no more than 64 MB, for one of them.
        kept: not in use, but perhaps again.
    """

    pages: int
    work: int
    small: int
    kept: int

    @classmethod
    def of(cls, free: int) -> Self:
        """Leaves an eighth of a disk with so many bytes to files that are being ingested, and to the engine."""
        return cls(pages=free * 3 // 8, work=free * 3 // 8, small=free // 16, kept=min(1024**3, free // 16))

    def most(self, share: Share) -> int:
        """Bytes of a share."""
        return {Share.PAGES: self.pages, Share.WORK: self.work, Share.SMALL: self.small}[share]

    @property
    def most_of_small(self) -> int:
        """Bytes that one workspace gets of `small`."""
        return min(64 * _MB, self.small // 4)


@dataclass(frozen=True, eq=False, slots=True)
class Request:
    """Who needs files.

    Attributes:
        owner: folder of a workspace.
        hub: whose tables they are of.
        share: whose room they take.
        files: their sizes, by what tells them apart.
    """

    owner: Path
    hub: str
    share: Share
    files: Mapping[str, int]


_changed = threading.Condition()
_held: list[Request] = []
_line: dict[Request, DiskRoom] = {}


@cache
def room_of_this_disk() -> DiskRoom:
    """The room on the disk as this process found it, without what a killed one left."""
    remove_left_behind()
    return DiskRoom.of(shutil.disk_usage(tempfile.gettempdir()).free)


def reserve_room(request: Request, room: DiskRoom, within_s: float) -> None:
    """Takes room for more files, and waits for it where others have it.

    One hub gets half of a share, and more only where nobody else has some of it. Whoever needs nothing that is not
    there waits for nobody, but where his hub has more than half and another one waits. The deadline of a page is put
    off by as long as it waited; that of work is not, since its claim ends with it.

    Raises:
        UnavailableError: there is not so much room.
        ThrottledError: it does not become free in time, or too many wait for it.
    """
    if not request.files:
        return
    with _changed:
        if _granted(request, room):
            return
        needed, most = _bytes([*_of(request.share, owner=request.owner), request]), room.most(request.share)
        if needed > most:
            raise UnavailableError(
                "NoRoom",
                f"{needed // _MB + 1} MB of the table are needed at once, and the temporary disk of the instance "
                f"has room for {most // _MB} MB; it needs more room",
            )
        _wait(request, room, within_s)


def give_back_room(owner: Path) -> None:
    """Gives back all that a workspace took."""
    with _changed:
        _held[:] = [held for held in _held if held.owner != owner]
        _serve()


def _wait(request: Request, room: DiskRoom, within_s: float) -> None:
    hubs = [other.hub for other in _line if other.share is request.share]
    if len(hubs) >= _MOST_WAITING or hubs.count(request.hub) >= _MOST_WAITING_OF_ONE:
        raise _busy(request.share)
    came = monotonic()
    _line[request] = room
    try:
        if not _changed.wait_for(lambda: request not in _line, within_s):
            raise _busy(request.share)
    finally:
        if _line.pop(request, None):
            _serve()  # who came later may have waited for this one
    if request.share is Share.PAGES:
        put_off(monotonic() - came)


def _serve() -> None:
    """Gives room to those in line, whoever came first first."""
    for request, room in list(_line.items()):
        if _granted(request, room):
            del _line[request]
    _changed.notify_all()


def _granted(request: Request, room: DiskRoom) -> bool:
    small = replace(request, share=Share.SMALL)
    is_small = _bytes([*_of(Share.SMALL, owner=request.owner), small]) <= room.most_of_small
    if _fits(request, room):
        _held.append(request)
    elif is_small and _fits(small, room):
        _held.append(small)
    else:
        return False
    return True


def _fits(request: Request, room: DiskRoom) -> bool:
    most = room.most(request.share)
    in_use = _of(request.share)
    of_hub = [held for held in in_use if held.hub == request.hub]
    of_owner = _of(request.share, owner=request.owner)
    after = _bytes([*in_use, request])
    is_more = after > _bytes(in_use)
    is_over = _bytes([*of_hub, request]) > most // 2
    if not of_owner and (is_over or (is_more and of_hub)) and _others_wait(request):
        return False
    if not is_more:
        return True
    return after <= most and (not is_over or after == _bytes([*of_owner, request]))


def _others_wait(request: Request) -> bool:
    """Whether one of another hub came earlier."""
    earlier = takewhile(lambda other: other is not request, _line)
    return any(other.share is request.share and other.hub != request.hub for other in earlier)


def _of(share: Share, owner: Path | None = None) -> list[Request]:
    return [held for held in _held if held.share is share and owner in {None, held.owner}]


def _bytes(requests: Iterable[Request]) -> int:
    files: dict[str, int] = {}
    for request in requests:
        files.update(request.files)
    return sum(files.values())


def _busy(share: Share) -> ThrottledError:
    message = (
        "the temporary disk of the instance has no room for the table beside those that are in use; "
        "repeat a request in a minute; exports, calculations and upkeep are tried again by themselves"
    )
    rests_s = _WORK_RESTS_S if share is Share.WORK else None
    return ThrottledError("LargeTablesBusy", message, retry_after_s=rests_s)
