"""A file whose rows are in and that could not be moved or deleted then is so by a later sweep: it alone, and once."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from azure.storage.blob import BlobLeaseClient

from shared.arrivals.pause import pause_mapping
from shared.arrivals.sweep import carry_out_backfill, request_backfill, sweep_by_schedule
from shared.definitions.store.definition_store import Conditions
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.entity_types import EntityKind, InteractionType
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import RunError, RunState
from shared.failpoints import FailPoint
from shared.ingest import complete_later as later
from shared.ingest.complete_later import complete_later
from shared.ingest.ingest_blob import ingest
from shared.ingest.source import MOVES
from shared.ledger.runs import Runs
from shared.maintain import delete_type
from shared.messages.ingest import give_up, handle_message
from shared.storage.tables import Table
from tests.fault_proxy import FaultProxy, Request, running_proxy
from tests.ingest.arrivals.sweeping import Later, take_sent
from tests.ingest.conftest import MESSAGE, ROWS, World, mapping_body
from tests.ingest.paused import dying_at
from tests.local_services import account_of

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
    handle_message(world.services, message, MESSAGE)
    assert archive in world.run(run_id).details["completeOperation"], "it is not there yet"
    world.storage.create_container(archive)
    (message,) = asked_for(world, queue)
    before = world.run(run_id)
    for _ in range(2):  # a message may come twice
        handle_message(world.services, message, MESSAGE)
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
    ingest(world.services, attempt)
    attempt.release(RunError(code="VaultUnavailable", message=DENIED))
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    assert world.run(run_id).details["completeOperation"] == DENIED
    world.storage.create_container(archive)
    (message,) = asked_for(world, queue)
    handle_message(world.services, message, MESSAGE)
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


def test_whatever_asks_and_however_often_one_message_is_under_way(
    world: World, queue: FaultProxy, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put_mapping(completeOperation=moving(archive))
    run_ids = [left(world, path) for path in ("a.csv", "b.csv", "c.csv")]
    (message,) = asked_for(world, queue)
    assert asked_for(world, queue) == []
    assert sweep_by_schedule(world.services, world.hub, "Landing", "Visits") == 0
    assert take_sent(world, queue) == []
    before = [world.stored(run_id).changed for run_id in run_ids]
    for _ in range(2):
        handle_message(world.services, message, MESSAGE)
    assert take_sent(world, queue) == [], "none of the others can be moved either"
    # What it says is what the run says already.
    assert [world.stored(run_id).changed for run_id in run_ids] == before
    world.storage.create_container(archive)
    monkeypatch.setattr(later, "_AT_ONCE", 2)
    assert sweep_by_schedule(world.services, world.hub, "Landing", "Visits") == 0
    (message,) = take_sent(world, queue)
    handle_message(world.services, message, MESSAGE)
    assert len(names(world, archive)) == 2
    assert asked_for(world, queue) == [], "the rest is under way"
    handle_message(world.services, message, MESSAGE)
    assert (names(world, world.container), len(names(world, archive))) == ([], 3)


def ingest_leased(world: World, *paths: str) -> list[BlobLeaseClient]:
    """Ingests files that cannot be deleted until their leases are released."""
    leases = []
    for path in paths:
        version = world.upload(path, ROWS)
        leases.append(world.storage.get_blob_client(world.container, path).acquire_lease())
        world.ingest(world.queue(version), path)
    return leases


def test_files_that_stay_each_for_a_reason_of_its_own_keep_no_other_and_end_the_work(
    world: World, queue: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put_mapping(completeOperation=DELETE)
    leases = ingest_leased(world, "a.csv", "b.csv", "c.csv")
    leases[2].release()
    (message,) = asked_for(world, queue)
    handle_message(world.services, message, MESSAGE)
    assert names(world, world.container) == ["a.csv", "b.csv"]
    monkeypatch.setattr(later, "_REFUSED", 1)
    monkeypatch.setattr(later, "_AT_ONCE", 1)
    (message,) = asked_for(world, queue)
    handle_message(world.services, message, MESSAGE)
    assert take_sent(world, queue) == [], "the next sweep asks again"
    leases[0].release()
    leases[1].release()
    monkeypatch.undo()
    (message,) = asked_for(world, queue)
    handle_message(world.services, message, MESSAGE)
    assert names(world, world.container) == []


def test_what_a_message_left_the_next_goes_on_with_and_tries_no_file_twice(
    world: World, queue: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put_mapping(completeOperation=DELETE)
    leases = ingest_leased(world, "a.csv", "b.csv", "c.csv")
    leases[1].release()
    monkeypatch.setattr(later, "_AT_ONCE", 1)
    (message,) = asked_for(world, queue)
    messages = [{name: value for name, value in message.items() if name != "place"}]  # as an earlier release sent it
    refused = []
    while messages:
        (message,) = messages
        refused.append(message["refused"])
        handle_message(world.services, message, MESSAGE)
        messages = take_sent(world, queue)
    assert names(world, world.container) == ["a.csv", "c.csv"]
    assert len(refused) <= 4, "one each, and maybe one to see that there are no more"
    assert refused[2] >= 1


def test_the_time_of_a_message_counts_from_its_beginning(world: World, queue: FaultProxy, archive: str) -> None:
    world.put_mapping(completeOperation=moving(archive))
    for path in ("a.csv", "b.csv"):
        left(world, path)
    world.storage.create_container(archive)
    messages = asked_for(world, queue)
    clock = world.services.clock = Later(world.services.settings)

    def pass_time(request: Request) -> None:
        if "owes" in request.target:
            clock.ahead += timedelta(minutes=1)

    with running_proxy(world.azurite.table) as table:
        world.services.runs = Runs(Table(account_of(world.azurite, table=table.endpoint), "runs"), clock)
        table.plan = pass_time
        moved = [0]
        while messages:
            handle_message(world.services, messages[0], MESSAGE)
            moved.append(len(names(world, archive)))
            messages = take_sent(world, queue)
    assert [*dict.fromkeys(moved)] == [0, 1, 2], "one at most for each search"


def test_where_the_queue_is_hours_long_the_first_message_works_and_no_other(
    world: World, queue: FaultProxy, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put_mapping(completeOperation=moving(archive))
    for path in ("a.csv", "b.csv", "c.csv"):
        left(world, path)
    world.storage.create_container(archive)
    monkeypatch.setattr(later, "_AT_ONCE", 1)
    (first,) = asked_for(world, queue)
    clock = world.services.clock = Later(world.services.settings)
    clock.ahead += timedelta(hours=2)
    (second,) = asked_for(world, queue)
    handle_message(world.services, first, MESSAGE)
    (rest,) = take_sent(world, queue)
    handle_message(world.services, second, "another message")
    assert (len(names(world, archive)), take_sent(world, queue)) == (1, []), "one is under way"
    clock.ahead += timedelta(hours=2)
    (third,) = asked_for(world, queue)
    handle_message(world.services, rest, MESSAGE)
    (rest,) = take_sent(world, queue)
    handle_message(world.services, third, "a third message")
    assert (len(names(world, archive)), take_sent(world, queue)) == (2, [])
    handle_message(world.services, rest, MESSAGE)
    assert names(world, world.container) == []


def test_another_version_than_the_one_whose_rows_are_in_stays(world: World, queue: FaultProxy, archive: str) -> None:
    world.put_mapping(completeOperation=moving(archive))
    run_id = left(world)
    (message,) = asked_for(world, queue)
    world.storage.create_container(archive)
    newer = world.upload("a.csv", "page\n/other\n")
    handle_message(world.services, message, MESSAGE)
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


def put_type(world: World, name: str) -> None:
    fields = [{"fieldName": "Page", "fieldType": "Edm.String"}]
    world.services.definitions.put_entity_type(world.hub, name, InteractionType.from_request({"fields": fields}))


def fill(world: World, name: str) -> None:
    """Has the mapping fill a type, and ask for the deletion of its files."""
    body = mapping_body(world.container, completeOperation=DELETE) | {"entityTypeName": name}
    world.services.definitions.put_mapping(world.hub, "Landing", "Visits", Mapping.from_request(body))


def delete_visit(world: World) -> None:
    delete_type(world.services, world.hub, EntityKind.INTERACTION, "Visit", Conditions())


def lose_the_type(world: World, how: str) -> None:
    """Takes the type Visit from the mapping, which deletes its files as before."""
    put_type(world, "Other")
    fill(world, "Other")
    if how in {"deleted", "made anew"}:
        delete_visit(world)
    if how == "made anew":
        put_type(world, "Visit")
        fill(world, "Visit")


@pytest.mark.parametrize("how", ["not filled any more", "deleted", "made anew"])
def test_a_file_whose_rows_are_not_what_the_mapping_fills_stays(world: World, how: str) -> None:
    fill(world, "Visit")
    version = world.upload("a.csv", ROWS)
    lease = world.storage.get_blob_client(world.container, "a.csv").acquire_lease()
    run_id = world.queue(version)
    assert "completeOperation" in world.ingest(run_id).details
    lose_the_type(world, how)
    lease.release()
    complete_later(world.services, world.hub, run_id)
    assert names(world, world.container) == ["a.csv"]
    assert "the file stays where it is" in world.run(run_id).details["completeOperation"]
    assert (world.stored(run_id).owes is None) is (how != "not filled any more"), "they come back in the one case only"
    if how == "not filled any more":
        fill(world, "Visit")
        complete_later(world.services, world.hub, run_id)
        assert names(world, world.container) == []


@pytest.mark.parametrize("text", [ROWS, "page\n"])
@pytest.mark.parametrize("how", ["not filled any more", "made anew"])
def test_so_does_one_whose_worker_died_before_that(world: World, how: str, text: str) -> None:
    fill(world, "Visit")
    run_id = world.queue(world.upload("a.csv", text))
    died_at = FailPoint.ROWS_COMMITTED if text == ROWS else FailPoint.COUNTS_NOTED
    with dying_at(died_at):
        world.ingest(run_id)
    lose_the_type(world, how)
    run = world.ingest(run_id)
    is_in_anew = text == ROWS and how == "made anew"
    assert names(world, world.container) == ([] if is_in_anew else ["a.csv"])
    assert (run.state, world.committed_rows) == (RunState.SUCCEEDED, 3 if text == ROWS else 0)


@pytest.mark.parametrize(("moves", "stays"), [("7", False), ("8", True), ("x", False)])
def test_a_file_that_goes_round_in_a_circle_stays_at_last(world: World, moves: str, stays: bool) -> None:
    """Two mappings that move their files to each other's folder would keep all hubs waiting for ever."""
    world.storage.create_container(archive := f"c{uuid.uuid4().hex}")
    world.put_mapping(completeOperation=moving(archive))
    blob = world.storage.get_blob_client(world.container, "a.csv")
    etag = str(blob.upload_blob(ROWS, metadata={MOVES: moves, "owner": "shop"})["etag"]).strip('"')
    run = world.ingest(world.queue(BlobVersion(world.container, "a.csv", etag, len(ROWS))))
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 3)
    assert ("8 times" in run.details.get("completeOperation", "")) is stays
    assert world.stored(run.run_id).owes is None
    assert names(world, world.container) == (["a.csv"] if stays else [])
    if not stays:
        moved = world.storage.get_blob_client(archive, "done/a.csv").get_blob_properties()
        assert moved.metadata == {MOVES: "1" if moves == "x" else "8", "owner": "shop"}
