"""The folder of a stack: what makes it unusable is said in words, and what lies in it is its owner's alone."""

import ctypes
import os
import re
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.local.conftest import SampleApp, up


def as_anybody() -> None:
    """Lets this process obey the rights of files, if it is root's."""
    drop_from_bounding_set, override_rights = 24, 1
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).prctl(drop_from_bounding_set, override_rights) == 0


def with_small_files() -> None:
    """Lets this process write 64 KiB into a file, as a full disk would."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))


def read_only(folder: Path) -> Path:
    folder.chmod(0o500)
    return folder


def of_another_with_a_lock(folder: Path) -> Path:
    (folder / "lock").touch(0o400)
    return folder


def with_a_file_named(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).touch()
        return folder

    return make


def a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file"


STATE_DIRS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "read-only": (read_only, "Permission denied"),
    "below a read-only folder": (lambda folder: read_only(folder) / "state", "Permission denied"),
    "a lock of somebody else": (of_another_with_a_lock, "Permission denied"),
    "a file": (a_file, "no folder"),
    "below a file": (lambda folder: a_file(folder) / "state", "no folder"),
    "a file where Azurite keeps its data": (with_a_file_named("azurite"), "no folder"),
    "a file where the vault is": (with_a_file_named("vault"), "no folder"),
    "not to be made": (lambda _: Path("/proc/state"), "No such file or directory"),
}


@pytest.mark.parametrize(("make", "reason"), STATE_DIRS.values(), ids=STATE_DIRS)
@pytest.mark.lengthy
def test_a_state_dir_that_cannot_be_used_is_an_error_in_words(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    state_dir = make(tmp_path)
    ended = up(state_dir, {}, as_anybody)
    tmp_path.chmod(0o700)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(f"error: The state folder {state_dir} cannot be used: ")
    assert reason in ended.stderr
    assert "STATE_DIR=..." in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_disk_without_room_is_an_error_in_words(tmp_path: Path) -> None:
    ended = up(tmp_path, {}, with_small_files)
    assert ended.returncode == 2
    assert re.fullmatch(rf"error: The state folder {tmp_path} cannot be used: File too large\. .*\n", ended.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_one_stack_per_state_dir(sample: SampleApp) -> None:
    ended = up(sample.running.state_dir, {})
    assert ended.returncode == 2
    assert f"A stack already runs on {sample.running.state_dir} (pid {sample.stack.pid})" in ended.stderr
    assert sample.root.get("/admin/host/status").status_code == 200


def test_only_the_owner_reads_stack_json(sample: SampleApp) -> None:
    assert (sample.running.state_dir / "stack.json").stat().st_mode & 0o777 == 0o600
