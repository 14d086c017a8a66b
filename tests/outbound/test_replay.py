"""Whatever happens in whatever order: all slots, replayed in the order of their paths, give the present profiles."""

import csv
import io
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.documents.connectors import ExportedEntityType
from shared.domain.documents.entity_types import EntityType
from shared.domain.errors import PreconditionError, RefusedError
from shared.domain.slot import SLOT_LENGTH, data_path, slot_of
from shared.lake.read.instances import instances
from shared.messages.export import handle_message
from shared.outbound.due import hand_out_profile_exports
from shared.outbound.export_slot import SlotRequest, find_export
from shared.outbound.metadata import DIALECT
from shared.outbound.plan import plan_slot
from shared.outbound.publish import _write
from tests.outbound.conftest import NOON, PROFILE, HubUnderTest
from tests.outbound.rows import split_items, texts
from tests.thorough import examples

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("ingest"),
            st.lists(
                st.fixed_dictionaries(
                    {"Id": st.sampled_from(["a", "b", "c,d", 'e"f', "ü"])},
                    optional={
                        "City": st.none() | texts,
                        "Points": st.none() | st.integers(-(2**63), 2**63 - 1),
                        "Tags": st.none() | st.lists(texts.filter(bool), min_size=1, max_size=3),
                    },
                ),
                min_size=1,
                max_size=4,
                unique_by=lambda row: str(row["Id"]),
            ),
        ),
        st.tuples(st.just("tick"), st.none()),
        st.tuples(st.just("tick twice"), st.none()),
        st.tuples(st.just("lose the message"), st.none()),
        st.tuples(st.just("break"), st.none()),
        st.tuples(st.just("mend"), st.none()),
        st.tuples(st.just("crash after the blob"), st.none()),
    ),
    max_size=10,
)

MESSAGE = "message-1"


class History:
    """A hub to which things happen."""

    def __init__(self, hub: HubUnderTest) -> None:
        self.hub = hub
        self.now = NOON
        self.customer = hub.profile_type()
        hub.outbound(PROFILE)

    def do(self, step: str, rows: Any) -> None:
        match step:
            case "ingest":
                self.hub.ingest(self.customer, rows)
            case "break":
                self.hub.outbound(PROFILE, sas=self.hub.partner.sas("l"))
            case "mend":
                self.hub.outbound(PROFILE)
            case _:
                self.tick(step)

    def tick(self, step: str) -> None:
        self.now += SLOT_LENGTH
        self.hub.set_clock(self.now)
        hand_out_profile_exports(self.hub.services)
        messages = self.hub.messages()
        if step == "lose the message":
            return
        for message in messages * (2 if step == "tick twice" else 1):
            if step == "crash after the blob":
                self.crash(message)
            else:
                handle_message(self.hub.services, message, MESSAGE)

    def crash(self, message: dict[str, Any]) -> None:
        """Everything but the records."""
        request = SlotRequest(
            message["hub"],
            message["connector"],
            ExportedEntityType(message["entityType"]),
            message["entityName"],
            slot_of(self.now),
        )
        export = find_export(self.hub.services, request)
        assert export is not None
        plan_slot(export, request.slot)
        plan = next(self.hub.services.slots.waiting(export.series), None)
        if plan is not None:
            with suppress(PreconditionError, RefusedError):
                _write(export, plan, data_path("Profile", "Customer", plan.slot))


def replayed(hub: HubUnderTest) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for _, content in sorted(hub.partner.blobs("Profile/").items()):
        text = io.StringIO(content.decode(), newline="")
        header, *rows = csv.reader(text, strict=True, quoting=csv.QUOTE_NOTNULL)
        for row in rows:
            cells = {name: cell for name, cell in zip(header, row, strict=True) if cell is not None}
            cells.pop("System_ProcessingTime")
            table[cells["Id"]] = {name: split_items(cell) if name == "Tags" else cell for name, cell in cells.items()}
    return table


def present(hub: HubUnderTest, customer: EntityType) -> dict[str, dict[str, Any]]:
    found = {}
    for row in instances(hub.services.lake, customer, top=1000).rows:
        values = {name: value for name, value in row.items() if name in CUSTOMER_FIELDS and value is not None}
        found[row["Id"]] = {name: value if isinstance(value, list) else str(value) for name, value in values.items()}
    return found


CUSTOMER_FIELDS = {"Id", "City", "Points", "Tags", "Seen"}


def test_the_separator_of_arrays_is_the_one_that_is_documented() -> None:
    assert (DIALECT["arraySeparator"], DIALECT["arrayEscapeChar"]) == (";", "\\")


@settings(
    max_examples=examples(12),
    deadline=timedelta(seconds=60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(story=steps)
def test_replayed_slots_are_the_present_profiles(
    make_hub: Callable[[], AbstractContextManager[HubUnderTest]], story: list[tuple[str, Any]]
) -> None:
    with make_hub() as hub:
        history = History(hub)
        for step, rows in story:
            history.do(step, rows)
        history.do("mend", None)
        history.do("tick", None)
        assert replayed(hub) == present(hub, history.customer)
        assert set(hub.codes()) <= {"Succeeded"}
        runs = hub.runs()
        assert [run.details["fromVersion"] for run in runs][1:] == [run.details["toVersion"] for run in runs][:-1]
