"""An instance without room: the run says so, nothing comes in by halves, and with room again all is well."""

import multiprocessing
import resource

import pytest

from shared.app import Services
from shared.domain.documents.run import RunState
from shared.domain.errors import UnavailableError
from shared.messages.ingest import carry_out_run
from shared.settings import Settings
from tests.ingest.conftest import MESSAGE, World

MANY = "page\n" + "".join(f"/page-{number * 7919 % 100003}\n" for number in range(100_000))
BAD = "page\n" + '"/home" "x\n' * 20_000
UNAVAILABLE = 3


def ingest_within(settings: Settings, hub: str, run_id: str) -> None:
    """A process that may not write larger files."""
    services = Services(settings)
    assert services.runs.get(hub, run_id)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        carry_out_run(services, hub, run_id, MESSAGE)
    except UnavailableError as error:
        raise SystemExit(UNAVAILABLE) from error


@pytest.mark.parametrize("content", [pytest.param(MANY, id="for-rows"), pytest.param(BAD, id="for-rejects")])
def test_no_room(world: World, content: str) -> None:
    run_id = world.queue(world.upload("a.csv", content))
    arguments = (world.services.settings, world.hub, run_id)
    worker = multiprocessing.get_context("spawn").Process(target=ingest_within, args=arguments)
    worker.start()
    worker.join(120)
    run = world.run(run_id)
    assert worker.exitcode == UNAVAILABLE
    assert run.error is not None
    assert run.state is RunState.QUEUED
    assert run.error.code == "NoRoom"
    assert world.committed_rows == 0
    again = world.ingest(run_id)
    assert again.state in {RunState.SUCCEEDED, RunState.PARTIALLY_SUCCEEDED}
    assert again.rows_read == content.count("\n") - 1
