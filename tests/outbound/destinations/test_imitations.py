"""Retention beside a partner who copies, moves and replaces blobs: metadata go along, and the copies are not ours."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.local.azurite import Endpoints
from shared.domain.documents.run import RunKind, RunState, cleanup_run_id
from shared.domain.slot import data_path, slot_of
from shared.outbound.retention import delete_expired
from tests.fault_proxy import Request, running_proxy
from tests.outbound.conftest import NOON, PROFILE, HubUnderTest, Partner
from tests.outbound.slots import FIRST, at, contents, path_of

LATER = NOON + timedelta(days=30)
METADATA = "Metadata/Profile/Customer/metadata.json"
OTHER = {"entityType": "Profile", "entityName": "Other"}

PATHS = {
    "of another name": FIRST.replace("Customer", "CustomerArchive"),
    "of a name with a line end": FIRST.replace("Customer", "Customer\n"),
    "of a name that is a line end more": FIRST.replace("Customer", "x\nCustomer"),
    "of another entity that is exported": FIRST.replace("Customer", "Other"),
    "of a name in another case": FIRST.replace("Customer", "CUSTOMER"),
    "of a folder in another case": FIRST.replace("Profile", "profile"),
    "of a KPI of the name": FIRST.replace("Profile", "KPI"),
    "deeper": FIRST.replace("year", "copies/year"),
    "below another folder": f"Archive/{FIRST}",
    "below its own folder": f"Profile/{FIRST}",
    "behind a slash": f"Profile//{FIRST.removeprefix('Profile/')}",
    "beside the metadata": f"Metadata/{FIRST}",
    "of another slot": FIRST.replace("min=00", "min=15"),
    "of another year": FIRST.replace("2026", "2020"),
    "of no slot": FIRST.replace("min=00", "min=05"),
    "of no date": FIRST.replace("month=11", "month=13"),
    "in other digits": FIRST.replace("2026", "２０２６"),
    "of another file": FIRST.replace("data.csv", "data.csv.bak"),
    "of another file in another case": FIRST.replace("data.csv", "DATA.CSV"),
    "that goes on": f"{FIRST}/part-0",
    "with a line end behind it": f"{FIRST}\n",
}


def clean(hub: HubUnderTest) -> tuple[RunState, int]:
    """State of the newest Cleanup run of the connector Partner, and how many it deleted."""
    hub.set_clock(LATER)
    delete_expired(hub.services)
    (run,) = [run for run in hub.runs(RunKind.CLEANUP) if run.connector == "Partner"]
    return run.state, int(run.details["deleted"])


def exported(hub: HubUnderTest) -> dict[str, str]:
    """Exports one slot to the connector Partner, and returns the metadata of its blob."""
    customer = hub.profile_type()
    hub.profile_type("Other")
    hub.outbound(PROFILE, OTHER)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    assert hub.partner.paths("Profile/") == [FIRST]
    return hub.partner.metadata(FIRST)


def test_copies_elsewhere_stay(hub: HubUnderTest) -> None:
    metadata = exported(hub)
    for path in PATHS.values():
        hub.partner.client.upload_blob(path, hub.partner.blobs()[FIRST], metadata=metadata)
    assert clean(hub) == (RunState.SUCCEEDED, 1)
    assert set(hub.partner.paths()) == {*PATHS.values(), METADATA}


def test_blobs_that_name_no_run_of_their_own_stay_and_hold_up_nothing(hub: HubUnderTest) -> None:
    metadata = exported(hub)
    connector = hub.services.definitions.connector(hub.name, "Partner")
    day = LATER.replace(hour=0, minute=0)
    run_ids = [
        "",
        "0" * 32,
        cleanup_run_id(hub.name, connector.instance_id, day),
        "a/b",
        "a#b?c%d",
        "' or RowKey ne '",
        "x" * 2000,
        metadata["runid"].upper(),
    ]
    named = [{}, *({**metadata, "runid": run_id} for run_id in run_ids)]
    older = {FIRST.replace("day=22", f"day={number:02}"): theirs for number, theirs in enumerate(named, 1)}
    for path, theirs in older.items():
        hub.partner.client.upload_blob(path, b"theirs", metadata=theirs)
    assert clean(hub) == (RunState.SUCCEEDED, 1)
    assert hub.partner.paths("Profile/") == [*older]


def put_content(partner: Partner, metadata: Mapping[str, str]) -> None:
    partner.client.upload_blob(FIRST, b"theirs", overwrite=True, metadata=dict(metadata))


def put_sum(partner: Partner, metadata: Mapping[str, str]) -> None:
    partner.client.get_blob_client(FIRST).set_blob_metadata({**metadata, "sha256": "0" * 64})


def take_run_away(partner: Partner, metadata: Mapping[str, str]) -> None:
    facts = {name: value for name, value in metadata.items() if name != "runid"}
    partner.client.get_blob_client(FIRST).set_blob_metadata(facts)


def note_something(partner: Partner, metadata: Mapping[str, str]) -> None:
    partner.client.get_blob_client(FIRST).set_blob_metadata({**metadata, "loaded": "true"})


@pytest.mark.parametrize(
    ("done", "is_left"),
    [(put_content, True), (put_sum, True), (take_run_away, True), (note_something, False)],
)
def test_what_the_partner_made_of_an_export_is_the_partners_unless_it_is_the_same_file(
    hub: HubUnderTest, done: Callable[[Partner, Mapping[str, str]], None], is_left: bool
) -> None:
    done(hub.partner, exported(hub))
    clean(hub)
    assert (hub.partner.paths("Profile/") == [FIRST]) is is_left


def test_what_replaces_an_export_while_it_is_deleted_stays(hub: HubUnderTest, azurite: Endpoints) -> None:
    exported(hub)
    with running_proxy(azurite.blob) as proxy:
        hub.outbound(PROFILE, sas=hub.partner.sas().replace(azurite.blob, proxy.endpoint))

        def replace_first(request: Request) -> None:
            if request.method == "DELETE":
                hub.partner.client.upload_blob(FIRST, b"newer", overwrite=True)

        proxy.plan = replace_first
        assert clean(hub) == (RunState.SUCCEEDED, 0)
    assert hub.partner.blobs("Profile/") == {FIRST: b"newer"}


def test_exports_of_another_connector_stay_wherever_their_copies_lie(hub: HubUnderTest, second: Partner) -> None:
    exported(hub)
    other = hub.profile_type("Weird")
    weird = {"entityType": "Profile", "entityName": "Weird"}
    hub.outbound(weird, name="Second", sas=second.sas("cwl"))
    hub.ingest(other, [{"Id": "W"}])
    hub.tick(at(1))
    (path,) = second.paths("Profile/")
    hub.partner.client.upload_blob(path, second.blobs()[path], metadata=second.metadata(path))
    hub.outbound(PROFILE, weird)  # also where this connector exports the same by now
    assert clean(hub) == (RunState.SUCCEEDED, 1)
    hub.services.definitions.connectors.delete(hub.name, "Second")
    delete_expired(hub.services)
    assert hub.partner.paths("Profile/") == [path]
    assert second.paths("Profile/") == [path]


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_copies_in_a_container_that_the_connector_moved_to_stay(
    hub: HubUnderTest, second: Partner, is_made_anew: bool
) -> None:
    metadata = exported(hub)
    second.client.upload_blob(FIRST, hub.partner.blobs()[FIRST], metadata=metadata)
    if is_made_anew:
        hub.services.definitions.connectors.delete(hub.name, "Partner")
    hub.outbound(PROFILE, sas=second.sas())
    assert clean(hub) == (RunState.SUCCEEDED, 0)
    assert second.paths("Profile/") == [FIRST]
    assert hub.partner.paths("Profile/") == [FIRST]


def test_exports_of_an_earlier_release_expire(hub: HubUnderTest) -> None:
    """It did not record the container."""
    run_id = exported(hub)["runid"]
    stored = hub.services.runs.get(hub.name, run_id)
    assert stored is not None
    assert stored.destination is not None
    hub.services.runs.save(replace(stored, destination=None))
    assert clean(hub) == (RunState.SUCCEEDED, 1)


def test_exports_expire_when_nothing_is_exported_any_more(hub: HubUnderTest) -> None:
    exported(hub)
    hub.outbound()
    hub.tick(at(1))
    assert clean(hub) == (RunState.SUCCEEDED, 1)
    assert hub.partner.paths("Profile/") == []


def test_a_copy_in_a_slots_place_is_no_export_of_an_earlier_connector(hub: HubUnderTest) -> None:
    """Its rows would be taken for those of the slot."""
    metadata = exported(hub)
    content = hub.partner.blobs()[FIRST]
    hub.partner.client.upload_blob(path_of(1), content, metadata=metadata)
    hub.ingest(hub.profile_type(), [{"Id": "B"}])
    hub.tick(at(1))
    assert hub.codes() == ["Succeeded", "Failed DestinationBlobExists"]
    assert hub.partner.blobs()[path_of(1)] == content
    hub.partner.client.delete_blob(path_of(1))
    hub.tick(at(2))
    assert contents(hub) == {FIRST: ["A"], path_of(1): ["B"]}


def test_paths_are_those_of_the_imitated_export() -> None:
    assert data_path("Profile", "Customer", slot_of(at(0))) == FIRST
    assert FIRST not in PATHS.values()
    assert len(set(PATHS.values())) == len(PATHS)
