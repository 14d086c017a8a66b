"""An instance without room: the run says so, nothing comes in by halves, and with room again all is well."""

import multiprocessing
import resource
from pathlib import Path

import pytest

from shared.app import Services
from shared.domain.errors import UnavailableError
from shared.domain.run import RunState
from shared.ingest.ingest_blob import ingest_blob
from shared.settings import Settings
from tests.ingest.conftest import MESSAGE, World

MANY = "page\n" + "".join(f"/page-{number * 7919 % 100003}\n" for number in range(100_000))
BAD = "page\n" + '"/home" "x\n' * 20_000
UNAVAILABLE = 3


def ingest_within(settings: Settings, hub: str, run_id: str, limit: int, value: int) -> None:
    """A process that may not write larger files, or open more of them than it has."""
    services = Services(settings)
    assert services.runs.get(hub, run_id)
    most = len(list(Path("/proc/self/fd").iterdir())) + value if limit == resource.RLIMIT_NOFILE else value
    resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))
    try:
        ingest_blob(services, hub, run_id, MESSAGE)
    except UnavailableError as error:
        raise SystemExit(UNAVAILABLE) from error


@pytest.mark.parametrize(
    ("content", "limit", "value", "codes"),
    [
        pytest.param(MANY, resource.RLIMIT_FSIZE, 64 * 1024, {"NoRoom"}, id="no-room-for-rows"),
        pytest.param(BAD, resource.RLIMIT_FSIZE, 64 * 1024, {"NoRoom"}, id="no-room-for-rejects"),
        pytest.param(
            MANY,
            resource.RLIMIT_NOFILE,
            4,
            {"NoRoom", "EngineOutOfRoom", "StorageUnavailable"},
            id="no-more-open-files",
        ),
    ],
)
def test_no_room(world: World, content: str, limit: int, value: int, codes: set[str]) -> None:
    run_id = world.queue(world.upload("a.csv", content))
    arguments = (world.services.settings, world.hub, run_id, limit, value)
    worker = multiprocessing.get_context("spawn").Process(target=ingest_within, args=arguments)
    worker.start()
    worker.join(120)
    run = world.run(run_id)
    assert worker.exitcode == UNAVAILABLE
    assert run.error is not None
    assert run.state is RunState.QUEUED
    assert run.error.code in codes
    assert world.committed_rows == 0
    again = world.ingest(run_id)
    assert again.state in {RunState.SUCCEEDED, RunState.PARTIALLY_SUCCEEDED}
    assert again.rows_read == content.count("\n") - 1
