"""What is kept of sweeps: per mapping and hub, and a newer backfill is never ended by an older one."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra.local.azurite import Endpoints
from shared.domain.run import RunError
from shared.ledger.sweeps import Backfill, Search, Sweep, Sweeps
from shared.storage.tables import Table
from tests.local_services import account_of

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
SWEEP = Sweep("m1", "etag1", "etag2", NOON, NOON, NOON)


@pytest.fixture
def sweeps(azurite: Endpoints) -> Sweeps:
    return Sweeps(Table(account_of(azurite), f"sweeps{uuid.uuid4().hex[:12]}"))


def test_the_last_sweep_of_each_mapping(sweeps: Sweeps) -> None:
    assert sweeps.get("Contoso", "m1") is None
    assert sweeps.of_hub("Contoso") == {}
    sweeps.save("Contoso", replace(SWEEP, mapping_etag="old"))
    sweeps.save("contoso", SWEEP)
    other = replace(SWEEP, instance="m2")
    sweeps.save("Contoso", other)
    sweeps.save("Fabrikam", replace(SWEEP, instance="m3"))
    assert sweeps.get("CONTOSO", "m1") == SWEEP
    assert sweeps.of_hub("Contoso") == {"m1": SWEEP, "m2": other}


def test_an_older_backfill_does_not_end_a_newer_one(sweeps: Sweeps) -> None:
    sweeps.ask("Contoso", Backfill("m1", "first", NOON))
    sweeps.ask("Contoso", Backfill("m1", "second", NOON))
    sweeps.change_backfill("Contoso", "m1", "first", lambda backfill: backfill.found_all(3, NOON))
    assert sweeps.backfill("Contoso", "m1") == Backfill("m1", "second", NOON)
    error = RunError(code="ContainerNotFound", message="x" * 5000)
    sweeps.change_backfill("Contoso", "m1", "second", lambda backfill: backfill.failed(error, NOON))
    failed = sweeps.backfill("Contoso", "m1")
    assert failed is not None
    assert failed.error is not None
    assert (failed.ended, failed.error.code) == (NOON, "ContainerNotFound")
    sweeps.change_backfill("Contoso", "m1", "second", lambda backfill: backfill.found_all(3, NOON))
    assert sweeps.backfill("Contoso", "m1") == Backfill("m1", "second", NOON, NOON, 3)


def test_how_far_a_sweep_has_come(sweeps: Sweeps) -> None:
    begun = Search(SWEEP, since=None)
    assert not begun.is_under_way(NOON), "it was never noted"
    sweeps.forget_search("Contoso", "m1", "n")
    noted = sweeps.note("Contoso", replace(begun, number="n", marker="m!", queued=3), NOON)
    assert sweeps.search("contoso", "m1") == noted == Search(SWEEP, None, "n", "m!", 3, NOON)
    later = sweeps.note("Contoso", replace(noted, since=NOON, queued=4, is_left=True), NOON)
    assert sweeps.searches_of_hub("Contoso") == {"m1": later}
    assert sweeps.get("Contoso", "m1") is None
    assert noted.is_under_way(NOON + timedelta(minutes=59))
    assert not noted.is_under_way(NOON + timedelta(hours=1)), "its message was lost"
    assert not later.is_under_way(NOON)
    sweeps.note("Contoso", begun, NOON)
    sweeps.forget_search("Contoso", "m1", "")
    assert sweeps.search("Contoso", "m1") == later, "a backfill has taken the place of the sweep by the schedule"
    sweeps.forget_search("Contoso", "m1", "n")
    assert sweeps.search("Contoso", "m1") is None
