"""Starts the parts of the stack in order, watches them, and stops all when one ends or it is told to."""

import json
import logging
import logging.handlers
import os
import queue
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import httpx

from infra.local.azurite import Azurite, Endpoints, StartError
from infra.local.children import Child
from infra.local.event_grid import EventGrid
from infra.local.key_vault import KeyVault, SecretStore
from infra.local.settings import REPOSITORY, Ports, app_settings, host_environment, listen, state_dir_path
from infra.local.state_dir import Stack, StateDir, usable
from shared.redact import without_secrets

logger = logging.getLogger(__name__)

_STORAGE_SECRET = "storage-connection-string"  # noqa: S105 - the name of a secret, not its value
_HOST_STARTS_WITHIN_S = 60
# Longer than the functions host lets running invocations go on (functions_host/lifetime.py).
_HOST_STOPS_WITHIN_S = 12
_PARENT_IS_LOOKED_AT_EVERY_S = 0.5


class Supervisor:
    """The process behind `make up`."""

    def __init__(
        self, environment: Mapping[str, str], app_dir: Path, settings_file: Path | None, parent: int | None
    ) -> None:
        self._environment = environment
        self._app_dir = app_dir
        self._parent = parent
        self._ports = Ports.from_environment(environment)
        self._values = app_settings(app_dir, settings_file)
        self._state = StateDir(state_dir_path(environment))
        self._happened: queue.SimpleQueue[Child | int] = queue.SimpleQueue()

    def run(self) -> int:
        """Start, serve, stop. Returns the exit code.

        Raises:
            SettingError: A port or a setting cannot be used.
            StateDirError: Nothing can be written into the state folder, or another stack runs on it.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        lock = self._state.acquire()
        try:
            with ExitStack() as parts:
                with usable(self._state.path):
                    _log_to(self._state.stack_log)
                    self._state.clear_temporary()
                    self._ports = self._ports.keeping(self._state.kept_ports())
                    self._ports.check_free()
                    self._start(parts, lock)
                ended = self._wait()
                # Whoever waits for the file to vanish may then start anew: the order of the parts is below.
                self._state.stack_json.unlink(missing_ok=True)
            return self._report(ended)
        except _Interrupted:
            return 0
        except StartError as error:
            logger.error("%s", error)
            print(f"error: {without_secrets(str(error))}", file=sys.stderr, flush=True)
            return 1
        finally:
            self._state.stack_json.unlink(missing_ok=True)
            os.close(lock)

    def _start(self, parts: ExitStack, lock: int) -> None:
        functions_socket = parts.enter_context(listen(self._ports.functions, "FUNCTIONS_PORT"))
        functions_url = f"http://127.0.0.1:{functions_socket.getsockname()[1]}"
        commits, commits_in = os.pipe()
        try:
            _progress("starting Azurite")
            azurite = Azurite(
                self._state.azurite,
                (self._ports.blob, self._ports.queue, self._ports.table),
                commits_fd=commits_in,
                pass_fds=[lock],
                on_exit=self._happened.put,
            )
        finally:
            os.close(commits_in)
        parts.callback(azurite.stop)
        endpoints = azurite.endpoints
        store = SecretStore(self._state.vault)
        if (kept := store.get(_STORAGE_SECRET)) is None or kept["value"] != endpoints.connection_string:
            store.set(_STORAGE_SECRET, {"value": endpoints.connection_string})
        vault = KeyVault(store, self._ports.listen_key_vault())
        parts.callback(vault.stop)
        _progress("starting the functions host")
        self._start_host(parts, functions_socket, endpoints, vault.url)
        events = EventGrid(self._state.events, commits, endpoints, functions_url)
        parts.callback(events.stop)
        self._wait_for_host(functions_url)
        events.start()
        stack = Stack(
            functions_url=functions_url,
            blob_endpoint=endpoints.blob,
            queue_endpoint=endpoints.queue,
            table_endpoint=endpoints.table,
            storage_connection_string=endpoints.connection_string,
            key_vault_url=vault.url,
            storage_secret_url=f"{vault.url}/secrets/{_STORAGE_SECRET}",
            clock_file=str(self._state.clock_file),
            log_file=str(self._state.functions_log),
            pid=os.getpid(),
        )
        self._state.keep_ports(stack)
        self._state.publish(stack)
        print(f"ready {functions_url}", flush=True)
        _progress(f"log: {self._state.functions_log}")

    def _start_host(self, parts: ExitStack, listener: socket.socket, storage: Endpoints, vault_url: str) -> None:
        computed = {
            "AzureWebJobsStorage": storage.connection_string,
            "HUB_STORAGE": storage.connection_string,
            "KEY_VAULT_URL": vault_url,
            "DEVELOPMENT_ENDPOINTS": f"http://127.0.0.1:{storage.blob_port},{vault_url}",
            "CLOCK_FILE": str(self._state.clock_file),
            "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
            "TMPDIR": str(self._state.temporary),
        }
        command = [sys.executable, "-m", "infra.local.functions_host", "--fd", str(listener.fileno())]
        command += ["--app", str(self._app_dir), "--state", str(self._state.path)]
        host = Child(
            "the functions host",
            command,
            host_environment(self._values, computed, self._environment),
            cwd=str(REPOSITORY),
            pass_fds=[listener.fileno()],
            on_line=lambda line: logger.info("functions host: %s", line),
            on_exit=self._happened.put,
        )
        self._host = host
        (self._state.path / "functions.pid").write_text(f"{host.pid}\n", encoding="ascii")
        # Only the child listens from here on: were it killed, its port must refuse, not hang.
        listener.close()
        parts.callback(host.stop, _HOST_STOPS_WITHIN_S)

    def _wait_for_host(self, url: str) -> None:
        deadline = time.monotonic() + _HOST_STARTS_WITHIN_S
        while time.monotonic() < deadline:
            try:
                answer = httpx.get(f"{url}/admin/host/status", timeout=1, trust_env=False)
                if answer.is_success and answer.json()["state"] == "Running":
                    return
            except (httpx.HTTPError, json.JSONDecodeError):
                pass
            try:
                happened = self._happened.get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(happened, int):
                raise _Interrupted
            raise StartError(_ended(happened, self._state))
        raise StartError(f"The functions host does not answer after {_HOST_STARTS_WITHIN_S} s.\n{self._host.tail()}")

    def _wait(self) -> Child | int:
        while True:
            try:
                return self._happened.get(timeout=_PARENT_IS_LOOKED_AT_EVERY_S)
            except queue.Empty:
                if self._parent is not None and os.getppid() != self._parent:
                    return signal.SIGTERM

    def _report(self, happened: Child | int) -> int:
        if isinstance(happened, int):
            return 0
        message = _ended(happened, self._state)
        logger.error("%s", message)
        print(f"error: {message}", file=sys.stderr, flush=True)
        return 1

    def _note_signal(self, number: int, _: FrameType | None) -> None:
        self._happened.put(number)


class _Interrupted(Exception):  # noqa: N818 - not an error: the user stopped a stack that was starting
    """Told to stop before everything served."""


def _ended(child: Child, state: StateDir) -> str:
    code = child.process.returncode
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    name = child.name[0].upper() + child.name[1:]
    logs = f"{state.functions_log}, {state.stack_log}"
    return f"{name} {how}; everything else is stopped. Logs: {logs}\n{child.tail()}"


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _log_to(path: Path) -> None:
    sink = logging.handlers.RotatingFileHandler(path, maxBytes=2_000_000, backupCount=1, encoding="utf-8")
    sink.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[sink])
    for name in ("azure", "httpx", "httpcore", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record)).replace("\n", "\\n")
