"""Slots under crashes, repetitions and several workers: each is published once, with the same bytes."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from shared.domain.documents.entity_types import ProfileType
from shared.domain.documents.run import RunState
from shared.domain.errors import HubError
from shared.domain.slot import slot_of
from shared.messages.export import give_up, handle_message
from shared.outbound.due import hand_out_profile_exports
from shared.outbound.export_slot import export_slot
from shared.outbound.plan import Export, plan_slot
from shared.outbound.publish import _write, publish_slot
from shared.outbound.slot_run import claim_slot
from tests.outbound.conftest import PROFILE, HubUnderTest
from tests.outbound.slots import FIRST, at, contents, export_of, path_of, request_of

MESSAGE = "message-1"


def first_handed_out(hub: HubUnderTest) -> tuple[ProfileType, dict[str, Any]]:
    """The type, and the message of the first slot of its one profile."""
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.set_clock(at(0))
    hand_out_profile_exports(hub.services)
    (message,) = hub.messages()
    return customer, message


def test_what_was_given_up_but_published_meanwhile_is_no_failure(hub: HubUnderTest) -> None:
    _, message = first_handed_out(hub)
    hub.tick(at(0))
    give_up(hub.services, message)
    assert hub.codes() == ["Succeeded"]


def test_of_a_redelivered_message_nothing_comes_twice(hub: HubUnderTest) -> None:
    customer, message = first_handed_out(hub)
    handle_message(hub.services, message, MESSAGE)
    published, runs = hub.partner.blobs(), hub.runs()
    hub.ingest(customer, [{"Id": "B"}])
    for _ in range(2):
        handle_message(hub.services, message, MESSAGE)
    assert (hub.partner.blobs(), hub.runs()) == (published, runs)


def test_a_slot_is_published_by_one_worker_and_what_waits_behind_it_too(hub: HubUnderTest) -> None:
    customer, first = first_handed_out(hub)
    export = export_of(hub)
    plan_slot(export, slot_of(at(0)))
    assert claim_slot(export, next(hub.services.slots.waiting(export.series)), "first")
    hub.ingest(customer, [{"Id": "B"}])
    hub.set_clock(at(1))
    hand_out_profile_exports(hub.services)
    (second,) = hub.messages()
    handle_message(hub.services, second, "second")
    assert hub.partner.paths("Profile/") == []
    handle_message(hub.services, first, "first")
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
        publish_slot(export, plan, claim_slot(export, plan, "message"))
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


def test_messages_that_are_not_understood_are_dropped(hub: HubUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    messages: list[object] = [{}, [], {"kind": "Export"}, {"kind": "Kpi", "hub": "H", "kpi": "K", "slot": "noon"}]
    for message in messages:
        handle_message(hub.services, message, MESSAGE)
        give_up(hub.services, message)
    assert caplog.messages == ["a message of the queue export is not understood; it is dropped"] * 8


def test_of_a_slot_that_is_not_planned_the_reason_is_told(hub: HubUnderTest) -> None:
    customer, message = first_handed_out(hub)
    storage = BlobServiceClient.from_connection_string(hub.services.settings.storage_connection_string or "")
    lake = storage.get_container_client(f"{hub.services.prefix}-lake")
    for name in list(lake.list_blob_names(name_starts_with=customer.lake_path)):
        if str(name).endswith(".parquet"):
            lake.upload_blob(str(name), b"x" * 99, overwrite=True)
    for delivery in (1, 4):
        with pytest.raises(HubError):
            handle_message(hub.services, message, MESSAGE, delivery)
        assert hub.runs() == []
    with pytest.raises(HubError) as last:
        handle_message(hub.services, message, MESSAGE, 5)
    give_up(hub.services, message)  # as the host has it done
    (run,) = hub.runs()
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert run.error.code == "PlanningFailed"
    assert run.error.message == f"the slot could not be planned: {last.value.code}: {last.value.message}"


def test_of_a_slot_that_no_attempt_has_told_about_the_log_does(hub: HubUnderTest) -> None:
    _, message = first_handed_out(hub)
    give_up(hub.services, message)
    (run,) = hub.runs()
    assert run.error is not None
    assert (run.error.code, "see the log" in run.error.message) == ("PlanningFailed", True)
