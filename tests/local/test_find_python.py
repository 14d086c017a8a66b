"""`find_python.sh` on machines of several kinds."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.settings import REPOSITORY

_SCRIPT = REPOSITORY / "infra" / "local" / "find_python.sh"
_REAL = Path(getattr(sys, "_base_executable", sys.executable))
_SHIM = "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n"
_OLD = '#!/bin/sh\n[ "$1" = -c ] && echo 3.11\n'


def put(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="ascii")
    path.chmod(0o755)
    return path


def link(path: Path) -> Path:
    """A Python 3.13 of this machine under another path."""
    return put(path, f'#!/bin/sh\n[ "$1" = -c ] && case "$2" in *version_info*) ;; *) echo "{path}"; exit;; esac\n'
               f'exec "{_REAL}" "$@"\n')  # fmt: skip


def find(path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the script where nothing but `path` and the system's own folders is searched."""
    return subprocess.run(
        ["/bin/sh", str(_SCRIPT)],
        env={"PATH": f"{path}:/usr/bin:/bin", "LC_ALL": "C", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_plain_python3_13(tmp_path: Path) -> None:
    python = link(tmp_path / "bin" / "python3.13")
    assert find(tmp_path / "bin", HOME=str(tmp_path)).stdout.strip() == str(python)


@pytest.mark.parametrize("root_is_named", [True, False])
def test_past_a_shim_that_fails_to_the_pyenv_version(tmp_path: Path, root_is_named: bool) -> None:
    put(tmp_path / "bin" / "python3.13", _SHIM)
    put(tmp_path / "bin" / "python3", _OLD)
    put(tmp_path / ".pyenv" / "versions" / "3.13.0b1" / "bin" / "python3.13", _SHIM)
    python = link(tmp_path / ".pyenv" / "versions" / "3.13.9" / "bin" / "python3.13")
    named = {"PYENV_ROOT": str(tmp_path / ".pyenv"), "HOME": "/nowhere"} if root_is_named else {"HOME": str(tmp_path)}
    assert find(tmp_path / "bin", **named).stdout.strip() == str(python)


def test_the_one_that_is_named_wins(tmp_path: Path) -> None:
    link(tmp_path / "bin" / "python3.13")
    named = link(tmp_path / "my own" / "python")
    assert find(tmp_path / "bin", HOME=str(tmp_path), PYTHON=str(named)).stdout.strip() == str(named)


def test_a_named_one_that_does_not_do_is_an_error(tmp_path: Path) -> None:
    link(tmp_path / "bin" / "python3.13")
    old = put(tmp_path / "old", _OLD)
    found = find(tmp_path / "bin", HOME=str(tmp_path), PYTHON=str(old))
    assert found.returncode == 1
    assert f"PYTHON={old} is not a Python 3.13 that runs" in found.stderr
    assert found.stdout == ""


def test_no_python_at_all_says_what_to_install(tmp_path: Path) -> None:
    put(tmp_path / "bin" / "python3.13", _SHIM)
    put(tmp_path / "bin" / "python3", _OLD)
    put(tmp_path / "bin" / "python", _OLD)
    found = find(tmp_path / "bin", HOME=str(tmp_path))
    if found.returncode == 0:
        pytest.skip("this machine has a Python 3.13 in a system folder")
    assert "pyenv install 3.13" in found.stderr
