"""Slots on real storage: what they carry and what is said of it."""

import json
from datetime import timedelta

from shared.domain.slot import slot_of
from shared.outbound.export_slot import export_slot
from tests.outbound.conftest import PROFILE, HubUnderTest
from tests.outbound.slots import FIRST, at, contents, path_of, request_of

MESSAGE = "message-1"


def test_first_everything_then_what_changed(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "B", "City": "Gent", "Points": 2}, {"Id": "A", "City": "", "Points": 1}])
    hub.tick(at(0))
    hub.ingest(customer, [{"Id": "B", "Points": 3}, {"Id": "A", "Points": 1}, {"Id": "C", "Tags": ["x;y", "z"]}])
    hub.tick(at(1))
    blobs = hub.partner.blobs("Profile/")
    assert list(blobs) == [path_of(0), path_of(1)]
    assert blobs[FIRST].decode() == (
        "Id,City,Points,Tags,Seen,System_ProcessingTime\n"
        'A,"",1,,,2026-11-22T12:07:00.000000Z\n'
        "B,Gent,2,,,2026-11-22T12:07:00.000000Z\n"
    )
    assert blobs[path_of(1)].decode() == (
        "Id,City,Points,Tags,Seen,System_ProcessingTime\n"
        "B,Gent,3,,,2026-11-22T12:22:00.000000Z\n"
        "C,,,x\\;y;z,,2026-11-22T12:22:00.000000Z\n"
    )
    first, second = (hub.partner.metadata(path) for path in blobs)
    assert first["toversion"] == second["fromversion"]
    assert [run.rows_ingested for run in hub.runs()] == [2, 2]
    assert hub.codes() == ["Succeeded", "Succeeded"]


def test_blob_metadata_and_run_tell_the_same(hub: HubUnderTest) -> None:
    import hashlib

    hub.ingest(hub.profile_type(), [{"Id": "A"}])
    hub.outbound(PROFILE)
    hub.tick(at(0))
    metadata = hub.partner.metadata(FIRST)
    content = hub.partner.blobs()[FIRST]
    (run,) = hub.runs()
    assert metadata == {
        "runid": run.run_id,
        "rows": "1",
        "sha256": hashlib.sha256(content).hexdigest(),
        "fromversion": "0",
        "toversion": metadata["toversion"],
    }
    assert (run.rows_read, run.rows_ingested, run.rows_rejected, run.attempts) == (1, 1, 0, 1)
    assert run.slot == slot_of(at(0))
    assert run.details == {
        "path": FIRST,
        "fromVersion": 0,
        "toVersion": int(metadata["toversion"]),
        "sha256": metadata["sha256"],
        "bytes": len(content),
    }


def test_no_change_no_slot_no_record_and_the_slot_stays_open(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.tick(at(0))
    assert (hub.partner.paths(), hub.runs()) == ([], [])
    hub.ingest(customer, [{"Id": "A", "Points": 1}])
    hub.tick(at(0) + timedelta(minutes=5))
    assert contents(hub) == {FIRST: ["A"]}
    hub.tick(at(1))
    hub.ingest(customer, [{"Id": "A", "Points": 1}])  # nothing new in it
    hub.tick(at(2))
    hub.ingest(customer, [{"Id": "A", "Points": 2}])
    hub.tick(at(3))
    assert contents(hub) == {FIRST: ["A"], path_of(3): ["A"]}
    assert len(hub.runs()) == 2


def test_what_comes_after_publication_waits_for_the_next_slot(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    published = hub.partner.blobs()
    hub.ingest(customer, [{"Id": "B"}])
    hub.tick(at(0) + timedelta(minutes=7))
    assert hub.partner.blobs() == published
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"], path_of(1): ["B"]}


def test_a_message_for_an_earlier_slot_does_not_go_behind_a_later_one(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(2))
    hub.ingest(customer, [{"Id": "B"}])
    export_slot(hub.services, request_of(hub, 1), MESSAGE)
    assert contents(hub) == {path_of(2): ["A"]}
    hub.tick(at(3))
    assert contents(hub) == {path_of(2): ["A"], path_of(3): ["B"]}


def test_metadata_says_how_to_read_the_columns(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound({**PROFILE, "fieldNames": "points;ID"})
    hub.ingest(customer, [{"Id": "A", "Points": 5}])
    hub.tick(at(0))
    blobs = hub.partner.blobs()
    assert blobs[FIRST].decode() == "Points,Id,System_ProcessingTime\n5,A,2026-11-22T12:07:00.000000Z\n"
    described = json.loads(blobs["Metadata/Profile/Customer/metadata.json"])
    assert described["columns"] == [
        {"name": "Points", "type": "Edm.Int64", "isArray": False},
        {"name": "Id", "type": "Edm.String", "isArray": False},
        {"name": "System_ProcessingTime", "type": "Edm.DateTimeOffset", "isArray": False},
    ]
    assert described["dialect"]["arraySeparator"] == ";"
    assert {name: described[name] for name in customer.to_json()} == customer.to_json()


def test_metadata_is_mended_and_not_written_without_need(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    name = "Metadata/Profile/Customer/metadata.json"
    etags = []
    for number in range(3):
        hub.ingest(customer, [{"Id": str(number)}])
        hub.tick(at(number))
        etags.append(hub.partner.client.get_blob_client(name).get_blob_properties().etag)
    assert len(set(etags)) == 1
    hub.partner.client.delete_blob(name)
    hub.ingest(customer, [{"Id": "3"}])
    hub.tick(at(3))
    assert name in hub.partner.paths()
