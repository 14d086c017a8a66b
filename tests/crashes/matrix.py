"""Every failpoint, each way of being killed there, and whether all came out right in the end."""

import multiprocessing
import signal
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.azurite import Endpoints
from tests.crashes.story import END, Kill, Place, Story, tell

TOLD_AT_MOST_S = 240


@dataclass(frozen=True)
class Way:
    """How a story is disturbed at a failpoint.

    Attributes:
        kills: how often at most the process is killed there, each time at its first coming by; the last telling is
            undisturbed.
        deliveries: how often each event is delivered.
    """

    name: str
    kills: int
    deliveries: int


WAYS = (Way("once", 1, 1), Way("twice", 2, 1), Way("with every event twice", 1, 2))


def place_at(endpoints: Endpoints, vault_url: str, folder: Path) -> Place:
    """A place that no other story plays at."""
    return Place(endpoints, vault_url, folder, f"s{uuid.uuid4().hex[:10]}")


def differences(place: Place, kill: Kill | None, way: Way) -> dict[str, Any]:
    """Tells the story and has it killed; what ended otherwise than it has to, by name.

    Raises:
        RuntimeError: the process was not killed where it should have been, or the story could not be told to its end.
    """
    for number in range(way.kills if kill else 0):
        ended = _in_a_process(place, kill, way.deliveries)
        if number and ended == 0:
            break  # what is done there once for all was done before the first kill
        if ended != -signal.SIGKILL:
            raise RuntimeError(f"the story never came to {kill}: exit code {ended}")
    if ended := _in_a_process(place, None, way.deliveries):
        raise RuntimeError(f"the story could not be told to its end: exit code {ended}")
    found = Story(place).ends()
    return {name: found[name] for name in END if found[name] != END[name]}


def _in_a_process(place: Place, kill: Kill | None, deliveries: int) -> int:
    process = _CONTEXT.Process(target=tell, args=(place, kill, deliveries))
    process.start()
    process.join(TOLD_AT_MOST_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise RuntimeError(f"the story took longer than {TOLD_AT_MOST_S} s")
    return process.exitcode


# Each process starts from a server that has the imports and nothing else: no threads, no connections.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.crashes.story", "deltalake", "duckdb", "pyarrow", "obstore"])
