"""Attempts at a correction that crash, pause, or are given up, and others that come meanwhile."""

import pytest

from shared.domain.documents.run import RunError, RunState
from shared.domain.errors import ClaimLostError, ConflictError
from shared.failpoints import FailPoint, arm
from shared.messages.ingest import give_up
from shared.repair.correct_run import _correct, correct_run
from tests.ingest.paused import paused
from tests.repair.conftest import BAD, World, mapping


def test_a_crash_after_the_commit_is_recorded_with_true_counts(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n5,,Dan,4\n")
    _correct(world.services, world.attempt(run))  # the worker ends before it records the outcome
    assert world.run(run.run_id).state is RunState.RUNNING
    world.services.definitions.delete_mapping(world.hub, "Landing", "People")
    done = world.work(run)
    assert (done.state, done.rows_ingested, done.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 3, 1)
    assert [row[:3] for row in world.rejects(run)] == [["5", "id", "EmptyKey"]]
    assert world.committed_rows() == 3


def test_a_paused_worker_loses_its_claim_and_writes_nothing(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n")
    paused = world.attempt(run)
    done = world.work(run)
    with pytest.raises(ClaimLostError):
        correct_run(world.services, paused)
    assert world.run(run.run_id) == done
    assert world.committed_rows() == 3


@pytest.mark.parametrize("point", [FailPoint.CORRECTION_NOTED, FailPoint.CORRECTION_CHECKED])
@pytest.mark.parametrize("then", ["given up", "mapping deleted"])
def test_an_attempt_that_comes_to_its_commit_when_the_correction_has_ended_brings_nothing(
    world: World, point: FailPoint, then: str
) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n")
    attempt = world.attempt(run)
    with paused(lambda: _correct(world.services, attempt), point) as first:
        if then == "given up":
            give_up(world.services, {"hub": world.hub, "runId": run.run_id})
        else:
            world.services.definitions.delete_mapping(world.hub, "Landing", "People")
            world.work(run)
        ended = world.run(run.run_id)
        with pytest.raises(ClaimLostError):
            first.end()
    assert (ended.state, ended.rows_ingested, ended.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 2, 2)
    assert ended.details["repairs"][0]["ingested"] == 0
    assert world.run(run.run_id) == ended
    assert world.committed_rows() == 2
    assert [row[0] for row in world.rejects(run)] == ["3", "5"]


def test_a_correction_that_came_in_before_it_was_ended_is_recorded(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n")
    attempt = world.attempt(run)
    with paused(lambda: _correct(world.services, attempt), FailPoint.CORRECTION_COMMITTED) as first:
        world.services.definitions.delete_mapping(world.hub, "Landing", "People")
        ended = world.work(run)
        first.end()
    assert (ended.rows_ingested, ended.rows_rejected) == (3, 1)
    assert "completeOperation" not in ended.details
    assert world.committed_rows() == 3


@pytest.mark.parametrize("first_is_first", [True, False])
def test_counts_of_a_correction_are_those_of_the_attempt_that_commits(world: World, first_is_first: bool) -> None:
    """The second reads the correction in its own way, since the mapping changed."""
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n5,d,Dan,4\n")
    attempt = world.attempt(run)
    with paused(lambda: _correct(world.services, attempt), FailPoint.CORRECTION_CHECKED) as first:
        columns = {"Id": "id", "Name": "name", "Age": "name"}
        changed = mapping(world.container, "Profile", "Person", "people", columns)
        world.services.definitions.put_mapping(world.hub, "Landing", "People", changed)
        if first_is_first:
            arm(FailPoint.CORRECTION_CHECKED, lambda: first.end() and None)
        ended = world.work(run)
    expected = (RunState.SUCCEEDED, 4, 0) if first_is_first else (RunState.PARTIALLY_SUCCEEDED, 2, 2)
    assert (ended.state, ended.rows_ingested, ended.rows_rejected) == expected
    assert world.committed_rows() == ended.rows_ingested


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_message_that_is_given_up(world: World, is_committed: bool) -> None:
    run = world.ingest("people/1.csv", BAD)
    text = "line,id,name,age\n3,b,Bob,2\n"
    world.request(run, text)
    attempt = world.attempt(run)
    if is_committed:
        _correct(world.services, attempt)
    attempt.release(RunError(code="VaultUnavailable", message="the vault does not answer"))
    give_up(world.services, {"hub": world.hub, "runId": run.run_id})
    ended = world.run(run.run_id)
    assert (ended.state, ended.error) == (RunState.PARTIALLY_SUCCEEDED, None)
    assert ended.rows_ingested == (3 if is_committed else 2)
    assert ended.rows_read == 4
    if not is_committed:
        assert ended.details["repairs"][0]["error"]["code"] == "VaultUnavailable"
        assert world.correct(run, text).rows_ingested == 3, "the same rows may be given again"
    assert world.committed_rows() == 3


def test_a_mapping_that_is_gone_by_then(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n")
    world.services.definitions.delete_mapping(world.hub, "Landing", "People")
    ended = world.work(run)
    assert (ended.state, ended.rows_ingested, ended.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 2, 2)
    assert ended.details["repairs"][0]["error"]["code"] == "MappingGone"
    with pytest.raises(ConflictError) as refused:
        world.request(run, "line,id,name,age\n3,b,Bob,3\n")
    assert refused.value.code == "MappingGone"
