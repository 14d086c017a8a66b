"""A file that several mappings of a hub read is moved or deleted when the last of them has ingested it."""

from typing import Any

import pytest
from pydantic import SecretStr

from shared import failpoints
from shared.app import Services
from shared.arrivals.match import queue_version
from shared.arrivals.pause import pause_mapping, resume_mapping
from shared.connectors.kinds import connector_from_request
from shared.definitions.store.definition_store import Conditions
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.run import Run, RunError, RunState
from shared.failpoints import FailPoint
from shared.ingest.complete_later import complete_later
from shared.messages.ingest import carry_out_run, give_up, handle_message
from shared.storage.tables import ETAG
from tests.definitions.places.claims import damage
from tests.fault_proxy import FaultProxy, running_proxy
from tests.ingest.arrivals.sweeping import take_sent
from tests.ingest.conftest import ROWS, World
from tests.ingest.paused import dying_at
from tests.ingest.test_complete_later import DELETE, moving, names
from tests.local_services import STORAGE_SECRET, development

WAITS = "the file waits for the mapping 'Keep', which reads it too and has not ingested it"


@pytest.fixture(autouse=True)
def mappings(world: World) -> None:
    """One that deletes its files, and another of the same folder that leaves them."""
    world.put_mapping(completeOperation=DELETE)
    world.put_mapping("Keep")


def queue_run(world: World, version: BlobVersion, mapping: str, connector: str = "Landing") -> str:
    found = world.services.definitions.mapping(world.hub, connector, mapping)
    return queue_version(world.services, world.hub, found, version)


def ingest(world: World, version: BlobVersion, mapping: str, connector: str = "Landing") -> Run:
    run_id = queue_run(world, version, mapping, connector)
    carry_out_run(world.services, world.hub, run_id, mapping)
    return world.run(run_id)


def behind(world: World, tables: FaultProxy) -> Services:
    """The services of a process that asks for tables by way of a proxy."""
    text = world.azurite.connection_string.replace(world.azurite.table, tables.endpoint)
    settings = development(world.azurite, world.vault.url)
    return Services(settings.model_copy(update={"hub_storage": SecretStr(text)}))


def asked_for(world: World, queue: FaultProxy) -> list[str]:
    """The runs whose files are to be moved or deleted."""
    return [message["runId"] for message in take_sent(world, queue) if "complete" in message]


def test_whoever_comes_first_both_have_the_rows_and_the_file_goes(world: World) -> None:
    first = world.upload("first.csv", ROWS)
    run = ingest(world, first, "Visits")
    assert (run.state, run.details["completeOperation"]) == (RunState.SUCCEEDED, WAITS)
    assert ingest(world, first, "Keep").state is RunState.SUCCEEDED
    second = world.upload("second.csv", ROWS)
    assert ingest(world, second, "Keep").state is RunState.SUCCEEDED
    assert ingest(world, second, "Visits").details == {}
    assert names(world, world.container) == ["first.csv"], "until its message is carried out"
    world.work_off()
    assert names(world, world.container) == []
    assert (world.run(run.run_id).details, world.committed_rows) == ({}, 12)


def test_a_pause_loses_nothing_to_another_mapping(world: World) -> None:
    pause_mapping(world.services, world.hub, "Landing", "Keep", Conditions())
    run = ingest(world, world.upload("a.csv", ROWS), "Visits")
    assert run.details["completeOperation"] == WAITS
    resume_mapping(world.services, world.hub, "Landing", "Keep", Conditions())
    world.work_off()
    assert world.states("Keep") == {"a.csv": RunState.SUCCEEDED}
    assert names(world, world.container) == []


def test_two_that_delete_do_not_wait_for_each_other(world: World, queue: FaultProxy) -> None:
    world.put_mapping("Keep", completeOperation=DELETE)
    version = world.upload("a.csv", ROWS)
    first = ingest(world, version, "Visits")
    asked_for(world, queue)
    assert ingest(world, version, "Keep").details == {}
    assert names(world, world.container) == []
    assert asked_for(world, queue) == [first.run_id]


