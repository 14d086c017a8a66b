"""A proxy on loopback in front of Azurite that breaks chosen requests: faults of the network, made to order."""

import contextlib
import http.client
import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Below those that the system gives out. The tests' DEVELOPMENT_ENDPOINTS names them, else connectors could not name
# what listens there.
PORTS = tuple(random.sample(range(20_000, 32_000), 128))
_NEXT_PORTS = itertools.cycle(PORTS)


def listening_socket() -> socket.socket:
    """A socket that listens on one of the ports, the one that was free for longest."""
    for port in itertools.islice(_NEXT_PORTS, len(PORTS)):
        with contextlib.suppress(OSError):  # somebody else has it
            return socket.create_server(("127.0.0.1", port), backlog=128)
    raise RuntimeError("all ports for proxies are taken")


@dataclass(frozen=True)
class Request:
    """What passes: `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """Answers itself; Azurite never sees the request."""

    status: int
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChangeAnswer:
    """Lets Azurite do it, and puts these headers into its answer: what Azure says and Azurite cannot."""

    headers: Mapping[str, str]


@dataclass(frozen=True)
class LoseAnswer:
    """Lets Azurite do it, and closes the connection without an answer."""


@dataclass(frozen=True)
class CutAnswer:
    """Passes on this many bytes of the answer's body, and closes the connection."""

    keep_bytes: int


@dataclass(frozen=True)
class DamageBody:
    """Turns over the bits of the request body's middle byte on the way to Azurite."""


@dataclass(frozen=True)
class Hang:
    """Says nothing for this long, or until the proxy stops, and closes the connection."""

    seconds: float = 600


@dataclass(frozen=True)
class Drip:
    """Lets Azurite do it, and passes the answer's body on a few bytes at a time."""

    bytes_at_once: int = 1
    pause_s: float = 0.2


type Fault = Answer | ChangeAnswer | LoseAnswer | CutAnswer | DamageBody | Hang | Drip
# None lets the request pass.
type Plan = Callable[[Request], Fault | None]


class FaultProxy:
    """Forwards to one endpoint of Azurite, asking `plan` about every request.

    Attributes:
        requests: everything that came by, in order.
    """

    def __init__(self, endpoint: str) -> None:
        self._upstream = urlsplit(endpoint)
        self.plan: Plan = lambda _: None
        self.requests: list[Request] = []
        self._stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body of an answer are two writes, and the second must not wait for the caller's delayed ACK.
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                proxy._connections.add(self.connection)

            def finish(self) -> None:
                proxy._connections.discard(self.connection)
                super().finish()

            def _forward(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
                proxy.requests.append(request)
                try:
                    proxy._serve(self, request)
                except ConnectionError:
                    self.close_connection = True  # whoever asked did not wait for the answer

            def log_message(self, *_: object) -> None:
                pass

        for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "MERGE", "PATCH"):
            setattr(Handler, f"do_{method}", Handler._forward)
        listener = listening_socket()
        self._server = ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}{self._upstream.path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def break_once(self, fault: Fault, matches: Callable[[Request], bool]) -> None:
        """Breaks the first request that matches, and lets all others pass."""
        lock, left = threading.Lock(), [fault]

        def plan(request: Request) -> Fault | None:
            with lock:
                return left.pop() if left and matches(request) else None

        self.plan = plan

    def release(self) -> None:
        """Ends the faults that take time: their connections are closed."""
        self._stopping.set()

    def stop(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        # Whoever keeps one would go on talking to this proxy when another has its port.
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        fault = self.plan(request)
        if isinstance(fault, Answer):
            _answer(handler, request, fault.status, {"x-ms-error-code": fault.code, **fault.headers}, b"")
            return
        if isinstance(fault, Hang):
            self._stopping.wait(fault.seconds)
            handler.close_connection = True
            return
        connection = http.client.HTTPConnection(str(self._upstream.hostname), self._upstream.port or 80)
        try:
            headers = {k: v for k, v in request.headers.items() if k.lower() != "connection"}
            sent = _damaged(request.body) if isinstance(fault, DamageBody) else request.body
            connection.request(request.method, request.target, sent, headers)
            response = connection.getresponse()
            body = response.read()
            if isinstance(fault, LoseAnswer):
                handler.close_connection = True
                return
            kept = fault.keep_bytes if isinstance(fault, CutAnswer) else None
            answered = dict(response.getheaders())
            if isinstance(fault, ChangeAnswer):
                answered |= fault.headers
            if isinstance(fault, Drip):
                _answer(handler, request, response.status, answered, body, 0)
                self._drip(handler, body, fault)
                return
            _answer(handler, request, response.status, answered, body, kept)
        finally:
            connection.close()

    def _drip(self, handler: BaseHTTPRequestHandler, body: bytes, fault: Drip) -> None:
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(body), fault.bytes_at_once):
                if self._stopping.wait(fault.pause_s):
                    return
                handler.wfile.write(body[start : start + fault.bytes_at_once])


def _damaged(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]


def _answer(
    handler: BaseHTTPRequestHandler,
    request: Request,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    keep_bytes: int | None = None,
) -> None:
    handler.send_response(status)
    announced = str(len(body))
    for name, value in headers.items():
        if name.lower() == "content-length" and request.method == "HEAD":
            announced = value
        elif name.lower() not in {"transfer-encoding", "connection", "content-length", "date", "server"} and value:
            handler.send_header(name, value)
    if status != 204:
        handler.send_header("Content-Length", announced)
    handler.end_headers()
    if request.method != "HEAD":
        handler.wfile.write(body if keep_bytes is None else body[:keep_bytes])
    handler.close_connection = handler.close_connection or keep_bytes is not None


@contextmanager
def running_proxy(endpoint: str) -> Iterator[FaultProxy]:
    """A proxy for the length of a `with` block."""
    proxy = FaultProxy(endpoint)
    try:
        yield proxy
    finally:
        proxy.stop()
