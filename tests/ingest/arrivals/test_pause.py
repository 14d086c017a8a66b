"""A pause loses nothing: events, runs that wait and blobs of old are all ingested after the resume, once."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from shared.arrivals.match import handle_event
from shared.arrivals.pause import pause_mapping, resume_mapping
from shared.arrivals.progress import BackfillState, progress
from shared.arrivals.reconcile import reconcile, with_next_run
from shared.clock import Clock
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.mappings import MappingState
from shared.domain.documents.run import RunError, RunState
from shared.domain.errors import PausedError
from shared.messages.ingest import _requeue, give_up, handle_message
from tests.acceptance.hub import wait_for
from tests.ingest.conftest import MESSAGE, ROWS, World

ANY = Conditions()


class Later(Clock):
    """A machine whose clock goes a day ahead."""

    def machine_now(self) -> datetime:
        return super().machine_now() + timedelta(days=1)


def pause(world: World) -> None:
    assert pause_mapping(world.services, world.hub, "Landing", "Visits", ANY).document.state is MappingState.STOPPED


def resume(world: World) -> None:
    assert resume_mapping(world.services, world.hub, "Landing", "Visits", ANY).document.state is MappingState.READY
    world.work_off()


def announce(world: World, path: str, etag: str) -> list[str]:
    url = f"{world.azurite.blob}/{world.container}/{path}"
    event = {
        "id": path,
        "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/devstoreaccount1",
        "subject": f"/blobServices/default/containers/{world.container}/blobs/{path}",
        "eventType": "Microsoft.Storage.BlobCreated",
        "data": {"api": "PutBlob", "eTag": etag, "contentLength": 10, "url": url, "sequencer": "1"},
    }
    return handle_event(world.services, event)


def test_what_comes_during_a_pause_is_ingested_after_it(world: World) -> None:
    pause(world)
    version = world.upload("a.csv", ROWS)
    assert announce(world, "a.csv", version.etag) == []
    reconcile(world.services)
    world.work_off()
    assert world.states() == {}
    resume(world)
    assert world.states() == {"a.csv": RunState.SUCCEEDED}
    assert world.committed_rows == 3
    version = world.upload("b.csv", ROWS)
    assert len(announce(world, "b.csv", version.etag)) == 1


def test_runs_that_wait_are_put_back_and_carried_out_after_the_resume(world: World) -> None:
    kept = world.queue(world.upload("a.csv", ROWS))
    replaced = world.queue(world.upload("b.csv", ROWS))
    pause(world)
    world.work_off()
    assert (world.run(kept).state, world.run(kept).attempts) == (RunState.QUEUED, 0)
    world.storage.get_blob_client(world.container, "b.csv").delete_blob()
    reconcile(world.services)
    world.work_off()
    assert world.run(kept).state is RunState.QUEUED
    resume(world)
    assert (world.run(kept).state, world.run(kept).attempts) == (RunState.SUCCEEDED, 1)
    assert world.run(replaced).state is RunState.SKIPPED, "no listing finds it any more"
    assert world.committed_rows == 3


def test_a_resume_while_a_run_is_put_back_does_not_leave_it_behind(world: World) -> None:
    """The resume looks for Queued runs while this one is still Running; it is put back after that."""
    run_id = world.queue(world.upload("a.csv", ROWS))
    message = {"hub": world.hub, "connector": "Landing", "runId": run_id}
    pause(world)
    attempt = world.take(run_id)
    resume(world)
    paused = PausedError("MappingPaused", "the mapping is paused")
    attempt.requeue(RunError.of(paused))
    _requeue(world.services, message, 1, paused)

    def is_done() -> bool:
        world.work_off()
        return world.run(run_id).state is RunState.SUCCEEDED

    wait_for(is_done, "the run that was put back")


def test_a_put_keeps_the_pause(world: World) -> None:
    pause(world)
    assert world.put_mapping(fileFilter="*.csv").document.state is MappingState.STOPPED
    resume(world)
    assert world.put_mapping(fileFilter="*.csv").document.state is MappingState.READY


def test_a_paused_mapping_has_no_next_run(world: World) -> None:
    world.put_mapping(availability={"interval": 1, "frequency": "Day"})
    pause(world)
    assert with_next_run(world.services, world.hub, [world.mapping])[0].document.next_run_time is None


@pytest.mark.parametrize("before", [pause, resume], ids=["paused", "ready"])
def test_pausing_and_resuming_again_changes_nothing(world: World, before: Callable[[World], None]) -> None:
    before(world)
    etag = world.mapping.etag
    before(world)
    assert world.mapping.etag == etag


def test_failed_runs_of_a_paused_mapping_wait_too(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    world.take(run_id).release(RunError(code="VaultUnavailable", message="the vault does not answer"))
    give_up(world.services, {"hub": world.hub, "runId": run_id})
    failed = world.stored(run_id)
    pause(world)
    world.services.clock = Later(world.services.settings)
    reconcile(world.services)
    assert world.stored(run_id).etag == failed.etag
    resume(world)
    assert world.run(run_id).state is RunState.SUCCEEDED


def test_progress_tells_a_script_when_a_backfill_is_done(world: World) -> None:
    def state() -> BackfillState:
        return progress(world.services, world.hub, world.mapping).state

    assert state() is BackfillState.DONE
    world.upload("a.csv", ROWS)
    pause(world)
    resume_mapping(world.services, world.hub, "Landing", "Visits", ANY)
    assert state() is BackfillState.SEARCHING
    backfill = world.services.sweeps.backfill(world.hub, world.mapping.instance_id)
    assert backfill is not None
    sweep = {"sweep": True, "hub": world.hub, "connector": "Landing", "mapping": "Visits"}
    handle_message(world.services, {**sweep, "backfill": backfill.number}, MESSAGE)
    found = progress(world.services, world.hub, world.mapping)
    assert (found.state, found.found, found.queued, found.running) == (BackfillState.INGESTING, 1, 1, 0)
    pause(world)
    assert state() is BackfillState.STOPPED
    resume(world)
    assert state() is BackfillState.DONE
    world.storage.delete_container(world.container)
    resume(world)
    found = progress(world.services, world.hub, world.mapping)
    assert found.error is not None
    assert (found.state, found.error.code) == (BackfillState.FAILED, "ContainerNotFound")