@pytest.mark.parametrize("changed", ["Landing", "Second"])
def test_a_connector_whose_account_is_not_found_yet_may_read_the_same_file(world: World, changed: str) -> None:
    """The request that PUT it with another secret has died before it looked which account that names."""
    world.services.definitions.delete_mapping(world.hub, "Landing", "Keep")
    for connector in ("Landing", "Second"):
        world.put_connector(connector, world.azurite.connection_string)
    world.put_mapping("Keep", "Second")
    url = f"{world.vault.url}/secrets/{STORAGE_SECRET}"
    body = {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": url}}
    with dying_at(FailPoint.CONNECTOR_STORED):
        world.services.definitions.connectors.put(world.hub, changed, connector_from_request(body))
    version = world.upload("a.csv", ROWS)
    assert ingest(world, version, "Visits").details == {"completeOperation": WAITS}
    assert ingest(world, version, "Keep", "Second").state is RunState.SUCCEEDED
    world.work_off()
    assert names(world, world.container) == []


def test_a_mapping_that_this_release_cannot_read_keeps_its_files(world: World) -> None:
    definitions, key = world.services.definitions, "mapping|landing|keep"
    before = definitions._store.noted(world.hub, key)
    damage(definitions, world.hub, key)
    version = world.upload("a.csv", ROWS)
    run = ingest(world, version, "Visits")
    reason = "the file waits for the mapping 'landing/keep', which this release cannot read and which may read it too"
    assert run.details == {"completeOperation": reason}
    complete_later(world.services, world.hub, run.run_id)
    assert (world.run(run.run_id), names(world, world.container)) == (run, ["a.csv"])
    assert before is not None
    definitions._store.change(world.hub, lambda change: change.note(key, {**before, ETAG: ""}))
    assert ingest(world, version, "Keep").state is RunState.SUCCEEDED
    world.work_off()
    assert names(world, world.container) == []


@pytest.mark.parametrize("since", ["ended", "made", "made after the commit", "made, of a file without rows"])
def test_what_happens_to_the_other_meanwhile_is_seen(
    world: World, queue: FaultProxy, since: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other mapping's run ends just after it was waited for, or the mapping is made while the blob is ingested."""
    version = world.upload("a.csv", "page\n" if since == "made, of a file without rows" else ROWS)
    if since != "ended":
        made_at = FailPoint.ROWS_COMMITTED if since == "made after the commit" else FailPoint.COUNTS_NOTED
        world.services.definitions.delete_mapping(world.hub, "Landing", "Keep")
        monkeypatch.setitem(failpoints._armed, made_at, lambda: world.put_mapping("Keep") and None)
    else:

        def end() -> None:
            monkeypatch.undo()
            ingest(world, version, "Keep")

        monkeypatch.setitem(failpoints._armed, FailPoint.BLOB_COMPLETED, end)
    run = ingest(world, version, "Visits")
    assert run.details["completeOperation"] == WAITS
    assert asked_for(world, queue) == ([run.run_id] if since == "ended" else [])


@pytest.mark.parametrize("reason", ["VaultUnavailable", "WorkerLost", "data"])
def test_a_run_that_failed_and_may_be_mended_needs_its_file(world: World, reason: str) -> None:
    version = world.upload("a.csv", ROWS)
    if reason == "data":
        column = {"propertyName": "Page", "columnName": "there is none"}
        world.put_mapping("Keep", structure=[column])
        assert ingest(world, version, "Keep").state is RunState.FAILED
    else:
        run_id = queue_run(world, version, "Keep")
        world.take(run_id).release(RunError(code=reason, message="it was so"))
        give_up(world.services, {"hub": world.hub, "runId": run_id})
        assert world.run(run_id).state is RunState.FAILED
    assert ingest(world, version, "Visits").details == {"completeOperation": WAITS}
    assert names(world, world.container) == ["a.csv"]


@pytest.mark.parametrize("other", [{"fileFilter": "b*.csv"}, {"folderPath": "other"}])
def test_nobody_waits_for_a_mapping_of_other_files(world: World, other: dict[str, Any]) -> None:
    world.put_mapping("Keep", **other)
    assert ingest(world, world.upload("a.csv", ROWS), "Visits").details == {}
    assert names(world, world.container) == []


def test_mappings_of_other_files_cost_no_request_to_the_tables(world: World) -> None:
    with running_proxy(world.azurite.table) as proxy:
        services = behind(world, proxy)

        def requests() -> int:
            for path in ("first.csv", "again.csv"):  # the first one learns the definitions
                run_id = world.queue(world.upload(path, ROWS))
                before = len(proxy.requests)
                carry_out_run(services, world.hub, run_id, path)
                assert world.run(run_id).state is RunState.SUCCEEDED
            return len(proxy.requests) - before

        world.put_mapping("Keep", folderPath="other")
        with_others = requests()
        world.services.definitions.delete_mapping(world.hub, "Landing", "Keep")
        assert requests() == with_others


@pytest.mark.parametrize("last", ["deletes", "keeps"])
def test_many_that_delete_ask_and_look_for_each_other_no_more_than_once_each(
    world: World, queue: FaultProxy, last: str
) -> None:
    """With six of them a look of each at all others, or a message of each to all before it, would be far more."""
    world.services.definitions.delete_mapping(world.hub, "Landing", "Visits")
    deleting = [f"Delete{number}" for number in range(6 if last == "deletes" else 5)]
    for name in deleting:
        world.put_mapping(name, completeOperation=DELETE)
    if last == "deletes":
        world.services.definitions.delete_mapping(world.hub, "Landing", "Keep")
    all_six = [*deleting, "Keep"][:6]
    version = world.upload("a.csv", ROWS)
    run_ids = [queue_run(world, version, name) for name in all_six]
    take_sent(world, queue)
    with running_proxy(world.azurite.table) as proxy:
        services = behind(world, proxy)
        services.ingest_queue = world.services.ingest_queue
        for run_id in run_ids:
            carry_out_run(services, world.hub, run_id, run_id)
        asked = take_sent(world, queue)
        for message in asked:
            handle_message(services, message, message["runId"])
        reads = [one for one in proxy.requests if one.method == "GET" and "run%7C" in one.target]
    assert sorted(message["runId"] for message in asked) == sorted(run_ids[:5])
    assert len(reads) <= 8 * len(all_six), "two of them for the run itself"
    assert [world.run(run_id).details for run_id in run_ids] == [{}] * 6
    assert names(world, world.container) == []


@pytest.mark.parametrize("first", ["moves", "deletes"])
def test_where_one_cannot_move_the_file_another_deletes_it(world: World, queue: FaultProxy, first: str) -> None:
    world.put_mapping("Move", completeOperation=moving(f"{world.container}-none"))
    version = world.upload("a.csv", ROWS)
    run_ids = [ingest(world, version, name).run_id for name in ("Visits", "Move", "Keep")]
    messages = [message for message in take_sent(world, queue) if "complete" in message]
    assert {message["runId"] for message in messages} == set(run_ids[:2])
    for message in sorted(messages, key=lambda message: (message["runId"] == run_ids[1]) is not (first == "moves")):
        handle_message(world.services, message, message["runId"])
    assert names(world, world.container) == []
    assert [world.stored(run_id).owes for run_id in run_ids] == [None] * 3
    assert [world.run(run_id).details for run_id in run_ids] == [{}] * 3
