"""Blobs that change, wait, are no files or cannot be read: what their runs say, and that no row comes in by halves."""

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import permutations

import pytest
from azure.storage.blob import StandardBlobTier

from shared.arrivals.reconcile import reconcile
from shared.arrivals.sweep import request_backfill
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.run import Run, RunState
from shared.domain.errors import DeferredError, TransientError
from shared.messages.ingest import carry_out_run
from shared.storage.account_permits import SOURCE_BUSY, AccountPermits
from shared.storage.clients import BLOCK_BYTES
from tests.fault_proxy import Answer, ChangeAnswer, CutAnswer, Fault, Request
from tests.ingest.conftest import MESSAGE, ROWS, Proxied, World
from tests.thorough import THOROUGH

OTHER = "page\n/other\n"


def ended(run: Run) -> tuple[RunState, str | None, int]:
    return run.state, run.error.code if run.error else None, run.rows_ingested


def sweep(world: World) -> None:
    reconcile(world.services)
    world.work_off()


@pytest.mark.parametrize(
    ("happens", "state", "code"),
    [
        (lambda world: world.upload("a.csv", OTHER), RunState.SUPERSEDED, "BlobOverwritten"),
        (lambda world: world.storage.get_blob_client(world.container, "a.csv").delete_blob(), "Skipped", "BlobGone"),
    ],
    ids=["overwritten", "deleted"],
)
def test_what_happens_in_the_middle_of_the_read(
    proxied: Proxied, happens: Callable[[World], object], state: RunState, code: str
) -> None:
    """The first range is read, then the blob changes: none of its rows come in, and no range is of another version."""
    world, proxy = proxied.world, proxied.proxy
    done: list[object] = []
    version = world.upload("a.csv", "page\n" + "/a-page-with-a-rather-long-name\n" * (BLOCK_BYTES // 25))

    def plan(request: Request) -> None:
        later_range = request.method == "GET" and not request.headers.get("x-ms-range", "").startswith("bytes=0-")
        if "a.csv" in request.target and later_range and not done:
            done.append(happens(world))

    run_id = proxied.queue(version)
    proxy.plan = plan
    assert ended(world.ingest(run_id)) == (RunState(state), code, 0)
    assert done
    assert world.committed_rows == 0
    ranges = [request for request in proxy.requests if request.method == "GET" and "a.csv" in request.target]
    conditions = [{name.casefold(): value for name, value in request.headers.items()} for request in ranges]
    assert {condition.get("if-match") for condition in conditions} == {f'"{version.etag}"'}
    assert len(ranges) > 1


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:] if THOROUGH else [(2, 0, 1)], ids=str)
def test_events_of_a_blob_that_was_replaced_come_in_any_order(world: World, order: tuple[int, ...]) -> None:
    versions = [world.upload("a.csv", f"page\n/{number}\n") for number in range(3)]
    runs = [world.queue(versions[number]) for number in [*order, *order]]
    world.work_off()
    states = {versions[number].etag: world.run(run).state for number, run in zip(order, runs, strict=False)}
    assert states == {
        versions[0].etag: RunState.SUPERSEDED,
        versions[1].etag: RunState.SUPERSEDED,
        versions[2].etag: RunState.SUCCEEDED,
    }
    assert world.committed_rows == 1


def test_the_blobs_of_one_hub_leave_the_other_hubs_of_their_account_a_turn(world: World) -> None:
    services, run_id = world.services, world.queue(world.upload("a.csv", ROWS))
    permits = services.source_permits = AccountPermits(SOURCE_BUSY, patience_s=0.1)

    def request(hub: str) -> AbstractContextManager[None]:
        return permits.permit(world.azurite.blob, hub).request()

    with request(world.hub):
        with request(world.hub), pytest.raises(DeferredError, match="SourceBusy"), request("Fabrikam"):
            pass
        with pytest.raises(DeferredError, match="SourceBusy"):
            world.ingest(run_id)  # the permit that is free is the other hub's
        with request("Fabrikam"):
            pass
        assert ended(world.ingest(run_id)) == (RunState.SUCCEEDED, None, 3)


# The SDK leaves the socket of a body that was cut to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "fault",
    [CutAnswer(4), Answer(503, "ServerBusy", {"Retry-After": "1"})],
    ids=["every-body-is-cut", "the-account-is-busy"],
)
def test_a_source_that_fails_each_time_brings_no_part_of_a_file(proxied: Proxied, fault: Fault) -> None:
    world = proxied.world
    run_id = proxied.queue(world.upload("a.csv", ROWS))
    proxied.breaks(fault)
    with pytest.raises(TransientError):
        carry_out_run(world.services, world.hub, run_id, MESSAGE)
    gc.collect()
    assert ended(world.run(run_id)) == (RunState.QUEUED, "StorageUnavailable", 0)
    assert world.committed_rows == 0
    proxied.mends()
    assert ended(world.ingest(run_id)) == (RunState.SUCCEEDED, None, 3)
    assert world.committed_rows == 3


