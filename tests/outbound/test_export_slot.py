"""Slots on real storage: what they carry, in which order they come out, and that nothing is doubled or lost."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.connectors import ExportedEntityType
from shared.domain.errors import NotFoundError, UnavailableError
from shared.domain.run import RunState
from shared.domain.slot import SLOT_LENGTH, slot_of
from shared.outbound.due import hand_out_profile_exports
from shared.outbound.export_slot import SlotRequest, export_slot, find_export
from shared.outbound.messages import give_up, take_message
from shared.outbound.plan import Export, plan_slot
from shared.outbound.publish import _write, publish_slot
from shared.outbound.slot_run import start_run
from tests.outbound.conftest import CUSTOMER, NOON, PROFILE, HubUnderTest

MESSAGE = "message-1"

FIRST = "Profile/Customer/year=2026/month=11/day=22/hour=12/min=00/data.csv"


def at(number: int) -> datetime:
    """Seven minutes into the slot with that number, from noon on."""
    return NOON + number * SLOT_LENGTH


def path_of(number: int) -> str:
    return f"Profile/Customer/{slot_of(at(number)):year=%Y/month=%m/day=%d/hour=%H/min=%M}/data.csv"


def rows_in(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def ids_in(content: bytes) -> list[str]:
    return [row["Id"] for row in rows_in(content)]


def export_of(hub: HubUnderTest, number: int = 0) -> Export:
    export = find_export(hub.services, request_of(hub, number), worker=None)
    assert export is not None
    return export


def request_of(hub: HubUnderTest, number: int) -> SlotRequest:
    return SlotRequest(hub.name, "Partner", ExportedEntityType.PROFILE, "Customer", slot_of(at(number)))


def contents(hub: HubUnderTest) -> dict[str, list[str]]:
    """The ids in each published slot."""
    return {path: ids_in(content) for path, content in hub.partner.blobs("Profile/").items()}


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


def test_edited_columns_hold_from_the_next_slot_on(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound({**PROFILE, "fieldNames": ["Id"]})
    hub.ingest(customer, [{"Id": "A", "City": "Gent"}])
    hub.tick(at(0))
    hub.outbound({**PROFILE, "fieldNames": ["Id"]}, sas=hub.partner.sas("l"))
    hub.ingest(customer, [{"Id": "B", "City": "Gent"}])
    hub.tick(at(1))
    hub.outbound({**PROFILE, "fieldNames": ["City", "Id"]})
    hub.ingest(customer, [{"Id": "C", "City": "Lyon"}])
    hub.tick(at(2))
    headers = [content.split(b"\n")[0].decode() for content in hub.partner.blobs("Profile/").values()]
    assert headers == ["Id,System_ProcessingTime", "Id,System_ProcessingTime", "City,Id,System_ProcessingTime"]
    described = json.loads(hub.partner.blobs()["Metadata/Profile/Customer/metadata.json"])
    assert [column["name"] for column in described["columns"]][:-1] == ["City", "Id"]


def test_a_new_field_is_exported_where_all_are(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    fields = [*CUSTOMER["fields"], {"fieldName": "Loyal", "fieldType": "Edm.Boolean"}]
    wider = hub.profile_type(body={**CUSTOMER, "fields": fields})
    hub.ingest(wider, [{"Id": "A", "Loyal": True}])
    hub.tick(at(1))
    (row,) = rows_in(hub.partner.blobs()[path_of(1)])
    assert row["Loyal"] == "true"


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


def test_slots_wait_for_their_destination_and_come_out_in_order(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE, sas=hub.partner.sas("l"))
    for number in range(3):
        hub.ingest(customer, [{"Id": f"{number}"}, {"Id": "X", "Points": number}])
        hub.tick(at(number))
    assert hub.partner.paths() == []
    assert hub.codes() == ["Failed SasRightMissing"] * 3
    assert [run.attempts for run in hub.runs()] == [3, 0, 0]
    hub.outbound(PROFILE)
    hub.tick(at(3))
    assert contents(hub) == {path_of(0): ["0", "X"], path_of(1): ["1", "X"], path_of(2): ["2", "X"]}
    assert [rows_in(hub.partner.blobs()[path_of(number)])[1]["Points"] for number in range(3)] == ["0", "1", "2"]
    assert hub.codes() == ["Succeeded"] * 3
    written = [
        hub.partner.client.get_blob_client(path_of(number)).get_blob_properties().creation_time for number in range(3)
    ]
    assert written == sorted(written)


def test_the_state_of_the_connector_says_how_its_destination_fares(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)

    def state() -> tuple[str, bool]:
        document = hub.services.definitions.connector(hub.name, "Partner").document
        return document.state.value, bool(document.state_detail)

    assert state() == ("Ready", False)
    hub.partner.client.delete_container()
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    assert hub.codes() == ["Failed ContainerNotFound"]
    assert state() == ("Failed", True)
    hub.partner.client.create_container()
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"]}
    assert state() == ("Ready", False)


def test_a_field_that_the_type_lost_does_not_hold_up_its_slots(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE, sas=hub.partner.sas("l"))
    hub.ingest(customer, [{"Id": "A", "City": "Gent"}])
    hub.tick(at(0))
    fields = [field for field in CUSTOMER["fields"] if field["fieldName"] != "City"]
    hub.profile_type(body={**CUSTOMER, "fields": fields})
    hub.outbound(PROFILE)
    hub.tick(at(1))
    assert rows_in(hub.partner.blobs()[FIRST])[0].keys() == {"Id", "Points", "Tags", "Seen", "System_ProcessingTime"}


def test_what_was_given_up_but_published_meanwhile_is_no_failure(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.set_clock(at(0))
    hand_out_profile_exports(hub.services)
    (message,) = hub.messages()
    hub.tick(at(0))
    give_up(hub.services, message)
    assert hub.codes() == ["Succeeded"]


def test_a_foreign_blob_in_the_way_is_left_alone(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.partner.client.upload_blob(FIRST, b"theirs", metadata={"runid": "forged"})
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    hub.tick(at(1))
    assert hub.partner.blobs("Profile/") == {FIRST: b"theirs"}
    assert hub.codes() == ["Failed DestinationBlobExists"]
    hub.partner.client.delete_blob(FIRST)
    hub.tick(at(2))
    assert contents(hub) == {FIRST: ["A"]}
    assert hub.codes() == ["Succeeded"]


def test_two_connectors_on_one_container_are_told_apart(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.outbound(PROFILE, name="Second")
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    published = hub.partner.blobs("Profile/")
    assert contents(hub) == {FIRST: ["A"]}
    assert sorted(hub.codes()) == ["Failed DestinationBlobExists", "Succeeded"]
    hub.tick(at(1))
    assert hub.partner.blobs("Profile/") == published


def test_a_connector_made_anew_starts_with_everything_in_the_next_slot(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    first = hub.partner.blobs()[FIRST]
    hub.services.definitions.delete_connector(hub.name, "Partner")
    hub.outbound(PROFILE)
    hub.tick(at(0))
    assert contents(hub) == {FIRST: ["A"]}
    hub.ingest(customer, [{"Id": "B"}])
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"], path_of(1): ["A", "B"]}
    assert hub.partner.blobs()[FIRST] == first
    assert sorted(hub.codes()) == ["Skipped SlotTaken", "Succeeded", "Succeeded"]


def test_an_entity_taken_off_the_list_and_put_back_starts_with_everything(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.profile_type("Other")
    other = {"entityType": "Profile", "entityName": "Other"}
    hub.outbound(PROFILE, other)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    hub.outbound(other)
    hub.ingest(customer, [{"Id": "B"}])
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"]}
    hub.outbound(PROFILE, other)
    hub.tick(at(2))
    assert contents(hub) == {FIRST: ["A"], path_of(2): ["A", "B"]}


def test_a_connector_that_is_gone_ends_quietly(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound(PROFILE)
    hub.set_clock(at(0))
    hand_out_profile_exports(hub.services)
    hub.services.definitions.delete_connector(hub.name, "Partner")
    with pytest.raises(NotFoundError):
        hub.services.definitions.connector(hub.name, "Partner")
    hub.work()
    assert hub.runs() == []


def test_of_a_redelivered_message_nothing_comes_twice(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.set_clock(at(0))
    hand_out_profile_exports(hub.services)
    (message,) = hub.messages()
    take_message(hub.services, message, MESSAGE)
    published, runs = hub.partner.blobs(), hub.runs()
    hub.ingest(customer, [{"Id": "B"}])
    for _ in range(2):
        take_message(hub.services, message, MESSAGE)
    assert (hub.partner.blobs(), hub.runs()) == (published, runs)


def test_a_slot_is_published_by_one_worker_and_what_waits_behind_it_too(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.set_clock(at(0))
    hand_out_profile_exports(hub.services)
    (first,) = hub.messages()
    export = replace(export_of(hub), worker="first")
    plan_slot(export, slot_of(at(0)))
    assert start_run(export, next(hub.services.slots.waiting(export.series)))
    hub.ingest(customer, [{"Id": "B"}])
    hub.set_clock(at(1))
    hand_out_profile_exports(hub.services)
    (second,) = hub.messages()
    take_message(hub.services, second, "second")
    assert hub.partner.paths("Profile/") == []
    take_message(hub.services, first, "first")
    assert contents(hub) == {path_of(0): ["A"], path_of(1): ["B"]}
    assert hub.codes() == ["Succeeded", "Succeeded"]


@pytest.mark.parametrize("crash", ["planned", "written", "recorded"])
def test_a_crash_between_two_steps_is_made_good(hub: HubUnderTest, crash: str) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    export = export_of(hub)
    plan_slot(export, slot_of(at(0)))
    (plan,) = hub.services.slots.waiting(export.series)
    hub.ingest(customer, [{"Id": "B"}])
    written: dict[str, bytes] = {}
    if crash != "planned":
        _write(export, plan, FIRST)
        written = hub.partner.blobs()
    if crash == "recorded":
        publish_slot(export, plan)
        hub.services.slots._table.upsert(  # the ledger as it was before its last step
            {**_plan_row(hub, export), "RowKey": f"plan|{plan.slot:%Y-%m-%dT%H:%MZ}"}
        )
    runs_before = hub.runs()
    hub.tick(at(0))
    assert contents(hub) == {FIRST: ["A"]}
    assert hub.codes() == ["Succeeded"]
    assert written.items() <= hub.partner.blobs().items()
    if crash == "recorded":
        assert hub.runs() == runs_before
    assert list(hub.services.slots.waiting(export.series)) == []
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"], path_of(1): ["B"]}


def _plan_row(hub: HubUnderTest, export: Export) -> dict[str, Any]:
    row = hub.services.slots._table.get(export.series.partition, f"slot|{slot_of(at(0)):%Y-%m-%dT%H:%MZ}")
    assert row is not None
    return {**row, "tableVersion": 1, "isFirst": True, "columns0": '["Id"]'}


def test_the_same_slot_has_the_same_bytes(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": f"{number:03}", "Points": number} for number in range(300)])
    export = export_of(hub)
    plan_slot(export, slot_of(at(0)))
    (plan,) = hub.services.slots.waiting(export.series)
    _write(export, plan, "first.csv")
    hub.ingest(customer, [{"Id": "007", "Points": -1}])
    hub.set_clock(at(1))
    export.entity.newest(hub.services.lake, at(1))  # a later refresh changes nothing of it
    _write(export, plan, "again.csv")
    blobs = hub.partner.blobs()
    assert blobs["first.csv"] == blobs["again.csv"]
    assert hub.partner.metadata("first.csv") == hub.partner.metadata("again.csv")


@pytest.mark.parametrize("workers", [["a", "b", "c"], ["a", "a", "a"]], ids=["claims", "a paused worker wakes up"])
def test_workers_at_once_publish_once(hub: HubUnderTest, workers: list[str]) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    for number in range(3):
        hub.ingest(customer, [{"Id": f"{number}-{row:04}"} for row in range(2000)])
        hub.set_clock(at(number))
        with ThreadPoolExecutor(3) as pool:
            request = request_of(hub, number)
            for done in [pool.submit(export_slot, hub.services, request, worker) for worker in workers]:
                done.result()
    assert {path: len(ids) for path, ids in contents(hub).items()} == {path_of(number): 2000 for number in range(3)}
    assert hub.codes() == ["Succeeded"] * 3


def test_a_destination_that_does_not_answer_is_tried_again_by_the_queue(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.set_clock(at(0))
    sas = hub.partner.sas()
    unreachable = sas.replace(sas.split("/")[2], "127.0.0.1:9")  # the discard port: nobody listens
    hub.outbound(PROFILE, sas=unreachable)
    hand_out_profile_exports(hub.services)
    (message,) = hub.messages()
    with pytest.raises(UnavailableError):
        take_message(hub.services, message, MESSAGE)
    (run,) = hub.runs()
    assert (run.state, run.error and run.error.code) == (RunState.QUEUED, "StorageUnavailable")
    give_up(hub.services, message)
    assert hub.codes() == ["Failed StorageUnavailable"]
    hub.outbound(PROFILE)
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"]}
    assert hub.codes() == ["Succeeded"]


def test_slots_that_waited_too_long_are_carried_by_one_with_everything(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A", "Points": 1}])
    hub.tick(at(0))
    hub.outbound(PROFILE, sas=hub.partner.sas("l"))
    for days in (1, 2, 30):
        hub.ingest(customer, [{"Id": f"{days}"}])
        hub.tick(at(0) + timedelta(days=days))
    hub.outbound(PROFILE)
    hub.tick(at(1) + timedelta(days=30))
    assert list(contents(hub).values()) == [["A"], ["1", "2", "30", "A"]]
    assert list(contents(hub))[1].startswith("Profile/Customer/year=2026/month=12/day=22/hour=12/min=00/")
    assert hub.codes() == ["Succeeded", "Skipped SlotExpired", "Skipped SlotExpired", "Succeeded"]
    hub.ingest(customer, [{"Id": "A", "Points": 2}])
    hub.tick(at(2) + timedelta(days=30))
    assert list(contents(hub).values())[2] == ["A"]


def test_a_type_whose_instances_come_later(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound({**PROFILE, "entityName": "customer"})  # any case
    export = replace(export_of(hub))
    assert export.entity.name == "Customer"
    for number in range(2):
        hub.tick(at(number))
    assert hub.partner.paths() == []


def test_messages_that_are_not_understood_are_dropped(hub: HubUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    for message in ({}, [], {"kind": "Export"}, {"kind": "Kpi", "hub": "H", "kpi": "K", "slot": "noon"}):
        take_message(hub.services, message, MESSAGE)
        give_up(hub.services, message)
    assert caplog.messages == ["a message of the queue export is not understood; it is dropped"] * 8
