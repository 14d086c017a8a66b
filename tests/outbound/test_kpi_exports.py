"""KPIs from the timer to the partner: values, changes of values, and definitions that change."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from infra.local.azurite import Endpoints
from shared import disk_room
from shared.definitions.store.definition_store import Conditions
from shared.disk_room import DiskRoom, Share, give_back_room, reserve_room
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.hubs import Hub
from shared.domain.documents.run import Run, RunKind, RunState, kpi_run_id
from shared.domain.slot import SLOT_LENGTH, slot_of
from shared.failpoints import FailPoint
from shared.hub_records import delete_hub, put_hub
from shared.kpis.calculate import Calculation, calculate_kpi
from shared.lake.container.store import Lake
from shared.ledger.stored_run import StoredRun
from shared.maintain import delete_type
from shared.messages.export import give_up, handle_message
from shared.outbound.due import request_kpi
from shared.storage.queues import Queue
from shared.storage.tables import Table
from tests.fault_proxy import Answer, Request, running_proxy
from tests.ingest.paused import paused
from tests.local_services import account_of
from tests.outbound.conftest import CUSTOMER, NOON, HubUnderTest
from tests.sent_messages import sent_messages

MESSAGE = "message-1"

FIRST = "KPI/Revenue/year=2026/month=11/day=22/hour=12/min=00/data.csv"
REVENUE = {"entityType": "Kpi", "entityName": "Revenue"}
DAY = timedelta(days=1)


def revenue(hub: HubUnderTest, **changed: object) -> None:
    hub.kpi("Revenue", **{"function": "Sum", "expression": "Amount", "groupBy": ["Country"], **changed})


def order(key: str, country: str | None, amount: str | None, ordered: object = NOON) -> dict[str, object]:
    return {"OrderId": key, "Country": country, "Amount": Decimal(amount) if amount else None, "Ordered": ordered}


def table(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def test_a_claim_that_could_not_be_given_back_is_held_by_the_message_that_rests(
    hub: HubUnderTest, azurite: Endpoints
) -> None:
    services, orders = hub.services, hub.interaction_type()
    revenue(hub)
    hub.ingest(orders, [order("1", "DE", "1")])
    runs, writes = services.runs._table, 0

    def busy_once_it_is_claimed(request: Request) -> Answer | None:
        nonlocal writes
        writes += "$batch" in request.target
        # The first one finds no table, the next two make the record and claim it.
        return Answer(503, "ServerBusy", {"Retry-After": "300"}) if writes > 3 else None

    request_kpi(services, hub.name, "Revenue")
    (first,) = hub.messages()
    with running_proxy(azurite.queue) as queue, running_proxy(azurite.table) as tables:
        services.export_queue = Queue(account_of(azurite, queue=queue.endpoint), services.export_queue.name)
        services.runs._table = Table(account_of(azurite, table=tables.endpoint), runs.name)
        tables.plan = busy_once_it_is_claimed
        handle_message(services, first, MESSAGE)
        services.runs._table = runs
        ((delay_s, message),) = sent_messages(queue)
        assert 300 <= delay_s <= 331
        assert [run.state for run in hub.runs(RunKind.KPI)] == [RunState.RUNNING]
        handle_message(services, message, "another message")
    assert [run.state for run in hub.runs(RunKind.KPI)] == [RunState.SUCCEEDED]


def test_a_calculation_that_finds_no_room_rests_and_is_no_attempt(
    hub: HubUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, orders = hub.services, hub.interaction_type()
    revenue(hub)
    hub.ingest(orders, [order("1", "DE", "1")])
    monkeypatch.setattr(disk_room, "_MOST_WAITING", 0)  # it is told at once
    room, other = DiskRoom(pages=10**6, work=10**6, small=0, kept=10**6), Path("another workspace")
    services.lake = Lake(services.account, services.settings, container=services.lake._container, room=room)
    reserve_room(disk_room.Request(other, "another hub", Share.WORK, {"large": 10**6}), room, 0)
    try:
        request_kpi(services, hub.name, "Revenue")
        (first,) = hub.messages()
        handle_message(services, first, MESSAGE)
        (run,) = hub.runs(RunKind.KPI)
        assert run.error is not None
        assert (run.state, run.attempts, run.error.code) == (RunState.QUEUED, 0, "LargeTablesBusy")
    finally:
        give_back_room(other)
    stored = services.runs.get(hub.name, run.run_id)
    assert stored is not None
    services.runs.save(replace(stored, claimed_until=services.clock.machine_now()))  # the rest is over
    handle_message(services, first, MESSAGE)
    assert [run.state for run in hub.runs(RunKind.KPI)] == [RunState.SUCCEEDED]


def test_values_are_calculated_and_exported(hub: HubUnderTest) -> None:
    orders = hub.interaction_type()
    revenue(hub)
    hub.outbound(REVENUE)
    rows = [order("1", "DE", "0.1"), order("2", "DE", "0.2"), order("3", None, "5"), order("4", "FR", None)]
    hub.ingest(orders, rows)
    hub.tick_kpis(NOON)
    blobs = hub.partner.blobs()
    assert list(blobs) == [FIRST, "Metadata/KPI/Revenue/metadata.json"]
    assert blobs[FIRST].decode() == (
        "Country,Timestamp,Value,CalculationTime\n"
        "DE,,0.3,2026-11-22T12:07:00.000000Z\n"
        ",,5.0,2026-11-22T12:07:00.000000Z\n"
    )
    (run,) = hub.runs(RunKind.KPI)
    assert (run.state, run.rows_read, run.rows_ingested, run.entity_type_name) == (RunState.SUCCEEDED, 4, 4, "Revenue")
    assert (run.details["changedValues"], run.details["rowsWithoutTime"]) == (2, 0)
    assert hub.codes() == ["Succeeded"]


def test_later_slots_hold_changed_and_vanished_values(hub: HubUnderTest) -> None:
    orders = hub.interaction_type()
    revenue(hub)
    hub.outbound(REVENUE)
    hub.ingest(orders, [order("1", "DE", "1"), order("2", "FR", "2"), order("3", "NL", "3")])
    hub.tick_kpis(NOON)
    hub.tick_kpis(NOON + DAY)  # nothing has changed
    hub.ingest(orders, [order("1", "DE", "7"), order("2", "NL", "2")])
    hub.tick_kpis(NOON + 2 * DAY)
    paths = hub.partner.paths("KPI/")
    assert len(paths) == 2
    assert [row[:3] for row in table(hub.partner.blobs()[paths[1]])[1:]] == [
        ["DE", "", "7.0"],
        ["FR", "", ""],
        ["NL", "", "5.0"],
    ]
    hub.ingest(orders, [order("4", "FR", "1")])
    hub.tick_kpis(NOON + 3 * DAY)
    assert [row[:3] for row in table(hub.partner.blobs()[hub.partner.paths("KPI/")[2]])[1:]] == [["FR", "", "1.0"]]


def test_windows_and_rows_without_a_time(hub: HubUnderTest) -> None:
    orders = hub.interaction_type()
    hub.kpi("Revenue", function="Count", expression="*", calculationWindow="Day")
    hub.outbound(REVENUE)
    hub.ingest(orders, [order("1", "DE", "1"), order("2", "DE", "1", NOON - DAY), order("3", "DE", "1", None)])
    hub.tick_kpis(NOON)
    assert [row[:2] for row in table(hub.partner.blobs()[FIRST])] == [
        ["Timestamp", "Value"],
        ["2026-11-21T00:00:00.000000Z", "1.0"],
        ["2026-11-22T00:00:00.000000Z", "1.0"],
    ]
    (run,) = hub.runs(RunKind.KPI)
    assert (run.rows_read, run.details["rowsWithoutTime"]) == (2, 1)


def test_profiles_count_as_they_are_now(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.kpi("Revenue", entityType="Profile", entityTypeName="Customer", function="Avg", expression="Points")
    hub.outbound(REVENUE)
    hub.ingest(customer, [{"Id": "A", "Points": 1}, {"Id": "B", "Points": 2}])
    hub.ingest(customer, [{"Id": "B", "City": "Gent"}, {"Id": "A", "Points": 3}])
    hub.tick_kpis(NOON)
    assert table(hub.partner.blobs()[FIRST])[1][:2] == ["", "2.5"]


def test_the_last_value_is_the_one_that_came_in_last(hub: HubUnderTest) -> None:
    orders = hub.interaction_type()
    revenue(hub, function="Last", groupBy=[])
    hub.outbound(REVENUE)
    hub.ingest(orders, [order("z", "DE", "1"), order("y", "DE", "2")])
    hub.ingest(orders, [order("x", "DE", "3"), order("w", "DE", "4", NOON - DAY), order("v", "DE", None)])
    hub.tick_kpis(NOON)
    assert table(hub.partner.blobs()[FIRST])[1][:2] == ["", "3.0"]


def test_time_of_ingestion_where_the_type_names_none(hub: HubUnderTest) -> None:
    body = {"fields": [{"fieldName": "Code", "fieldType": "Edm.String"}], "idPropertyNames": ["Code"]}
    visits = hub.interaction_type("Visit", body)
    hub.kpi("Revenue", entityTypeName="Visit", function="Count", expression="*", calculationWindow="Hour")
    hub.outbound(REVENUE)
    hub.ingest(visits, [{"Code": "1"}])
    hub.set_clock(NOON + timedelta(hours=2))
    hub.ingest(visits, [{"Code": "2"}])
    hub.tick_kpis(NOON + timedelta(hours=2))
    (path,) = hub.partner.paths("KPI/")
    assert [row[:2] for row in table(hub.partner.blobs()[path])[1:]] == [
        ["2026-11-22T12:00:00.000000Z", "1.0"],
        ["2026-11-22T14:00:00.000000Z", "1.0"],
    ]


def test_a_changed_definition_sends_all_its_values(hub: HubUnderTest) -> None:
    orders = hub.interaction_type()
    revenue(hub)
    hub.outbound(REVENUE)
    hub.ingest(orders, [order("1", "DE", "1"), order("2", "FR", "2", NOON - 40 * DAY)])
    hub.tick_kpis(NOON)
    revenue(hub, unit="EUR")  # means the same
    hub.tick_kpis(NOON + SLOT_LENGTH)
    assert len(hub.partner.paths("KPI/")) == 1
    revenue(hub, groupBy=[], calculationWindow="Month")
    hub.tick_kpis(NOON + 2 * SLOT_LENGTH)
    paths = hub.partner.paths("KPI/")
    assert [row[:2] for row in table(hub.partner.blobs()[paths[1]])] == [
        ["Timestamp", "Value"],
        ["2026-10-01T00:00:00.000000Z", "2.0"],
        ["2026-11-01T00:00:00.000000Z", "1.0"],
    ]
    revenue(hub, groupBy=["Country"])
    hub.tick_kpis(NOON + 3 * SLOT_LENGTH)
    last = table(hub.partner.blobs()[hub.partner.paths("KPI/")[2]])
    assert [row[:3] for row in last[1:]] == [["DE", "", "1.0"], ["FR", "", "2.0"]]


def test_chosen_columns_of_a_kpi(hub: HubUnderTest) -> None:
    orders = hub.interaction_type()
    revenue(hub, groupBy=["Country", "OrderId"])
    hub.outbound({**REVENUE, "fieldNames": ["orderid", "Value"]})
    hub.ingest(orders, [order("1", "DE", "1")])
    hub.tick_kpis(NOON)
    assert table(hub.partner.blobs()[FIRST])[0] == ["OrderId", "Timestamp", "Value", "CalculationTime"]


def test_a_request_calculates_and_exports_at_once(hub: HubUnderTest) -> None:
    orders = hub.interaction_type()
    revenue(hub)
    hub.outbound(REVENUE)
    hub.ingest(orders, [order("1", "DE", "1")])
    for _ in range(2):
        request_kpi(hub.services, hub.name, "revenue")
        hub.work()
    assert hub.partner.paths("KPI/") == [FIRST]
    (run,) = hub.runs(RunKind.KPI)
    assert (run.attempts, run.state) == (2, RunState.SUCCEEDED)


def test_values_that_wait_come_out_with_the_next_tick_of_profiles(hub: HubUnderTest) -> None:
    orders = hub.interaction_type()
    revenue(hub)
    hub.outbound(REVENUE, sas=hub.partner.sas("l"))
    hub.ingest(orders, [order("1", "DE", "1")])
    hub.tick_kpis(NOON)
    assert hub.codes() == ["Failed SasRightMissing"]
    hub.outbound(REVENUE)
    hub.tick(NOON + SLOT_LENGTH)
    assert hub.partner.paths("KPI/") == [FIRST]
    assert hub.codes() == ["Succeeded"]


def test_a_kpi_that_is_gone_ends_quietly(hub: HubUnderTest) -> None:
    hub.interaction_type()
    revenue(hub)
    request_kpi(hub.services, hub.name, "Revenue")
    hub.services.definitions.delete_kpi(hub.name, "Revenue")
    hub.work()
    assert hub.runs(RunKind.KPI) == []


@pytest.mark.parametrize("is_calculated_there", [False, True])
def test_a_calculation_that_is_under_way_changes_nothing_in_the_next_hub_of_the_name(
    hub: HubUnderTest, is_calculated_there: bool
) -> None:
    hub.ingest(hub.interaction_type(), [order("1", "DE", "1")])
    revenue(hub)
    hub.set_clock(NOON)
    request_kpi(hub.services, hub.name, "Revenue")
    with paused(hub.work, FailPoint.KPI_CALCULATED) as calculation:
        hub.services.definitions.delete_kpi(hub.name, "Revenue")
        delete_type(hub.services, hub.name, EntityKind.INTERACTION, "Order", Conditions())
        delete_hub(hub.services, hub.name, Conditions())
        put_hub(hub.services, hub.name, Hub.from_request({}), Conditions())
        if is_calculated_there:
            hub.interaction_type()
            revenue(hub)
            assert calculate_kpi(hub.services, hub.name, "Revenue", slot_of(NOON), "other") is Calculation.DONE
        calculation.end()
    assert [run.rows_read for run in hub.runs(RunKind.KPI)] == [0] * is_calculated_there


def test_a_kpi_tried_in_vain_is_recorded(hub: HubUnderTest) -> None:
    hub.profile_type(body=CUSTOMER)
    hub.interaction_type()
    revenue(hub)
    request_kpi(hub.services, hub.name, "Revenue")
    (message,) = hub.messages()
    give_up(hub.services, message)
    (run,) = hub.runs(RunKind.KPI)
    assert (run.state, run.error and run.error.code) == (RunState.FAILED, "WorkerLost")
    handle_message(hub.services, message, MESSAGE)
    (run,) = hub.runs(RunKind.KPI)
    assert (run.state, run.error) == (RunState.SUCCEEDED, None)
    with pytest.raises(StopIteration):
        next(iter(hub.partner.paths()))


def test_a_calculation_that_is_wanted_again_meanwhile_is_made_again(hub: HubUnderTest) -> None:
    orders = hub.interaction_type()
    revenue(hub)
    hub.ingest(orders, [order("1", "BE", "1")])
    request_kpi(hub.services, hub.name, "Revenue")
    (message,) = hub.messages()
    instance = hub.services.definitions.kpi(hub.name, "Revenue").instance_id
    run = Run(
        run_id=kpi_run_id(hub.name, "Revenue", instance, slot_of(NOON)),
        kind=RunKind.KPI,
        state=RunState.RUNNING,
        queued_at=NOON,
    )
    begun = StoredRun(hub=hub.name, run=run).claimed("first", hub.services.clock.machine_now())
    assert hub.services.runs.create(begun)
    handle_message(hub.services, message, "second")
    assert hub.runs(RunKind.KPI)[0].state is RunState.RUNNING
    assert hub.waiting_messages() == 1
    handle_message(hub.services, message, "first")
    (ended,) = hub.runs(RunKind.KPI)
    assert (ended.state, ended.details["changedValues"]) == (RunState.SUCCEEDED, 1)
    handle_message(hub.services, message, "second")
    (again,) = hub.runs(RunKind.KPI)
    assert (again.state, again.details["changedValues"]) == (RunState.SUCCEEDED, 1)
