"""Child processes that never outlive the process that started them."""

import os
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from shared.redact import without_secrets

_TAIL_LINES = 60


class Child:
    """A running process whose output is always drained, and whose stdin ends when its parent dies.

    The pipe on stdin is the portable lifeline: every child ends itself when it reads the end of it, which the
    kernel delivers even when the parent was killed. Children get a session of their own, so Ctrl-C in a
    terminal reaches the supervisor alone, and it decides the order of the stop.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: str | None = None,
        pass_fds: Sequence[int] = (),
        on_line: Callable[[str], None] | None = None,
        on_exit: Callable[["Child"], None] | None = None,
    ) -> None:
        self.name = name
        self._on_line = on_line
        self._on_exit = on_exit
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, name=f"{name} exit", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def running(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    def tail(self) -> str:
        """The last lines it wrote, without secrets."""
        self._reader.join(timeout=1 if not self.running() else 0)
        return "\n".join(self._tail)

    def stop(self, grace: float) -> bool:
        """Ask the process to end, and kill it after `grace` seconds. True when it ended by itself."""
        if self.running():
            self.process.terminate()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self._close()
        return True

    def kill(self) -> None:
        """End the process at once (SIGKILL)."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        self._reader.join(timeout=2)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        if self.process.stdout is None:
            return
        for raw in self.process.stdout:
            line = without_secrets(raw.decode(errors="replace").rstrip())
            self._tail.append(line)
            if self._on_line is not None:
                self._on_line(line)

    def _watch(self) -> None:
        self.process.wait()
        if self._on_exit is not None:
            self._on_exit(self)


def end_with_parent() -> None:
    """End this process at once when the process that started it is gone: when stdin ends."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, name="end with parent", daemon=True).start()
