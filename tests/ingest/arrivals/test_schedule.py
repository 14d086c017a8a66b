"""When a container is looked at, and what that costs: by the clock file, on real storage."""

import logging
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.arrivals.reconcile import reconcile, with_next_run
from shared.arrivals.sweep import COMPLETE_EVERY, carry_out_backfill, request_backfill, sweep_by_schedule
from shared.domain.documents.run import RunError, RunState
from shared.messages.ingest import give_up
from shared.storage.account_permits import PERMITS, SOURCE_BUSY, AccountPermits
from shared.storage.tables import Table
from tests.fault_proxy import running_proxy
from tests.ingest.conftest import ROWS, World
from tests.local_services import account_of

NOON = datetime(2026, 11, 22, 12, 7, 30, tzinfo=UTC)


def next_run(world: World) -> datetime | None:
    return with_next_run(world.services, world.hub, [world.mapping])[0].document.next_run_time


def tick(world: World, moment: datetime) -> None:
    world.set_clock(moment)
    reconcile(world.services)
    world.work_off()


def set_up_hourly(world: World) -> None:
    """A mapping made at noon, swept once."""
    world.services.definitions.delete_mapping(world.hub, "Landing", "Visits")
    world.set_clock(NOON)
    world.put_mapping(availability={"interval": 1, "frequency": "Hour"})
    tick(world, NOON)


def test_a_mapping_is_swept_when_it_is_due_and_not_before(world: World) -> None:
    set_up_hourly(world)
    assert next_run(world) == NOON + timedelta(hours=1)
    world.upload("a.csv", ROWS)
    tick(world, NOON + timedelta(minutes=59))
    assert world.states() == {}
    tick(world, NOON + timedelta(minutes=64))
    assert world.states() == {"a.csv": RunState.SUCCEEDED}
    assert next_run(world) == NOON + timedelta(hours=2), "a late tick does not shift those that follow"


def test_without_availability_every_tick_sweeps(world: World) -> None:
    tick(world, NOON)
    world.upload("a.csv", ROWS)
    tick(world, NOON + timedelta(seconds=1))
    assert world.states() == {"a.csv": RunState.SUCCEEDED}
    assert next_run(world) is None


def test_a_changed_definition_is_due_at_once(world: World) -> None:
    set_up_hourly(world)
    world.upload("a.txt", ROWS)
    world.set_clock(NOON + timedelta(minutes=5))
    world.put_mapping(availability={"interval": 1, "frequency": "Hour"}, fileFilter="*.txt")
    assert next_run(world) == NOON + timedelta(minutes=5)
    tick(world, NOON + timedelta(minutes=6))
    assert world.states() == {"a.txt": RunState.SUCCEEDED}


def test_a_sweep_that_failed_is_due_again_at_the_next_tick(world: World) -> None:
    set_up_hourly(world)
    late = NOON + timedelta(hours=1)
    world.storage.delete_container(world.container)
    tick(world, late)
    assert next_run(world) == late
    world.storage.create_container("x" + world.container)
    world.put_mapping(folderPath="x" + world.container, availability={"interval": 1, "frequency": "Hour"})
    tick(world, late + timedelta(minutes=15))
    assert next_run(world) == NOON + timedelta(hours=2)


