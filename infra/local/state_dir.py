"""The folder that one stack owns: its lock, its data, and `stack.json`, which says where all of it serves."""

import errno
import fcntl
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.settings import Ports

_OLD_CHILDREN_TAKE_AT_MOST_S = 15
_ROOM_BYTES = 1024**2
# These come without the name of a file where it is open already.
_OF_DISKS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


@dataclass(frozen=True)
class Stack:
    """Where a running stack serves; the content of `stack.json`, whose keys are these in camelCase."""

    functions_url: str
    blob_endpoint: str
    queue_endpoint: str
    table_endpoint: str
    storage_connection_string: str
    key_vault_url: str
    storage_secret_url: str
    clock_file: str
    log_file: str
    pid: int


class StateDirError(Exception):
    """The folder cannot be used; the message says why and what to do."""


class StateDirInUseError(StateDirError):
    """Another stack runs on this folder."""


class StateDir:
    """Paths below the state folder, and the lock on it."""

    def __init__(self, path: Path) -> None:
        """Make the folder where it is missing.

        Raises:
            StateDirError: There is none, and none can be made.
        """
        with usable(path):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path.resolve()
        self.azurite = self.path / "azurite"
        self.timers = self.path / "timers"
        self.clock_file = self.path / "clock"
        self.functions_log = self.path / "functions.log"
        self.stack_log = self.path / "stack.log"
        self.events = self.path / "events.db"
        self.vault = self.path / "vault"
        self.stack_json = self.path / "stack.json"
        self.temporary = self.path / "tmp"
        self._ports = self.path / "ports.json"
        self._lock = self.path / "lock"

    def acquire(self) -> int:
        """Lock the folder and remove the `stack.json` of a stack that was killed.

        Returns:
            The descriptor that holds the lock. Azurite inherits it, so the lock outlives a killed supervisor
            until Azurite has saved, and a new stack never meets an old Azurite.

        Raises:
            StateDirInUseError: Another stack runs here.
            StateDirError: Nothing can be written here.
        """
        with usable(self.path):
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _OLD_CHILDREN_TAKE_AT_MOST_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
                if _alive(owner) or time.monotonic() > deadline:
                    os.close(descriptor)
                    raise StateDirInUseError(
                        f"A stack already runs on {self.path} (pid {owner or 'unknown'}). "
                        "Stop it, or name another folder: STATE_DIR=..."
                    ) from None
                time.sleep(0.1)
        with usable(self.path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self.stack_json.unlink(missing_ok=True)
            self._try_room()
        return descriptor

    def _try_room(self) -> None:
        """Write what the parts of the stack write as they start, so that a full disk is told of before any runs."""
        trial = self.path / f".room.{os.getpid()}"
        try:
            with trial.open("wb") as file:
                file.write(bytes(_ROOM_BYTES))
                os.fsync(file.fileno())
        finally:
            trial.unlink(missing_ok=True)

    def clear_temporary(self) -> None:
        """Make the folder for temporary files anew: they hold rows, and a killed stack left its own."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(mode=0o700)

    def publish(self, stack: Stack) -> None:
        """Write `stack.json` in one step; it holds the connection string, so only its owner may read it."""
        content = {_camel(name): value for name, value in asdict(stack).items()}
        write_private(self.stack_json, json.dumps(content, indent=2) + "\n")

    def keep_ports(self, stack: Stack) -> None:
        """Remember where the stack serves, for the next start on this folder."""
        urls = (
            stack.functions_url,
            stack.blob_endpoint,
            stack.queue_endpoint,
            stack.table_endpoint,
            stack.key_vault_url,
        )
        write_private(self._ports, json.dumps([urlsplit(url).port for url in urls]))

    def kept_ports(self) -> Ports:
        """Where the stack before served; zeros where there was none."""
        try:
            return Ports(*json.loads(self._ports.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return Ports(0, 0, 0, 0, None)

    def read(self) -> Stack | None:
        """The running stack, or None while nothing serves here."""
        try:
            content = json.loads(self.stack_json.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Stack(**{name: content[_camel(name)] for name in Stack.__dataclass_fields__})


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Say of a state folder why it cannot be used, where what is done with it fails.

    Raises:
        StateDirError: In words, in place of an error of a file or database of the folder.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _unusable(path, str(error)) from error
    except (FileExistsError, NotADirectoryError) as error:
        raise _unusable(path, "it is, or lies below, something that is no folder") from error
    except OSError as error:
        if not (error.errno in _OF_DISKS or _concerns(path, error.filename)):
            raise
        raise _unusable(path, error.strerror or str(error)) from error


def _concerns(path: Path, name: object) -> bool:
    return isinstance(name, str) and (Path(name).is_relative_to(path) or path.is_relative_to(name))


def _unusable(path: Path, reason: str) -> StateDirError:
    return StateDirError(
        f"The state folder {path} cannot be used: {reason}. "
        "Make it a folder that you may write to, with room on its disk, or name another: STATE_DIR=..."
    )


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner alone."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
