"""Puts the host together: one port for HTTP, webhooks and admin; a listener for each queue and timer."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.functions_host.host_json import read_host_options, worker_count
from infra.local.functions_host.invocations import Invocations
from infra.local.functions_host.logs import write_log
from infra.local.functions_host.refusals import OneLength, answer_http_exception
from infra.local.functions_host.triggers import admin, event_grid_webhook, http_routes
from infra.local.functions_host.triggers.queues import QueueListener
from infra.local.functions_host.triggers.timers import Timer
from infra.local.functions_host.workers import Workers

logger = logging.getLogger(__name__)

_RUNNING_ONES_END_WITHIN_S = 8
_ANSWERS_END_WITHIN_S = 8
# Those that a binding can name; the real host routes no other to a function either.
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class _Anything(PathConvertor):
    """A path with line ends too, which `path` does not match."""

    regex = r"(?s:.*)"


register_url_convertor("anything", _Anything())


class Host:
    """The functions host of one app."""

    def __init__(self, app_dir: Path, state_dir: Path) -> None:
        """Read `host.json`, index the app, and make its listeners.

        Raises:
            ConfigurationError: The app or its configuration cannot be served.
        """
        options = read_host_options(app_dir)
        write_log(state_dir / "functions.log", options.log_level)
        workers = Workers(app_dir, state_dir, worker_count())
        self._functions = workers.functions
        self._invocations = Invocations(workers, base64_messages=options.queues.base64)
        self._routes = http_routes.HttpRoutes(workers.of_kind("httpTrigger"), options.route_prefix)
        self._queues = [QueueListener(f, options.queues, self._invocations) for f in workers.of_kind("queueTrigger")]
        self._timers = {
            f.name: Timer(f, state_dir / "timers", self._invocations) for f in workers.of_kind("timerTrigger")
        }
        self._stopping = asyncio.Event()
        self._stop_began = 0.0
        for function in workers.functions.values():
            logger.info("Function %s (%s)", function.name, function.trigger["type"])

    def serve(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT; then take nothing new and let what runs end, for a while."""
        config = uvicorn.Config(
            self._application(),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_ANSWERS_END_WITHIN_S,
        )
        # uvicorn puts these back at its end and raises the signal again, which would end the process by it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        _Server(config, self._begin_stop).run(sockets=[listener])
        logger.info("Stopped")
        logging.shutdown()
        # Threads of runs that were left behind must not hold up the end; their messages come again.
        os._exit(0)

    def _begin_stop(self) -> None:
        if not self._stopping.is_set():
            self._stop_began = time.monotonic()
            self._stopping.set()

    def _application(self) -> Starlette:
        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            loops = [listener.listen(self._stopping) for listener in self._queues]
            loops += [timer.keep_time(self._stopping) for timer in self._timers.values()]
            tasks = [asyncio.create_task(_logged(loop)) for loop in loops]
            yield
            self._begin_stop()
            left = await self._invocations.drain(self._stop_began + _RUNNING_ONES_END_WITHIN_S)
            if left:
                logger.warning("Stopped while still running: %s", ", ".join(left))
            if tasks:
                # What has just ended is still being settled with its queue.
                await asyncio.wait(tasks, timeout=1)

        async def event_grid(request: Request) -> Response:
            return await event_grid_webhook.receive(request, self._functions, self._invocations)

        async def run_function(request: Request) -> Response:
            return await admin.run_function(request, self._functions, self._timers, self._invocations)

        async def status(_: Request) -> Response:
            return admin.host_status()

        async def http(request: Request) -> Response:
            return await http_routes.serve(request, self._routes, self._invocations)

        return Starlette(
            routes=[
                Route("/runtime/webhooks/eventgrid", event_grid, methods=event_grid_webhook.METHODS),
                Route("/runtime/webhooks/EventGrid", event_grid, methods=event_grid_webhook.METHODS),
                Route("/admin/host/status", status, methods=["GET"]),
                Route("/admin/functions/{name}", run_function, methods=["POST"]),
                Route("/{path:anything}", http, methods=_METHODS),
            ],
            lifespan=lifespan,
            middleware=[Middleware(OneLength)],
            exception_handlers={HTTPException: answer_http_exception},
        )


class _Server(uvicorn.Server):
    """Stops the listeners with the first signal, not only after the last HTTP answer."""

    def __init__(self, config: uvicorn.Config, begin_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._begin_stop = begin_stop
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_stop)
        super().handle_exit(sig, frame)


async def _logged(loop: Awaitable[None]) -> None:
    try:
        await loop
    except Exception:
        logger.exception("A listener ended; the host ends with it")
        logging.shutdown()
        os._exit(1)
