"""What fails each time is given up with its reason, and holds up nobody else."""

import multiprocessing
import os
import signal

import pytest

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.arrivals.sweep import request_backfill
from shared.domain.documents.run import Run, RunState
from shared.domain.errors import UnavailableError
from shared.ingest.attempt import take
from shared.messages.ingest import give_up, handle_message
from shared.settings import Settings
from shared.storage.queues import ATTEMPTS
from tests.fault_proxy import Answer, running_proxy
from tests.ingest.conftest import MESSAGE, ROWS, World
from tests.thorough import only_thorough

GOOD = 25


@only_thorough
def test_one_poison_blob_among_many_good_ones(world: World, azurite: Endpoints) -> None:
    with running_proxy(azurite.blob) as proxy:
        world.put_connector("Broken", azurite.connection_string.replace(azurite.blob, proxy.endpoint))
        world.put_mapping("Broken", "Broken", fileFilter="in/*.csv")
        proxy.plan = lambda request: Answer(500, "InternalError") if "poison.csv" in request.target else None
        for number in range(GOOD):
            world.upload(f"in/{number}.csv", ROWS)
        world.upload("in/poison.csv", ROWS)
        mapping = world.services.definitions.mapping(world.hub, "Broken", "Broken")
        request_backfill(world.services, mapping)
        world.work_off()
        states = world.states("Broken")
        assert states.pop("in/poison.csv") is RunState.FAILED
        assert list(states.values()) == [RunState.SUCCEEDED] * GOOD
        (poison,) = [run for run in runs_of(world, "Broken") if run.state is RunState.FAILED]
        assert poison.error is not None
        assert (poison.attempts, poison.error.code) == (ATTEMPTS, "StorageUnavailable")
        assert "poison.csv" in poison.error.message


def runs_of(world: World, mapping: str) -> list[Run]:
    return world.services.runs.page(world.hub, mapping=mapping, top=1000)[0]


def test_the_attempts_of_a_message_that_was_put_back_are_added_up(world: World) -> None:
    """The host counts the deliveries of one message; a run that is put back gets another."""
    run_id = world.queue(world.upload("a.csv", ROWS))
    world.vault.stop()
    message = {"hub": world.hub, "connector": "Landing", "runId": run_id, "tries": 3, "deferred": 2}
    dead = Services(world.services.settings)
    with pytest.raises(UnavailableError):
        handle_message(dead, message, MESSAGE, 1)
    assert world.run(run_id).state is RunState.QUEUED
    handle_message(dead, message, MESSAGE, 2)
    run = world.run(run_id)
    assert run.error is not None
    assert (run.state, run.error.code) == (RunState.FAILED, "VaultUnavailable")


def die_at_work(settings: Settings, hub: str, run_id: str) -> None:
    """A worker that is out of memory in the middle of its attempt: nobody asks it first."""
    assert take(Services(settings), hub, run_id, MESSAGE) is not None
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_blob_that_kills_its_worker_each_time(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    context = multiprocessing.get_context("spawn")
    for _ in range(ATTEMPTS):
        worker = context.Process(target=die_at_work, args=(world.services.settings, world.hub, run_id))
        worker.start()
        worker.join(60)
        assert worker.exitcode == -signal.SIGKILL
    assert (world.run(run_id).state, world.run(run_id).attempts) == (RunState.RUNNING, ATTEMPTS)
    other = world.queue(world.upload("b.csv", ROWS))
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    failed = world.stored(run_id)
    assert failed.run.error is not None
    assert (failed.run.state, failed.run.error.code, failed.retry_at) == (RunState.FAILED, "WorkerLost", None)
    assert world.ingest(other, "message-2").state is RunState.SUCCEEDED
    request_backfill(world.services, world.mapping)
    world.work_off()
    assert world.run(run_id).state is RunState.SUCCEEDED, "somebody has looked, and asked for it"