def test_a_sweep_of_a_busy_account_waits_for_the_next_tick_and_is_no_failure(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    services = world.services
    services.source_permits = AccountPermits(SOURCE_BUSY, patience_s=0)
    account = services.definitions.connectors.source_account(services.definitions.connector(world.hub, "Landing"))
    with ExitStack() as others, caplog.at_level(logging.INFO):
        for _ in range(PERMITS):
            permit = others.enter_context(closing(services.source_permits.permit(account.blob_endpoint, world.hub)))
            others.enter_context(permit.request())
        for _ in range(2):  # the first finds out which account it is, the second need not ask
            tick(world, NOON)
    assert caplog.text.count("sweep waits for the next tick: hub") == 2
    assert "SourceBusy" in caplog.text
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
    world.upload("a.csv", ROWS)
    tick(world, NOON)
    assert world.states() == {"a.csv": RunState.SUCCEEDED}


def test_the_etag_of_a_mapping_stays_when_it_is_swept(world: World) -> None:
    before = world.mapping.etag
    tick(world, NOON)
    assert world.mapping.etag == before


def test_a_tick_reads_no_runs_of_blobs_that_it_has_seen(world: World) -> None:
    """The past of a hub must not make its ticks slower: the requests to the table are counted on their way."""
    for number in range(5):
        world.upload(f"{number}.csv", ROWS)
    tick(world, NOON)
    assert set(world.states().values()) == {RunState.SUCCEEDED}
    services = world.services
    last = services.sweeps.get(world.hub, world.mapping.instance_id)
    assert last is not None
    # As if the blobs had been there for long: what was seen lies behind their dates.
    services.sweeps.save(world.hub, replace(last, seen=last.seen + timedelta(days=1)))
    with running_proxy(world.azurite.table) as proxy:
        services.runs._table = Table(account_of(world.azurite, table=proxy.endpoint), "runs")
        world.set_clock(NOON + timedelta(minutes=15))
        assert sweep_by_schedule(services, world.hub, "Landing", "Visits") == 0
        assert [request.target for request in proxy.requests] == []
        world.set_clock(NOON + COMPLETE_EVERY)
        assert sweep_by_schedule(services, world.hub, "Landing", "Visits") == 0
        assert len(proxy.requests) == 1, "the complete sweep asks once for the states of all runs"


def test_a_blob_with_an_old_date_is_found_by_the_complete_sweep_of_the_day(world: World) -> None:
    tick(world, NOON)
    services = world.services
    last = services.sweeps.get(world.hub, world.mapping.instance_id)
    assert last is not None
    services.sweeps.save(world.hub, replace(last, seen=last.seen + timedelta(days=1)))
    world.upload("renamed.csv", ROWS)  # a day older than what was seen
    tick(world, NOON + COMPLETE_EVERY - timedelta(seconds=1))
    assert world.states() == {}
    last = services.sweeps.get(world.hub, world.mapping.instance_id)
    assert last is not None
    services.sweeps.save(world.hub, replace(last, seen=last.seen + timedelta(days=1)))
    tick(world, NOON + COMPLETE_EVERY)
    assert world.states() == {"renamed.csv": RunState.SUCCEEDED}


def test_a_run_finds_what_a_tick_does_not_look_at(world: World) -> None:
    tick(world, NOON)
    services = world.services
    last = services.sweeps.get(world.hub, world.mapping.instance_id)
    assert last is not None
    services.sweeps.save(world.hub, replace(last, seen=last.seen + timedelta(days=1)))
    world.upload("renamed.csv", ROWS)
    assert sweep_by_schedule(services, world.hub, "Landing", "Visits") == 0
    request_backfill(services, world.mapping)
    world.work_off()
    assert world.states() == {"renamed.csv": RunState.SUCCEEDED}


def test_a_failed_run_is_tried_again_without_a_look_at_its_container(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    world.take(run_id).release(RunError(code="VaultUnavailable", message="the vault does not answer"))
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    failed = world.stored(run_id)
    assert failed.retry_at is not None
    runs = world.services.runs
    assert not any(runs.due_again(world.hub, failed.retry_at))
    (due,) = runs.due_again(world.hub, failed.retry_at + timedelta(seconds=1))
    assert due is not None
    assert due.run.run_id == run_id
    again = runs.save(failed.with_run(state=RunState.QUEUED))
    assert not any(runs.due_again(world.hub, failed.retry_at + timedelta(seconds=1)))
    assert runs.save(again.with_run(state=RunState.FAILED)).retry_at is not None


def test_a_backfill_notes_that_its_container_is_gone(world: World) -> None:
    world.storage.delete_container(world.container)
    backfill = request_backfill(world.services, world.mapping)
    carry_out_backfill(world.services, world.hub, "Landing", "Visits", backfill.number)
    ended = world.services.sweeps.backfill(world.hub, world.mapping.instance_id)
    assert ended is not None
    assert ended.error is not None
    assert ended.error.code == "ContainerNotFound"