def test_a_source_that_refuses_fails_the_run_which_is_taken_up_when_it_is_asked_for(proxied: Proxied) -> None:
    world = proxied.world
    run_id = proxied.queue(world.upload("a.csv", ROWS))
    proxied.breaks(Answer(403, "AuthorizationFailure"))
    assert ended(world.ingest(run_id)) == (RunState.FAILED, "AccessDenied", 0)
    assert world.stored(run_id).retry_at is not None, "nobody needs to ask: the right may be there again"
    proxied.mends()
    request_backfill(world.services, world.services.definitions.mapping(world.hub, "Proxied", "Proxied"))
    world.work_off()
    assert ended(world.run(run_id)) == (RunState.SUCCEEDED, None, 3)


def test_an_archived_blob_fails_its_run_until_it_is_rehydrated(world: World) -> None:
    run_id = world.queue(world.upload("a.csv", ROWS))
    blob = world.storage.get_blob_client(world.container, "a.csv")
    blob.set_standard_blob_tier(StandardBlobTier.ARCHIVE)
    world.work_off()
    assert ended(world.run(run_id)) == (RunState.FAILED, "BlobArchived", 0)
    assert world.stored(run_id).retry_at is None, "a tier may stay for years"
    blob.set_standard_blob_tier(StandardBlobTier.HOT)
    request_backfill(world.services, world.mapping)
    world.work_off()
    assert ended(world.run(run_id)) == (RunState.SUCCEEDED, None, 3)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blob_that_is_still_being_copied_is_waited_for(proxied: Proxied, method: str) -> None:
    world = proxied.world
    run_id = proxied.queue(world.upload("a.csv", ROWS))
    pending = {"x-ms-copy-id": "1", "x-ms-copy-status": "pending", "x-ms-copy-progress": "3/24"}
    proxied.breaks(ChangeAnswer(pending), method)
    with pytest.raises(DeferredError):
        carry_out_run(world.services, world.hub, run_id, MESSAGE)
    # The first bytes tell it before anything is read.
    assert (world.stored(run_id).number is None) == (method == "GET")
    assert ended(world.run(run_id)) == (RunState.QUEUED, "CopyPending", 0)
    assert world.run(run_id).attempts == 0, "waiting is no attempt"
    proxied.mends()
    world.work_off()
    assert ended(world.run(run_id)) == (RunState.SUCCEEDED, None, 3)


@pytest.mark.parametrize("status", ["failed", "aborted"])
def test_what_a_failed_copy_left_is_skipped_by_its_name(proxied: Proxied, status: str) -> None:
    world = proxied.world
    run_id = proxied.queue(world.upload("a.csv", ""))
    proxied.breaks(ChangeAnswer({"x-ms-copy-id": "1", "x-ms-copy-status": status}), "HEAD")
    assert ended(world.ingest(run_id)) == (RunState.SKIPPED, "CopyFailed", 0)


def test_the_empty_file_that_a_data_lake_client_makes_first(world: World) -> None:
    """Listed between its creation and its flush; the content is a version of its own."""
    created = world.upload("a.csv", "")
    sweep(world)
    assert world.states() == {"a.csv": RunState.SKIPPED}
    assert ended(world.run(world.queue(created))) == (RunState.SKIPPED, "EmptyBlob", 0)
    flushed = world.queue(world.upload("a.csv", ROWS))
    world.work_off()
    assert ended(world.run(flushed)) == (RunState.SUCCEEDED, None, 3)


def test_folders_are_no_files(world: World) -> None:
    """Accounts with a hierarchical namespace list their folders as blobs of 0 bytes."""
    folder = world.storage.get_blob_client(world.container, "in.csv")
    etag = str(folder.upload_blob(b"", metadata={"hdi_isfolder": "true"})["etag"]).strip('"')
    world.upload("in.csv/a.csv", ROWS)
    sweep(world)
    assert world.states() == {"in.csv/a.csv": RunState.SUCCEEDED}
    run_id = world.queue(BlobVersion(world.container, "in.csv", etag, 0))
    assert ended(world.ingest(run_id)) == (RunState.SKIPPED, "Folder", 0)
