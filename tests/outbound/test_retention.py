"""Retention: 60 days pass, and at all times just the exports of the last days are there."""

from datetime import datetime, timedelta

from shared.domain.documents.run import RunKind, RunState
from shared.domain.slot import slot_of, slot_of_path
from shared.outbound.retention import delete_expired
from tests.definitions.places.claims import damage
from tests.outbound.conftest import NOON, PROFILE, HubUnderTest

OLD = "Profile/Customer/year=2020/month=01/day=01/hour=00/min=00/data.csv"


def clean(hub: HubUnderTest, moment: datetime) -> None:
    hub.set_clock(moment)
    delete_expired(hub.services)


def slots_left(hub: HubUnderTest) -> list[datetime]:
    return [slot for path in hub.partner.paths("Profile/") if (slot := slot_of_path(path))]


def export_once(hub: HubUnderTest, key: str = "A", moment: datetime = NOON) -> None:
    customer = hub.profile_type()
    hub.ingest(customer, [{"Id": key}])
    hub.tick(moment)


def test_sixty_days(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    expected: list[datetime] = []
    for day in range(0, 60, 10):
        now = NOON + timedelta(days=day)
        hub.set_clock(now)
        hub.ingest(customer, [{"Id": f"{day}"}])
        hub.tick(now)
        clean(hub, now + timedelta(hours=1))
        expected.append(slot_of(now))
        oldest = now + timedelta(hours=1) - timedelta(days=21)
        assert slots_left(hub) == [slot for slot in expected if slot >= oldest]
    runs = hub.runs(RunKind.CLEANUP)
    assert len(runs) == 6
    assert {run.state for run in runs} == {RunState.SUCCEEDED}
    assert sum(run.details["deleted"] for run in runs) == len(expected) - len(slots_left(hub))
    assert "Metadata/Profile/Customer/metadata.json" in hub.partner.paths()


def test_only_what_this_hub_wrote_is_deleted(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound(PROFILE)
    export_once(hub)
    (ours,) = hub.partner.paths("Profile/")
    run_id = hub.partner.metadata(ours)["runid"]
    theirs = {
        OLD: {},
        OLD.replace("min=00", "min=15"): {"runid": "0" * 32},
        OLD.replace("min=00", "min=30"): {"runid": run_id},  # of another slot
        "Profile/Customer/notes.txt": {"runid": run_id},
        "Metadata/Profile/Customer/old.json": {"runid": run_id},
    }
    for path, metadata in theirs.items():
        hub.partner.client.upload_blob(path, b"theirs", metadata=metadata)
    clean(hub, slot_of(NOON) + timedelta(days=21))
    assert ours in hub.partner.paths()
    clean(hub, slot_of(NOON) + timedelta(days=21, minutes=1))
    assert set(hub.partner.paths()) == {*theirs, "Metadata/Profile/Customer/metadata.json"}


def test_exports_of_a_connector_that_was_made_anew_expire_too(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound(PROFILE)
    export_once(hub)
    hub.services.definitions.connectors.delete(hub.name, "Partner")
    hub.outbound(PROFILE)
    clean(hub, NOON + timedelta(days=30))
    assert hub.partner.paths("Profile/") == []


def test_a_missing_right_is_reported_and_left_until_the_next_day(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound(PROFILE, sas=hub.partner.sas("cwl"))
    export_once(hub)
    later = NOON + timedelta(days=30)
    for minutes in range(3):
        clean(hub, later + timedelta(minutes=minutes))
    (run,) = hub.runs(RunKind.CLEANUP)
    assert (run.state, run.attempts, run.details["deleted"]) == (RunState.FAILED, 1, 0)
    assert run.error is not None
    assert run.error.code == "SasRightMissing"
    assert "delete" in run.error.message
    clean(hub, later + timedelta(days=1))
    assert [run.state for run in hub.runs(RunKind.CLEANUP)] == [RunState.FAILED] * 2
    hub.set_clock(later + timedelta(days=1, minutes=5))
    hub.outbound(PROFILE)  # its owner has mended it: no need to wait
    clean(hub, later + timedelta(days=1, minutes=6))
    assert hub.partner.paths("Profile/") == []
    assert [run.state for run in hub.runs(RunKind.CLEANUP)] == [RunState.FAILED, RunState.SUCCEEDED]


def test_a_leased_export_stays_and_the_others_go(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound(PROFILE)
    for number in range(3):
        export_once(hub, key=f"{number}", moment=NOON + timedelta(minutes=15 * number))
    leased, *_ = hub.partner.paths("Profile/")
    lease = hub.partner.client.get_blob_client(leased).acquire_lease()
    later = NOON + timedelta(days=30)
    clean(hub, later)
    assert hub.partner.paths("Profile/") == [leased]
    (run,) = hub.runs(RunKind.CLEANUP)
    assert (run.state, run.details["deleted"], run.details["kept"]) == (RunState.PARTIALLY_SUCCEEDED, 2, 1)
    assert run.error is not None
    assert run.error.code == "LeaseIdMissing"
    lease.release()
    clean(hub, later + timedelta(days=1))
    assert hub.partner.paths("Profile/") == []


def test_one_connector_does_not_hold_up_another(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound(PROFILE, name="Alone")
    export_once(hub)
    hub.services.definitions.connectors.delete(hub.name, "Alone")
    hub.outbound(PROFILE, name="Broken", sas=hub.partner.sas("cw"))
    hub.outbound(PROFILE, name="Well")
    clean(hub, NOON + timedelta(days=30))
    states = {run.connector: run.state for run in hub.runs(RunKind.CLEANUP)}
    assert states == {"Broken": RunState.FAILED, "Well": RunState.SUCCEEDED}
    assert hub.partner.paths("Profile/") == []


def test_a_connector_that_cannot_be_read_keeps_its_exports_and_holds_up_no_other(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound(PROFILE, name="Broken")
    export_once(hub)
    written = hub.partner.paths("Profile/")
    assert len(written) == 1
    damage(hub.services.definitions, hub.name, "connector|broken")
    hub.outbound(PROFILE, name="Well")
    clean(hub, NOON + timedelta(days=30))
    assert {run.connector: run.state for run in hub.runs(RunKind.CLEANUP)} == {"Well": RunState.SUCCEEDED}
    assert hub.partner.paths("Profile/") == written


def test_a_repetition_on_the_same_day_goes_on_with_its_run(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound(PROFILE)
    export_once(hub)
    clean(hub, NOON)
    clean(hub, NOON + timedelta(hours=1))
    (run,) = hub.runs(RunKind.CLEANUP)
    assert (run.state, run.attempts, run.details["deleted"]) == (RunState.SUCCEEDED, 2, 0)
    assert (run.rows_read, run.connector) == (0, "Partner")
