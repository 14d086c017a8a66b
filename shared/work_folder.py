"""Local folders for rows on their way: they hold customers' data, so what a killed worker left behind is removed."""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from shared.domain.errors import UnavailableError

_PREFIX = "connector-hub-work-"
_LOCK = "in-use"
_STARTS_WITHIN_S = 60  # between the making of a folder and its lock
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE})


@contextmanager
def work_folder() -> Iterator[Path]:
    """A new folder, removed at the end; the first call of a process also removes those that nobody holds any more.

    Raises:
        UnavailableError: the work in it found no room on the disk, or too many files open.
    """
    _remove_left_behind()
    try:
        with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            with (folder / _LOCK).open("w", encoding="ascii") as lock:
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
def _remove_left_behind() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # of another user, held by another process, or just removed by one
            facts = folder.stat()
            is_old = facts.st_mtime < time.time() - _STARTS_WITHIN_S
            if facts.st_uid == os.getuid() and is_old and _is_free(folder):
                shutil.rmtree(folder)


def _is_free(folder: Path) -> bool:
    with (folder / _LOCK).open("r+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True
