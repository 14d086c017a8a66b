"""What is kept of sweeps: per mapping and hub, and a newer backfill is never ended by an older one."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra.local.azurite import Endpoints
from shared.domain.documents.run import RunError
from shared.ledger.sweeps import Backfill, Known, OpenSweep, Sweep, Sweeps
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
    sweeps.change_backfill("Contoso", "m1", "second", lambda backfill: backfill.failed(error, NOON, NOON))
    failed = sweeps.backfill("Contoso", "m1")
    assert failed is not None
    assert failed.error is not None
    assert (failed.ended, failed.error.code) == (NOON, "ContainerNotFound")
    assert not sweeps.change_backfill("Contoso", "m1", "second", lambda backfill: backfill.found_all(3, NOON))
    assert sweeps.backfill("Contoso", "m1") == failed, "it is over"


def test_how_far_a_sweep_by_the_schedule_has_come(sweeps: Sweeps) -> None:
    begun = OpenSweep(SWEEP, since=None)
    assert not begun.is_under_way(NOON), "it was never noted"
    sweeps.forget_scheduled("Contoso", "m1")
    assert sweeps.note("Contoso", replace(begun, marker="m!", queued=3), NOON)
    noted = sweeps.scheduled("contoso", "m1")
    assert noted == OpenSweep(SWEEP, None, "", "m!", 3, NOON)
    later = replace(noted, since=NOON, queued=4, is_left=True)
    assert sweeps.note("Contoso", later, NOON)
    assert sweeps.known("Contoso") == {"m1": Known(scheduled=later)}
    assert sweeps.get("Contoso", "m1") is None
    assert noted.is_under_way(NOON + timedelta(minutes=59))
    assert not noted.is_under_way(NOON + timedelta(hours=1)), "its message was lost"
    assert not later.is_under_way(NOON)
    sweeps.forget_scheduled("Contoso", "m1")
    assert sweeps.scheduled("Contoso", "m1") is None


def test_how_far_a_backfill_has_come(sweeps: Sweeps) -> None:
    asked, begun = Backfill("m1", "n", NOON, NOON), OpenSweep(SWEEP, None, "n", "m!", 3)
    assert not sweeps.note("Contoso", begun, NOON), "nobody asked for it"
    sweeps.ask("Contoso", asked)
    later = NOON + timedelta(minutes=5)
    assert sweeps.note("Contoso", begun, later)
    going_on = replace(asked, noted=later, begun=replace(begun, noted=later))
    assert sweeps.backfill("Contoso", "m1") == going_on
    assert sweeps.note("Contoso", OpenSweep(SWEEP, NOON), NOON)
    assert sweeps.backfill("Contoso", "m1") == going_on, "a sweep by the schedule is apart from it"
    assert not sweeps.note("Contoso", replace(begun, number="older"), NOON)
    sweeps.change_backfill("Contoso", "m1", "n", lambda backfill: backfill.found_all(3, later))
    assert not sweeps.note("Contoso", begun, later)
    assert sweeps.backfill("Contoso", "m1") == Backfill("m1", "n", NOON, later, ended=later, found=3)


def test_a_backfill_whose_message_may_be_lost_is_waited_for_twice_as_long_each_time() -> None:
    backfill = Backfill("m1", "n", NOON)
    assert backfill.is_lost(NOON), "it could not be sent"
    backfill = replace(backfill, noted=NOON)
    for sent_again, hours in enumerate((1, 2, 4, 8)):
        waiting = replace(backfill, sent_again=sent_again)
        assert not waiting.is_lost(NOON + timedelta(hours=hours, microseconds=-1))
        assert waiting.is_lost(NOON + timedelta(hours=hours))
    assert not backfill.found_all(0, NOON).is_lost(NOON + timedelta(days=1))


def test_what_is_known_of_a_mapping_is_forgotten_with_it(sweeps: Sweeps) -> None:
    backfill, scheduled = Backfill("m1", "n", NOON), OpenSweep(SWEEP, None, noted=NOON)
    for hub in ("Contoso", "Fabrikam"):
        sweeps.save(hub, SWEEP)
        sweeps.note(hub, scheduled, NOON)
        sweeps.ask(hub, backfill)
        sweeps.save(hub, replace(SWEEP, instance="m2"))
    known = {"m1": Known(SWEEP, scheduled, backfill), "m2": Known(replace(SWEEP, instance="m2"))}
    assert sweeps.known("contoso") == known
    sweeps.forget("Contoso", "m1")
    assert sweeps.known("Contoso") == {"m2": known["m2"]}
    sweeps.forget("Contoso", "m2")
    assert sweeps.known("Contoso") == {}
    assert sweeps.known("Fabrikam") == known


def test_what_an_earlier_release_recorded_can_be_gone_on_with(sweeps: Sweeps) -> None:
    sweeps.save("Contoso", SWEEP)
    row = sweeps._table.get("contoso", "sweep|m1")
    assert row is not None
    more = {"RowKey": "search|m1", "number": "n", "marker": "m!", "queued": 3, "noted": NOON, "isLeft": False}
    sweeps._table.upsert(row | more)
    sweeps._table.upsert(
        {"PartitionKey": "contoso", "RowKey": "backfill|m1", "instance": "m1", "number": "n", "asked": NOON, "found": 0}
    )
    known = sweeps.known("Contoso")["m1"]
    assert known == Known(SWEEP, OpenSweep(SWEEP, None, "", "m!", 3, NOON), Backfill("m1", "n", NOON))
    assert sweeps.scheduled("Contoso", "m1") == known.scheduled
    assert known.backfill is not None
    assert known.backfill.is_lost(NOON)
