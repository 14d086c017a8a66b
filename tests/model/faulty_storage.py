"""Storage as the app sees it: Azurite behind a proxy for each service, all of which can be told to fail."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from infra.local.azurite import Endpoints
from tests.fault_proxy import Answer, CutAnswer, Drip, Fault, FaultProxy, Hang, LoseAnswer, Request, running_proxy

ACT_TAKES_AT_MOST_S = 60
WRITES = frozenset({"PUT", "POST", "MERGE", "PATCH", "DELETE"})

KINDS: dict[str, Fault] = {
    "500": Answer(500, "InternalError"),
    "503": Answer(503, "ServerBusy"),
    "429 with Retry-After": Answer(429, "TooManyRequests", {"Retry-After": "1"}),
    "no answer, nothing done": Hang(0),
    "no answer, but done": LoseAnswer(),
    "cut in the body": CutAnswer(1),
    "slow drip": Drip(256, 0.02),
}


@dataclass(frozen=True)
class FaultyStorage:
    """Azurite's own endpoints, and those of the proxies in front of it."""

    azurite: Endpoints
    endpoints: Endpoints
    proxies: dict[str, FaultProxy]

    def break_some(self, service: str, fault: Fault, matches: Callable[[Request], bool], times: int = 1) -> "Broken":
        """Breaks the first requests to a service that match, and lets all others pass."""
        broken = Broken(fault, matches, times)
        self.proxies[service].plan = broken
        return broken

    def before_request(self, number: int, act: Callable[[], None]) -> Callable[[], bool]:
        """Has something done before the request of that number, from 0, goes on; tells whether it was.

        Whoever sent the request may not wait for its answer, so it is waited for here.
        """
        counted, begun, done = itertools.count(), threading.Event(), threading.Event()

        def plan(_: Request) -> None:
            if next(counted) == number:
                begun.set()
                act()
                done.set()

        for proxy in self.proxies.values():
            proxy.plan = plan
        return lambda: begun.is_set() and done.wait(ACT_TAKES_AT_MOST_S)

    def heal(self) -> None:
        """From now on everything passes."""
        for proxy in self.proxies.values():
            proxy.plan = lambda _: None
            proxy.requests.clear()


class Broken:
    """A plan that breaks a number of requests.

    Attributes:
        targets: methods and paths of those that it broke.
    """

    def __init__(self, fault: Fault, matches: Callable[[Request], bool], times: int) -> None:
        self.targets: list[str] = []
        self._fault, self._matches, self._left = fault, matches, times
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Fault | None:
        with self._lock:
            if not self._left or not self._matches(request):
                return None
            self._left -= 1
            self.targets.append(f"{request.method} {request.target}")
            return self._fault


@contextmanager
def faulty_storage(azurite: Endpoints) -> Iterator[FaultyStorage]:
    """Proxies for the length of a `with` block; they pass everything on until they are told otherwise."""
    with ExitStack() as stack:
        services = {"blob": azurite.blob, "queue": azurite.queue, "table": azurite.table}
        proxies = {name: stack.enter_context(running_proxy(endpoint)) for name, endpoint in services.items()}
        ports = {f"{name}_port": urlsplit(proxy.endpoint).port or 0 for name, proxy in proxies.items()}
        yield FaultyStorage(azurite, Endpoints(**ports), proxies)
