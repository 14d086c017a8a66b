"""Definitions that change while a run is under way: it ends with those that it began with, or brings nothing."""

from collections.abc import Callable

import pytest

from shared.domain.documents.entity_types import InteractionType
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import RunState
from shared.domain.errors import SupersededError, UnavailableError
from shared.failpoints import FailPoint, arm
from shared.ingest.ingest_blob import ingest
from shared.ingest.outcome import Outcome
from shared.lake.log.tables import open_snapshot
from shared.messages.ingest import give_up
from tests.ingest.conftest import ROWS, World, mapping_body

MEANWHILE = FailPoint.PARTS_UPLOADED
FIELDS = [{"fieldName": name, "fieldType": "Edm.String"} for name in ("Page", "Referrer")]


def replace_mapping(world: World) -> None:
    world.put_mapping(structure=[{"propertyName": "Page", "columnName": "address"}], fileFilter="*.txt")


def pause_mapping(world: World) -> None:
    world.services.definitions.pause_mapping(world.hub, "Landing", "Visits", paused=True)


def delete_mapping(world: World) -> None:
    world.services.definitions.delete_mapping(world.hub, "Landing", "Visits")


def make_mapping_anew(world: World) -> None:
    delete_mapping(world)
    world.put_mapping()


def delete_connector(world: World) -> None:
    world.services.definitions.connectors.delete(world.hub, "Landing")


def add_field(world: World) -> None:
    world.services.definitions.put_entity_type(world.hub, "Visit", InteractionType.from_request({"fields": FIELDS}))


@pytest.mark.parametrize(
    ("change", "state", "code", "rows"),
    [
        (replace_mapping, RunState.SUCCEEDED, None, 3),
        (pause_mapping, RunState.SUCCEEDED, None, 3),
        (add_field, RunState.SUCCEEDED, None, 3),
        (delete_mapping, RunState.SKIPPED, "MappingGone", 0),
        (make_mapping_anew, RunState.SKIPPED, "MappingGone", 0),
        (delete_connector, RunState.SKIPPED, "MappingGone", 0),
    ],
)
def test_a_change_between_staging_and_commit(
    world: World, change: Callable[[World], None], state: RunState, code: str | None, rows: int
) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    arm(MEANWHILE, lambda: change(world))
    run = world.ingest(run_id)
    assert (run.state, run.error.code if run.error else None, run.rows_ingested) == (state, code, rows)
    assert world.committed_rows == rows


def retarget_mapping(world: World) -> None:
    fields = {"fields": [{"fieldName": "Page", "fieldType": "Edm.String"}]}
    world.services.definitions.put_entity_type(world.hub, "Other", InteractionType.from_request(fields))
    body = {**mapping_body(world.container), "entityTypeName": "Other"}
    world.services.definitions.put_mapping(world.hub, "Landing", "Visits", Mapping.from_request(body))


def rows_of_other(world: World) -> int:
    other = world.services.definitions.type_named(world.hub, "Other").document
    snapshot = open_snapshot(world.services.lake, world.services.changes(other).table)
    return sum(file.rows for file in snapshot.files) if snapshot else 0


@pytest.mark.parametrize("ends", [True, False], ids=["ended", "given-up"])
def test_a_run_says_which_type_its_rows_are_of(world: World, ends: bool) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    retarget_mapping(world)
    if ends:
        world.ingest(run_id)
    else:
        ingest(world.services, world.take(run_id))  # the worker ends before it records the outcome
        give_up(world.services, {"hub": world.hub, "runId": run_id})
    run = world.run(run_id)
    assert (run.state, run.entity_type_name, run.rows_ingested) == (RunState.SUCCEEDED, "Other", 3)
    assert (world.committed_rows, rows_of_other(world)) == (0, 3)


@pytest.mark.parametrize("point", [FailPoint.COUNTS_NOTED, FailPoint.ROWS_COMMITTED])
def test_a_run_whose_rows_are_noted_keeps_its_type(world: World, point: FailPoint) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))

    def die() -> None:
        arm(point, lambda: None)
        retarget_mapping(world)
        raise UnavailableError("StorageUnavailable", "it does not answer")

    arm(point, die)
    with pytest.raises(UnavailableError):
        world.ingest(run_id)
    run = world.ingest(run_id)
    assert (run.state, run.entity_type_name, run.rows_ingested) == (RunState.SUCCEEDED, "Visit", 3)
    assert (world.committed_rows, rows_of_other(world)) == (3, 0)


@pytest.mark.parametrize("point", [MEANWHILE, FailPoint.COUNTS_NOTED])
@pytest.mark.parametrize("far", ["overwritten", "overwritten and ingested", "deleted"])
def test_a_blob_that_changes_between_staging_and_commit(world: World, point: FailPoint, far: str) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))

    def change() -> None:
        arm(point, lambda: None)
        if far == "deleted":
            world.storage.get_blob_client(world.container, "a.csv").delete_blob()
            return
        newer = world.queue(world.upload("a.csv", "page\n/other\n"))
        if far == "overwritten and ingested":
            assert world.ingest(newer, "message-2").rows_ingested == 1

    arm(point, change)
    run = world.ingest(run_id)
    expected = (RunState.SKIPPED, "BlobGone") if far == "deleted" else (RunState.SUPERSEDED, "BlobOverwritten")
    assert (run.state, run.error.code if run.error else None) == expected
    assert world.committed_rows == (1 if far == "overwritten and ingested" else 0)


def test_a_version_that_is_overwritten_before_its_commit_is_fenced(world: World) -> None:
    """A worker that was paused after its last look at the blob finds the newer version in the log."""
    old = world.queue(world.upload("a.csv", ROWS))
    paused = world.take(old)
    changes = world.services.changes(world.visit)
    place = paused.position(5)
    number = paused.note_staged(Outcome.of_rows(3, 0, len(ROWS), {}), place, world.visit)
    newer = world.queue(world.upload("a.csv", "page\n/other\n"))
    assert world.ingest(newer, "message-2").rows_ingested == 1
    with pytest.raises(SupersededError):
        changes.commit(changes.upload([], old), paused.ledger_key, number)
    assert world.committed_rows == 1


@pytest.mark.parametrize(
    ("text", "state", "code", "rows"),
    [
        ("page,campaign\n/home,spring\n", RunState.SUCCEEDED, None, 1),
        ("campaign,page\nspring,/home\n", RunState.SUCCEEDED, None, 1),
        ("campaign\nspring\n", RunState.FAILED, "MissingColumns", 0),
        ("page,page\n/home,/help\n", RunState.FAILED, "DuplicateColumn", 0),
    ],
    ids=["column-added", "columns-in-another-order", "column-dropped", "column-doubled"],
)
def test_a_file_whose_columns_changed(world: World, text: str, state: RunState, code: str | None, rows: int) -> None:
    assert world.ingest(world.queue(world.upload("a.csv", ROWS))).state is RunState.SUCCEEDED
    run = world.ingest(world.queue(world.upload("b.csv", text)))
    assert (run.state, run.error.code if run.error else None, run.rows_ingested) == (state, code, rows)
    assert run.details.get("ignoredColumns") == (["campaign"] if rows else None)
    assert world.committed_rows == 3 + rows
