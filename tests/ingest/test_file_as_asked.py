"""What becomes of a file is what its mapping asks for once the rows are in; nothing, once they went with their type."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.run import RunState
from shared.failpoints import FailPoint
from shared.maintain import delete_type
from shared.messages.ingest import carry_out_run
from tests.ingest.conftest import World
from tests.ingest.paused import dying_at, paused

DELETE: dict[str, Any] = {"completeOperation": {"completionOperationType": "DeleteFile"}}
MOVE: dict[str, Any] = {"completeOperation": {"completionOperationType": "MoveFile", "destinationFolder": "elsewhere"}}
ROWS = "page\n/home\n"


def is_there(world: World) -> bool:
    return bool(world.storage.get_blob_client(world.container, "a.csv").exists())


def put_nothing(world: World) -> None:
    world.put_mapping()


def put_move(world: World) -> None:
    world.put_mapping(**MOVE)


def delete_mapping(world: World) -> None:
    world.services.definitions.delete_mapping(world.hub, "Landing", "Visits")


def delete_both(world: World) -> None:
    delete_mapping(world)
    delete_type(world.services, world.hub, EntityKind.INTERACTION, "Visit", Conditions())


@pytest.mark.parametrize(
    ("point", "change"),
    [
        (FailPoint.BATCH_STAGED, put_nothing),
        (FailPoint.ROWS_COMMITTED, put_nothing),
        (FailPoint.ROWS_COMMITTED, put_move),
        (FailPoint.ROWS_COMMITTED, delete_mapping),
        (FailPoint.ROWS_COMMITTED, delete_both),
    ],
)
def test_what_changes_while_a_file_is_read_counts(
    world: World, point: FailPoint, change: Callable[[World], None]
) -> None:
    world.put_mapping(**DELETE)
    run_id = world.queue(world.upload("a.csv", ROWS))
    with paused(lambda: carry_out_run(world.services, world.hub, run_id, "message-1"), point) as attempt:
        change(world)
        attempt.end()
    run = world.run(run_id)
    assert run.state is RunState.SUCCEEDED
    assert is_there(world)
    assert "completeOperation" in run.details


def test_another_change_of_the_mapping_does_not_keep_the_file(world: World) -> None:
    world.put_mapping(**DELETE)
    run_id = world.queue(world.upload("a.csv", ROWS))
    with paused(
        lambda: carry_out_run(world.services, world.hub, run_id, "message-1"), FailPoint.BATCH_STAGED
    ) as attempt:
        world.put_mapping(**DELETE, fileFilter="*.csv")
        attempt.end()
    assert world.run(run_id).details == {}
    assert not is_there(world)


@pytest.mark.parametrize(
    ("before", "after", "stays"), [({}, DELETE, True), (DELETE, MOVE, True), (DELETE, DELETE, False)]
)
def test_what_a_mapping_asks_for_after_a_worker_died_does_not_count(
    world: World, before: dict[str, Any], after: dict[str, Any], stays: bool
) -> None:
    """The rows came in while the file was to stay, or to be deleted."""
    world.put_mapping(**before)
    run_id = world.queue(world.upload("a.csv", ROWS))
    with dying_at(FailPoint.ROWS_COMMITTED):
        world.ingest(run_id)
    world.put_mapping(**after)
    run = world.ingest(run_id)
    assert (run.state, world.committed_rows) == (RunState.SUCCEEDED, 1)
    assert is_there(world) is stays
    assert ("completeOperation" in run.details) is (before != after and before != {})
