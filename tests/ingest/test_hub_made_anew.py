"""A hub goes, and another of its name comes, while something is at work: it neither sees nor keeps what was."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from shared.arrivals.match import new_run, queue_version
from shared.arrivals.sweep import carry_out_backfill, request_backfill
from shared.definitions.mappings import HUB_INSTANCE
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.correction import digest_of
from shared.domain.documents.run import RunState
from shared.domain.errors import NotFoundError
from shared.domain.own_names import correction_path, run_files_of
from shared.failpoints import FailPoint, arm
from shared.hub_records import delete_hub
from shared.messages.ingest import carry_out_run, handle_message
from shared.repair.request_correction import request_correction
from tests.ingest.conftest import World
from tests.ingest.paused import paused
from tests.thorough import only_thorough

# A row with a quote that nobody closes is refused.
SOME_REFUSED = 'page\n/home\n"x"y\n'


def files(world: World) -> list[str]:
    return [file.path for file in world.services.run_files.list(run_files_of(world.hub))]


def runs(world: World) -> list[str]:
    return [run.run_id for run in world.services.runs.page(world.hub, top=1000)[0]]


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    for point in FailPoint:
        arm(point, lambda: None)


def test_the_same_blob_is_ingested_anew_by_the_same_mapping(world: World) -> None:
    version = world.upload("a.csv", SOME_REFUSED)
    first = world.queue(version)
    world.ingest(first)
    assert files(world)
    world.make_anew()
    assert (runs(world), files(world)) == ([], [])
    second = world.queue(version)
    assert second != first
    run = world.ingest(second)
    assert (run.state, run.rows_ingested, run.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 1, 1)
    assert world.committed_rows == 1
    assert runs(world) == [second]
    assert all(path.startswith(run_files_of(world.hub, second)) for path in files(world))


@pytest.mark.parametrize(
    "point",
    [
        FailPoint.RUN_CLAIMED,
        pytest.param(FailPoint.BATCH_STAGED, marks=only_thorough),
        FailPoint.REJECTS_STORED,
        pytest.param(FailPoint.COUNTS_NOTED, marks=only_thorough),
        pytest.param(FailPoint.CLAIM_CHECKED, marks=only_thorough),
        FailPoint.ROWS_COMMITTED,
    ],
)
def test_an_attempt_that_is_under_way_ends_and_leaves_nothing(world: World, point: FailPoint) -> None:
    run_id = world.queue(world.upload("a.csv", SOME_REFUSED))
    with paused(lambda: carry_out_run(world.services, world.hub, run_id, "message-1"), point) as attempt:
        world.make_anew()
        attempt.end()
    assert (runs(world), files(world), world.committed_rows) == ([], [], 0)


def test_a_correction_that_is_under_way_ends_and_leaves_nothing(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", SOME_REFUSED))
    world.ingest(run_id)
    rows = b"line,page\n3,/x\n"

    def correct() -> None:
        with pytest.raises(NotFoundError):
            request_correction(world.services, world.hub, run_id, rows, None)

    with paused(correct, FailPoint.CORRECTION_STORED) as correction:
        world.make_anew()
        world.services.run_files.upload_bytes(correction_path(world.hub, run_id, digest_of(rows)), rows)
        correction.end()
    assert (runs(world), files(world)) == ([], [])


@pytest.mark.parametrize("is_made_anew", [True, False])
def test_an_event_that_was_looked_at_before_leaves_no_run_behind(world: World, *, is_made_anew: bool) -> None:
    earlier, version = world.mapping, world.upload("a.csv", SOME_REFUSED)
    world.empty()
    delete_hub(world.services, world.hub, Conditions())
    if is_made_anew:
        world.define()
    late = new_run(world.services, world.hub, earlier, version)
    run_id = late.run.run_id
    assert world.services.runs.create(late)
    handle_message(world.services, {"hub": world.hub, "connector": "Landing", "runId": run_id}, "message-1")
    assert (runs(world), files(world)) == ([], [])
    assert world.services.runs.get(world.hub, run_id) is None
    assert world.services.runs.open_counts(world.hub, earlier.instance_id)[0].total() == 0


def test_an_event_for_a_mapping_of_an_earlier_release_leaves_no_run_behind(world: World) -> None:
    stored, version = world.mapping, world.upload("a.csv", SOME_REFUSED)
    facts = {name: fact for name, fact in stored.internal.items() if name != HUB_INSTANCE}
    world.make_anew()
    run_id = queue_version(world.services, world.hub, replace(stored, internal=facts), version)
    assert runs(world) == []
    assert world.services.runs.get(world.hub, run_id) is None


def test_a_run_whose_mapping_alone_is_gone_says_so(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", SOME_REFUSED))
    world.services.definitions.delete_mapping(world.hub, "Landing", "Visits")
    run = world.ingest(run_id)
    assert (run.state, run.error.code if run.error else "") == (RunState.SKIPPED, "MappingGone")


def test_a_message_of_the_earlier_hub_does_nothing(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", SOME_REFUSED))
    world.make_anew()
    handle_message(world.services, {"hub": world.hub, "connector": "Landing", "runId": run_id}, "message-1")
    assert (runs(world), files(world)) == ([], [])


def test_a_sweep_that_is_under_way_leaves_no_run_behind(world: World) -> None:
    for number in range(4):
        world.upload(f"{number}.csv", SOME_REFUSED)
    backfill = request_backfill(world.services, world.mapping)
    work = partial(carry_out_backfill, world.services, world.hub, "Landing", "Visits", backfill.number)
    with paused(work, FailPoint.RUN_QUEUED) as sweep:
        world.make_anew()
        sweep.end()
        assert runs(world) == []
