"""Local folders for rows on their way: they hold customers' data, so what a killed worker left behind is removed."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from shared.domain.errors import UnavailableError

_PREFIX = "connector-hub-work-"
_LOCK = "in-use"
_MAKING = "connector-hub-making"  # is locked between the making of a folder and its lock
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE})


@contextmanager
def work_folder() -> Iterator[Path]:
    """A new folder, removed at the end; the first call of a process also removes those that nobody holds any more.

    Raises:
        UnavailableError: the work in it found no room on the disk, or too many files open.
    """
    try:
        remove_left_behind()
        with ExitStack() as at_end:
            with _making(fcntl.LOCK_SH):
                name = at_end.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True))
                folder = Path(name)
                lock = at_end.enter_context((folder / _LOCK).open("w", encoding="ascii"))
                # The lock ends with the process, however it ends.
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        reason = os.strerror(error.errno or 0)
        message = (
            f"the temporary disk of the instance takes no more ({reason}); it needs more room, or less work at once"
        )
        raise UnavailableError("NoRoom", message) from error


@cache
def remove_left_behind() -> None:
    """Removes the folders that nobody holds any more, the first time in a process."""
    with _making(fcntl.LOCK_EX):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with suppress(OSError):  # of another user, held by another process, or just removed by one
                if folder.stat().st_uid == os.getuid() and _is_free(folder):
                    shutil.rmtree(folder)


def _is_free(folder: Path) -> bool:
    with suppress(FileNotFoundError), (folder / _LOCK).open("r+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


@contextmanager
def _making(how: int) -> Iterator[None]:
    """Holds off who removes folders (`LOCK_SH`), or who makes them (`LOCK_EX`)."""
    path = Path(tempfile.gettempdir()) / f"{_MAKING}-{os.getuid()}"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+") as lock:
        fcntl.flock(lock, how)
        yield
