"""The workers of a host: one in its own process, and as many beside it as `FUNCTIONS_WORKER_PROCESS_COUNT` says.

Host and process hand each other pickled messages over a pair of sockets; both are this same code, on one machine.
"""

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from infra.local.children import Child
from infra.local.functions_host import messages
from infra.local.functions_host.host_json import ConfigurationError
from infra.local.functions_host.worker import Function, InvocationFailedError, Worker
from infra.local.settings import REPOSITORY

logger = logging.getLogger(__name__)

LOADED = "loaded"


class WorkerProcess:
    """The host's end of a worker process."""

    def __init__(self, number: int, app_dir: Path, state_dir: Path) -> None:
        """Start it; `wait_until_loaded` comes before the first invocation."""
        self._number = number
        ours, its = socket.socketpair()
        command = [sys.executable, "-m", "infra.local.functions_host.worker_process", "--fd", str(its.fileno())]
        command += ["--app", str(app_dir), "--log", str(state_dir / f"functions-{number}.log")]
        self._child = Child(
            f"worker {number}",
            command,
            os.environ,
            cwd=str(REPOSITORY),
            pass_fds=[its.fileno()],
            on_line=lambda line: logger.info("worker %d: %s", number, line),
        )
        its.close()
        self._connection = Connection(ours.detach())
        self._waiting: dict[str, Future[messages.InvocationResponse]] = {}
        # One at a time, and not on the host's loop: a large body takes as long as the other end needs to take it.
        self._sender = ThreadPoolExecutor(1, thread_name_prefix=f"to worker {number}")

    def wait_until_loaded(self) -> None:
        """Wait for the app's functions.

        Raises:
            ConfigurationError: The worker refuses the app; the message says why.
        """
        try:
            said = self._connection.recv()
        except EOFError:
            said = f"Worker {self._number} ended while it loaded the app.\n{self._child.tail()}"
        if said != LOADED:
            raise ConfigurationError(said)
        threading.Thread(target=self._receive, name=f"from worker {self._number}", daemon=True).start()

    async def invoke(
        self,
        function: Function,
        invocation_id: str,
        data: messages.TypedData,
        trigger_metadata: Mapping[str, messages.TypedData] | None = None,
    ) -> messages.InvocationResponse:
        """As `Worker.invoke`."""
        answer: Future[messages.InvocationResponse] = Future()
        self._waiting[invocation_id] = answer
        request = (function.name, invocation_id, data, dict(trigger_metadata or {}))
        await asyncio.wrap_future(self._sender.submit(self._connection.send, request))
        return await asyncio.wrap_future(answer)

    def _receive(self) -> None:
        try:
            with suppress(EOFError, OSError):
                while True:
                    invocation_id, said = self._connection.recv()
                    answer = self._waiting.pop(invocation_id)
                    if not answer.set_running_or_notify_cancel():
                        continue  # nobody waits for it any more
                    if isinstance(said, messages.InvocationResponse):
                        answer.set_result(said)
                    else:
                        answer.set_exception(InvocationFailedError(*said))
        finally:
            logger.error("Worker %d ended; the host ends with it\n%s", self._number, self._child.tail())
            logging.shutdown()
            os._exit(1)


class Workers:
    """The worker of the host's own process and those beside it, which take turns."""

    def __init__(self, app_dir: Path, state_dir: Path, count: int) -> None:
        """Index the app in each.

        Raises:
            ConfigurationError: One refuses the app, or a setting is missing; the message says why.
        """
        beside = [WorkerProcess(number, app_dir, state_dir) for number in range(2, count + 1)]
        own = Worker(app_dir)
        for process in beside:
            process.wait_until_loaded()
        self.functions = own.functions
        self._workers: list[Worker | WorkerProcess] = [own, *beside]
        self._turn = 0

    def of_kind(self, kind: str) -> list[Function]:
        """The functions of one trigger type, in the app's order."""
        return [function for function in self.functions.values() if function.kind == kind.lower()]

    def next(self) -> Worker | WorkerProcess:
        """The one whose turn it is."""
        worker = self._workers[self._turn]
        self._turn = (self._turn + 1) % len(self._workers)
        return worker
