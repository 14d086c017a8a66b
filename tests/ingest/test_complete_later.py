"""A file whose rows are in and that could not be moved or deleted then is so by a later sweep: it alone, and once."""

import uuid
from typing import Any

import pytest

from shared.definitions.store import Conditions
from shared.domain.run import RunError, RunState
from shared.ingest import sweep
from shared.ingest.complete_later import complete_later
from shared.ingest.ingest_blob import _ingest
from shared.ingest.messages import give_up, take_message
from shared.ingest.pause import pause_mapping
from shared.ingest.sweep import carry_out_backfill, request_backfill, sweep_by_schedule
from tests.fault_proxy import FaultProxy
from tests.ingest.conftest import MESSAGE, ROWS, World
from tests.ingest.sweeping import take_sent

DELETE = {"completionOperationType": "DeleteFile"}
DENIED = "the vault does not answer"


@pytest.fixture
def archive() -> str:
    """The name of a container that is not there yet."""
    return f"c{uuid.uuid4().hex}"


def moving(to: str) -> dict[str, Any]:
    return {"completionOperationType": "MoveFile", "destinationFolder": f"{to}/done"}


def names(world: World, container: str) -> list[str]:
    return [blob.name for blob in world.storage.get_container_client(container).list_blobs()]


def left(world: World, path: str = "a.csv") -> str:
    """The id of the run of a file that could not be moved, or deleted, when its rows had come in."""
    run_id = world.queue(world.upload(path, ROWS))
    run = world.ingest(run_id)
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 3)
    assert "completeOperation" in run.details
    assert path in names(world, world.container)
    return run_id


def asked_for(world: World, queue: FaultProxy) -> list[dict[str, Any]]:
    """What a complete sweep sends."""
    backfill = request_backfill(world.services, world.mapping)
    queue.requests.clear()
    carry_out_backfill(world.services, world.hub, "Landing", "Visits", backfill.number)
    return take_sent(world, queue)


def test_a_file_is_moved_once_its_destination_is_there(world: World, queue: FaultProxy, archive: str) -> None:
    world.put_mapping(completeOperation=moving(archive))
    run_id = left(world)
    (message,) = asked_for(world, queue)
    take_message(world.services, message, MESSAGE)
    assert archive in world.run(run_id).details["completeOperation"], "it is not there yet"
    world.storage.create_container(archive)
    (message,) = asked_for(world, queue)
    before = world.run(run_id)
    for _ in range(2):  # a message may come twice
        take_message(world.services, message, MESSAGE)
    assert (names(world, world.container), names(world, archive)) == ([], ["done/a.csv"])
    assert world.run(run_id) == before.model_copy(update={"details": {}})
    assert world.committed_rows == 3
    assert asked_for(world, queue) == []


def test_a_file_whose_attempts_were_used_up_after_its_rows_had_come_in_is_moved(
    world: World, queue: FaultProxy, archive: str
) -> None:
    world.put_mapping(completeOperation=moving(archive))
    run_id = world.queue(world.upload("a.csv", ROWS))
    attempt = world.take(run_id)
    _ingest(world.services, attempt)
    attempt.release(RunError(code="VaultUnavailable", message=DENIED))
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    assert world.run(run_id).details["completeOperation"] == DENIED
    world.storage.create_container(archive)
    (message,) = asked_for(world, queue)
    take_message(world.services, message, MESSAGE)
    assert (names(world, world.container), names(world, archive)) == ([], ["done/a.csv"])


def test_the_message_of_an_account_that_does_not_answer_fails_no_run(
    world: World, queue: FaultProxy, archive: str
) -> None:
    world.put_mapping(completeOperation=moving(archive))
    run_id = left(world)
    (message,) = asked_for(world, queue)
    before = world.run(run_id)
    give_up(world.services, message)
    assert world.run(run_id) == before
    assert len(asked_for(world, queue)) == 1, "the next sweep asks again"


def test_the_tick_after_it_tries_as_well_but_few_at_once(
    world: World, queue: FaultProxy, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put_mapping(completeOperation=moving(archive))
    for path in ("a.csv", "b.csv", "c.csv"):
        left(world, path)
    asked_for(world, queue)
    monkeypatch.setattr(sweep, "_COMPLETED_BY_A_TICK", 2)
    queue.requests.clear()
    assert sweep_by_schedule(world.services, world.hub, "Landing", "Visits") == 0
    assert [message["complete"] for message in take_sent(world, queue)] == [True] * 2
    assert len(asked_for(world, queue)) == 3


def test_another_version_than_the_one_whose_rows_are_in_stays(world: World, queue: FaultProxy, archive: str) -> None:
    world.put_mapping(completeOperation=moving(archive))
    run_id = left(world)
    (message,) = asked_for(world, queue)
    world.storage.create_container(archive)
    newer = world.upload("a.csv", "page\n/other\n")
    take_message(world.services, message, MESSAGE)
    assert (names(world, world.container), names(world, archive)) == (["a.csv"], [])
    assert "completeOperation" in world.run(run_id).details
    world.ingest(world.queue(newer), "message-2")
    assert (names(world, world.container), names(world, archive)) == ([], ["done/a.csv"])


@pytest.mark.parametrize("before", ["nothing asked for", "a move asked for", "rejected", "failed"])
def test_a_file_that_no_mapping_wanted_deleted_when_its_rows_came_in_stays(
    world: World, queue: FaultProxy, archive: str, before: str
) -> None:
    text, state = ROWS, RunState.SUCCEEDED
    match before:
        case "a move asked for":
            world.put_mapping(completeOperation=moving(archive))
        case "rejected":
            text, state = "page\n/home\n/a,/b\n", RunState.PARTIALLY_SUCCEEDED
            world.put_mapping(completeOperation=DELETE)
        case "failed":
            text, state = "page\n/home\n/a,/b\n", RunState.FAILED
            world.put_mapping(completeOperation=DELETE, errorManagement={"errorManagementType": "StopImport"})
    run_id = world.queue(world.upload("a.csv", text))
    assert world.ingest(run_id).state is state
    world.put_mapping(completeOperation=DELETE, errorManagement={"errorManagementType": "StopImport"})
    assert [message for message in asked_for(world, queue) if "complete" in message] == []
    complete_later(world.services, world.hub, run_id)
    assert names(world, world.container) == ["a.csv"]


@pytest.mark.parametrize("since", ["paused", "deleted", "looks elsewhere"])
def test_a_mapping_that_does_not_ask_for_it_any_more_moves_nothing(world: World, archive: str, since: str) -> None:
    world.put_mapping(completeOperation=moving(archive))
    run_id = left(world)
    world.storage.create_container(archive)
    match since:
        case "paused":
            pause_mapping(world.services, world.hub, "Landing", "Visits", Conditions())
        case "deleted":
            world.services.definitions.delete_mapping(world.hub, "Landing", "Visits")
        case _:
            world.put_mapping(completeOperation=moving(archive), fileFilter="other/*.csv")
    complete_later(world.services, world.hub, run_id)
    assert (names(world, world.container), names(world, archive)) == (["a.csv"], [])
