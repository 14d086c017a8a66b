"""The rows of a hub: all of them go, of no other hub any, and none that is written while they go."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from infra.local.azurite import Endpoints
from shared.clock import Clock
from shared.domain.documents.run import Run, RunKind, RunState
from shared.domain.errors import PreconditionError
from shared.ledger import hub_rows
from shared.ledger.hub_rows import HubRows
from shared.ledger.runs import Runs
from shared.ledger.slots import Plan, Series, Slots, new_life
from shared.ledger.stored_run import StoredRun
from shared.ledger.sweeps import Backfill, Sweeps
from shared.storage.tables import Table
from tests.local_services import account_of, development

START = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)


class Ledgers:
    """The ledgers in tables of their own."""

    def __init__(self, azurite: Endpoints) -> None:
        name = f"t{uuid.uuid4().hex[:12]}"
        account = account_of(azurite)
        self.tables = [Table(account, f"{name}runs"), Table(account, f"{name}slots")]
        self.runs = Runs(self.tables[0], Clock(development(azurite, "http://127.0.0.1:1")))
        self.sweeps = Sweeps(self.tables[0])
        self.slots = Slots(self.tables[1])
        self.hub_rows = HubRows(*self.tables)

    def fill(self, hub: str, runs: int = 1) -> list[StoredRun]:
        """A row of each kind, and a run of each number."""
        self.sweeps.ask(hub, Backfill("m1", "1", START))
        plan = Plan(START, "a", 0, 1, 1, True, ("Id",))
        self.slots.plan(Series(hub, "c1", "Profile", "e1"), None, new_life(), plan)
        for number in range(runs):
            run = Run(run_id=f"r{number}", kind=RunKind.INGEST, connector="C", mapping="M", queued_at=START)
            stored = StoredRun(hub=hub, run=run, ledger_key=f"key{number}")
            assert self.runs.create(stored)
        found = [self.runs.get(hub, f"r{number}") for number in range(runs)]
        return [stored for stored in found if stored is not None]

    def keys(self, hub: str) -> set[str]:
        where, prefix = "PartitionKey ge @from and PartitionKey lt @to", hub.lower()
        return {
            row["RowKey"]
            for table in self.tables
            for row in table.query(where, {"from": prefix, "to": f"{prefix}~"}, ["RowKey"])
        }


@pytest.fixture
def ledgers(azurite: Endpoints) -> Ledgers:
    return Ledgers(azurite)


def nothing() -> None:
    return None


def failing_at(number: int, act: Callable[[], None]) -> Callable[[], None]:
    """Does something the `number`th time that it is called."""
    calls = iter(range(1_000_000))

    def check() -> None:
        if next(calls) == number:
            act()

    return check


def test_all_rows_of_a_hub_go_and_no_others(ledgers: Ledgers) -> None:
    ledgers.fill("Contoso", runs=40)
    others = {hub: ledgers.fill(hub) and ledgers.keys(hub) for hub in ("Fabrikam", "Con")}
    ledgers.fill("Contoso2")
    kept = ledgers.keys("Contoso2")
    ledgers.hub_rows.delete("CONTOSO", nothing)
    assert ledgers.keys("Contoso") == kept
    assert ledgers.keys("Fabrikam") == others["Fabrikam"]
    assert ledgers.runs.page("Con")[0]
    ledgers.hub_rows.delete("Contoso2", nothing)
    assert ledgers.keys("Contoso") == set()


@pytest.mark.parametrize("number", range(3))
def test_where_it_was_ended_it_goes_on(ledgers: Ledgers, number: int) -> None:
    ledgers.fill("Contoso", runs=40)
    before = ledgers.keys("Contoso")

    def end() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        ledgers.hub_rows.delete("Contoso", failing_at(number, end))
    left = ledgers.keys("Contoso")
    assert left <= before
    # First what a run is found and changed by.
    assert number == 0 or not any(key.startswith("run|") for key in left)
    ledgers.hub_rows.delete("Contoso", nothing)
    assert ledgers.keys("Contoso") == set()


def test_what_is_changed_between_look_and_deletion_is_looked_at_again(ledgers: Ledgers) -> None:
    first, *_ = ledgers.fill("Contoso", runs=3)
    checks: list[int] = []

    def change() -> None:
        ledgers.runs.save(first.with_run(state=RunState.RUNNING))

    def check() -> None:
        if not checks:
            change()
        checks.append(len(ledgers.keys("Contoso")))

    ledgers.hub_rows.delete("Contoso", check)
    # The batch with the changed row was refused as a whole.
    assert checks[1] == checks[0]
    assert ledgers.keys("Contoso") == set()


def test_two_processes_delete_the_rows_of_one_hub_together(ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one has taken of a batch the other one passes over; it does not begin again."""
    ledgers.fill("Contoso", runs=20)
    monkeypatch.setattr(hub_rows, "MOST_OPERATIONS", 12)
    checks: list[int] = []

    def check() -> None:
        checks.append(len(ledgers.keys("Contoso")))
        if len(checks) == 1:
            first = min(key for key in ledgers.keys("Contoso") if key.startswith("run|"))
            ledgers.tables[0].delete("contoso", first)
        if len(checks) == 3:
            HubRows(*ledgers.tables).delete("Contoso", nothing)

    ledgers.hub_rows.delete("Contoso", check)
    # Of the first dozen what was left, of the next eight nothing was.
    assert checks[0] - checks[1] == 1
    assert checks[1] - checks[2] == 11
    assert len(checks) == 3
    assert ledgers.keys("Contoso") == set()


def test_nobody_writes_to_a_run_whose_hub_is_going(ledgers: Ledgers) -> None:
    first, *_ = ledgers.fill("Contoso", runs=2)

    def save() -> None:
        with pytest.raises(PreconditionError):
            ledgers.runs.save(first.with_run(state=RunState.RUNNING))

    ledgers.hub_rows.delete("Contoso", failing_at(1, save))
    save()
    assert ledgers.keys("Contoso") == set()


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.SUCCEEDED])
def test_of_what_is_gone_no_run_stays_recorded(ledgers: Ledgers, state: RunState) -> None:
    stored = StoredRun("Contoso", Run(run_id="a", kind=RunKind.KPI, queued_at=START, state=state))
    assert not ledgers.runs.create_for(stored, lambda: False)
    assert ledgers.runs.get_or_create(stored, lambda: False) is None
    assert ledgers.keys("Contoso") == set()
    assert ledgers.runs.create_for(stored, lambda: True)
    assert not ledgers.runs.create_for(stored, lambda: False)  # another has recorded it, who looks for himself
    assert ledgers.runs.get("Contoso", "a")
