"""Slots after a change of their definitions: columns, types, connectors and lists of entities that come and go."""

import json
from dataclasses import replace

import pytest

from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.hubs import Hub
from shared.domain.errors import NotFoundError
from shared.failpoints import FailPoint
from shared.hub_records import delete_hub, put_hub
from shared.maintain import delete_type
from shared.outbound.due import hand_out_profile_exports
from tests.ingest.paused import paused
from tests.outbound.conftest import CUSTOMER, PROFILE, HubUnderTest
from tests.outbound.slots import FIRST, at, contents, export_of, path_of, rows_in


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


def test_a_connector_made_anew_starts_with_everything_in_the_next_slot(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    first = hub.partner.blobs()[FIRST]
    hub.services.definitions.connectors.delete(hub.name, "Partner")
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
    hub.services.definitions.connectors.delete(hub.name, "Partner")
    with pytest.raises(NotFoundError):
        hub.services.definitions.connector(hub.name, "Partner")
    hub.work()
    assert hub.runs() == []


@pytest.mark.parametrize("point", [FailPoint.SLOT_PLANNED, FailPoint.SLOT_STARTED, FailPoint.SLOT_COMMITTED])
def test_an_export_that_is_under_way_leaves_no_run_in_the_next_hub_of_the_name(
    hub: HubUnderTest, point: FailPoint
) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.set_clock(at(0))
    hand_out_profile_exports(hub.services)
    with paused(hub.work, point) as export:
        hub.services.definitions.connectors.delete(hub.name, "Partner")
        delete_type(hub.services, hub.name, EntityKind.PROFILE, "Customer", Conditions())
        delete_hub(hub.services, hub.name, Conditions())
        put_hub(hub.services, hub.name, Hub.from_request({}), Conditions())
        export.end()
    hub.work()
    assert hub.runs() == []


def test_a_type_whose_instances_come_later(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound({**PROFILE, "entityName": "customer"})  # any case
    export = replace(export_of(hub))
    assert export.entity.name == "Customer"
    for number in range(2):
        hub.tick(at(number))
    assert hub.partner.paths() == []
