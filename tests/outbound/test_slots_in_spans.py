"""Slots and calculations can be followed as runs are, and how old an export is when it comes out can be measured."""

from datetime import timedelta

from shared.domain.documents.run import RunKind
from tests.outbound.conftest import PROFILE, HubUnderTest
from tests.outbound.slots import at
from tests.telemetry.otlp_collector import exported, facts

LATE = timedelta(minutes=7)


def test_a_slot_is_planned_and_published_in_one_trace(hub: HubUnderTest) -> None:
    hub.ingest(hub.profile_type(), [{"Id": "A"}])
    hub.outbound(PROFILE)
    with exported(hub.services.settings) as collected:
        hub.tick(at(0))
    work = collected.span("run_export")
    steps = [collected.span(name) for name in ("plan", "publish")]
    assert [step.parent_span_id for step in steps] == [work.span_id] * 2
    assert {span.trace_id for span in collected.spans} == {work.trace_id}
    [run] = hub.runs()
    published = facts(collected.span("publish").attributes)
    assert (published["run.id"], published["run.state"], published["run.rows.ingested"]) == (run.run_id, "Succeeded", 1)


def test_how_old_it_is_when_it_comes_out_is_measured(hub: HubUnderTest) -> None:
    hub.ingest(hub.profile_type(), [{"Id": "A"}])
    hub.outbound(PROFILE)
    with exported(hub.services.settings) as collected:
        hub.tick(at(0))
    freshness = collected.metrics["connector.export.freshness"]
    [point] = freshness.histogram.data_points
    assert freshness.unit == "s"
    assert LATE.total_seconds() <= point.sum < LATE.total_seconds() + 60
    assert facts(point.attributes) == {"entity.type": "Profile"}


def test_a_calculation_and_the_slot_that_it_asks_for_are_one_trace(hub: HubUnderTest) -> None:
    hub.ingest(hub.interaction_type(), [{"OrderId": "1", "Country": "DE"}])
    hub.kpi("Revenue", function="Count", expression="*")
    hub.outbound({"entityType": "Kpi", "entityName": "Revenue"})
    with exported(hub.services.settings) as collected:
        hub.tick_kpis(at(0))
    assert len({span.trace_id for span in collected.spans}) == 1
    asked, slot = sorted(
        (span for span in collected.spans if span.name == "run_export"), key=lambda span: span.start_time_unix_nano
    )
    assert collected.span("calculate").parent_span_id == asked.span_id
    assert (slot.parent_span_id, collected.span("publish").parent_span_id) == (asked.span_id, slot.span_id)
    [run] = hub.runs(RunKind.KPI)
    assert facts(collected.span("calculate").attributes)["run.id"] == run.run_id
