"""Notes of attempts are the server's own; the release before keeps them in the details, and this one is read by it."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.local.azurite import Endpoints
from shared.clock import Clock
from shared.domain.documents.mappings import CompletionOperationType
from shared.domain.documents.run import Run, RunKind, RunState
from shared.ledger.attempt_notes import KEPT_NOTES, AttemptNote
from shared.ledger.runs import Runs
from shared.ledger.stored_run import StoredRun
from shared.settings import Settings
from shared.storage.tables import Table
from tests.local_services import account_of

START = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
CLOCK = Clock(Settings())
NOTE = AttemptNote(ingested=3, rejected=1, bytes_read=9, rejects="a/b.csv", asked=CompletionOperationType.DELETE_FILE)
# As the release before wrote them among the details of a run, and the one before that, which asked for nothing.
EARLIER = {
    "1": {"ingested": 2, "rejected": 0, "bytesRead": 9, "rejects": None},
    "2": {"ingested": 3, "rejected": 1, "bytesRead": 9, "rejects": "a/b.csv", "asked": "DeleteFile"},
}


@pytest.fixture
def table(azurite: Endpoints) -> Table:
    return Table(account_of(azurite), f"runs{uuid.uuid4().hex[:12]}")


def running(table: Table, notes: dict[int, AttemptNote]) -> tuple[Runs, StoredRun]:
    run = Run(
        run_id="a", kind=RunKind.INGEST, state=RunState.RUNNING, queued_at=START, details={"ignoredColumns": ["n"]}
    )
    runs = Runs(table, CLOCK)
    assert runs.create(StoredRun("Contoso", run, claims=2, notes=notes))
    return runs, found(runs)


def found(runs: Runs) -> StoredRun:
    stored = runs.get("Contoso", "a")
    assert stored is not None
    return stored


def stored_before(table: Table, staged: Any) -> None:
    """Leaves the rows of the run as the release before did."""
    for key in [row["RowKey"] for row in table.query("PartitionKey eq @hub", {"hub": "contoso"}, ["RowKey"])]:
        row = table.get("contoso", key)
        assert row is not None
        if "run" in row:
            document = json.loads(row["run"])
            document["details"]["staged"] = staged
            table.upsert({name: cell for name, cell in row.items() if name != "notes"} | {"run": json.dumps(document)})


def test_notes_come_back_and_nobody_is_shown_them(table: Table) -> None:
    runs, stored = running(table, {1: NOTE})
    assert stored.notes == {1: NOTE}
    saved = runs.save(stored.noted(NOTE))
    assert found(runs).notes == saved.notes == {1: NOTE, 2: NOTE}
    assert [run.details for run in runs.page("Contoso")[0]] == [{"ignoredColumns": ["n"]}]


def test_of_many_notes_the_last_are_kept(table: Table) -> None:
    _, stored = running(table, dict.fromkeys(range(-20, 0), NOTE))
    assert list(stored.noted(NOTE).notes) == [*range(1 - KEPT_NOTES, 0), 2]


def test_notes_of_the_release_before_are_read(table: Table) -> None:
    runs, _ = running(table, {})
    stored_before(table, EARLIER)
    stored = found(runs)
    expected = {1: AttemptNote(ingested=2, rejected=0, bytes_read=9), 2: NOTE}
    assert (stored.notes, stored.run.details) == (expected, {"ignoredColumns": ["n"]})
    assert [run.details for run in runs.page("Contoso")[0]] == [{"ignoredColumns": ["n"]}]
    runs.save(stored)
    assert found(runs).notes == expected


def test_the_release_before_finds_the_notes_where_it_left_them(table: Table) -> None:
    """It runs beside this one while that is deployed."""
    running(table, {2: NOTE})
    row = table.get("contoso", "run|a")
    assert row is not None
    assert json.loads(row["run"])["details"] == {"ignoredColumns": ["n"], "staged": {"2": EARLIER["2"]}}


@pytest.mark.parametrize("staged", [" [cut]", {"1": {"ingested": 2}}, {"x": EARLIER["1"]}], ids=str)
def test_notes_that_the_release_before_cut_short_hold_nobody_up(table: Table, staged: Any) -> None:
    runs, _ = running(table, {})
    stored_before(table, staged)
    assert (found(runs).notes, found(runs).run.details) == ({}, {"ignoredColumns": ["n"]})
