"""Starting and stopping a stack from Python: for tests, the demo and benchmarks."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.local.azurite import Azurite, Endpoints, StartError
from infra.local.settings import REPOSITORY
from infra.local.state_dir import Stack, StateDir
from shared.redact import without_secrets

_STARTS_WITHIN_S = 90
_STOPS_WITHIN_S = 40
_ANY_PORTS = {
    "FUNCTIONS_PORT": "0",
    "BLOB_PORT": "0",
    "QUEUE_PORT": "0",
    "TABLE_PORT": "0",
    "KEY_VAULT_PORT": "0",
}


class RunningStack:
    """A stack in processes of its own, and the ways to end it."""

    def __init__(self, process: "subprocess.Popen[bytes]", stack: Stack, state_dir: Path) -> None:
        self.process = process
        self.stack = stack
        self.state_dir = state_dir

    def stop(self) -> int:
        """Stop everything in order and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def kill(self) -> None:
        """Kill the supervisor, as a crash of the machine's session would; its children end with it."""
        self.process.kill()
        self.process.wait()

    def kill_functions_host(self) -> int:
        """Kill the functions host alone. The supervisor then stops the rest; returns its exit code."""
        os.kill(self.functions_host_pid(), signal.SIGKILL)
        return self.process.wait(_STOPS_WITHIN_S)

    def functions_host_pid(self) -> int:
        """The process id of the functions host."""
        return int((self.state_dir / "functions.pid").read_text(encoding="ascii"))


def start_stack(
    state_dir: Path,
    env: Mapping[str, str] | None = None,
    app_dir: Path | None = None,
    settings: Path | None = None,
) -> RunningStack:
    """Start a stack on free ports and wait until it serves. It ends with this process, if not stopped before.

    Args:
        state_dir: Its `STATE_DIR`.
        env: Variables over those of this process, such as `PROFILE_EXPORT_SCHEDULE` or ports.
        app_dir: Folder of `function_app.py`; by default the repository.
        settings: Settings file; by default the app's own.

    Raises:
        StartError: It did not start; the message ends with what it printed and the end of its logs.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "infra.local.up", "--parent", str(os.getpid())]
    command += ["--app", str(app_dir)] if app_dir else []
    command += ["--settings", str(settings)] if settings else []
    environment = {**os.environ, **_ANY_PORTS, **(env or {}), "STATE_DIR": str(state_dir.resolve())}
    printed = state_dir / "up.out"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        return RunningStack(process, _wait_until_ready(process, state_dir), state_dir.resolve())
    except BaseException:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOPS_WITHIN_S)
        process.kill()
        process.wait()
        raise


@contextmanager
def running_stack(
    state_dir: Path,
    env: Mapping[str, str] | None = None,
    app_dir: Path | None = None,
    settings: Path | None = None,
) -> Iterator[RunningStack]:
    """A stack for the length of a `with` block; see `start_stack`."""
    running = start_stack(state_dir, env, app_dir, settings)
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def running_azurite(state_dir: Path | None = None) -> Iterator[Endpoints]:
    """Azurite alone, on free ports, for the length of a `with` block; without a folder nothing of it is kept."""
    azurite = Azurite(state_dir / "azurite" if state_dir else None)
    try:
        yield azurite.endpoints
    finally:
        azurite.stop()


def _wait_until_ready(process: "subprocess.Popen[bytes]", state_dir: Path) -> Stack:
    state = StateDir(state_dir)
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        stack = state.read()
        # A file of an earlier stack that was killed stands there until the new one has the lock.
        if stack is not None and stack.pid == process.pid:
            return stack
        if ended:
            raise StartError(f"The stack ended with code {process.returncode}.\n{_last_words(state)}")
        time.sleep(0.02)
    raise StartError(f"The stack did not serve within {_STARTS_WITHIN_S} s.\n{_last_words(state)}")


def _last_words(state: StateDir) -> str:
    text = ""
    for path in (state.path / "up.out", state.stack_log, state.functions_log):
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-30:]
            text += f"--- {path}\n" + "\n".join(lines) + "\n"
    return without_secrets(text)
