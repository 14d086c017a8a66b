"""Connectors that would export to the same paths of one container: the second is told so, not by each of its slots."""

from typing import Any

import pytest

from infra.local.azurite import Endpoints
from shared.domain.connectors import connector_from_request
from shared.domain.entity_types import ProfileType
from shared.domain.errors import ConflictError
from shared.domain.hubs import Hub
from tests.fault_proxy import Answer, running_proxy
from tests.outbound.conftest import CUSTOMER, ORDER, PROFILE, HubUnderTest
from tests.outbound.slipped import slip_in
from tests.outbound.slots import FIRST, at

OTHER = {"entityType": "Profile", "entityName": "Other"}
KEPT = "***"


def put(hub: HubUnderTest, *entities: dict[str, Any], name: str = "Second", of: str = "", sas: str = "") -> str:
    """PUTs a connector, of this hub or of another, and returns its state."""
    properties = {"entityList": [*entities], "outputBlobSASUri": sas or hub.partner.sas()}
    wanted = connector_from_request({"connectorType": "Outbound", "connectorProperties": properties})
    stored, _ = hub.services.definitions.put_connector(of or hub.name, name, wanted)
    return str(stored.document.state.value)


def state_of(hub: HubUnderTest, name: str = "Second") -> tuple[str, str]:
    document = hub.services.definitions.connector(hub.name, name).document
    return document.state.value, document.state_detail or ""


def fabrikam(hub: HubUnderTest, *types: str) -> None:
    hub.services.definitions.put_hub("Fabrikam", Hub())
    for name in types:
        wanted = ProfileType.from_request({**CUSTOMER, "apiEntitySetName": f"{name}s"})
        hub.services.definitions.put_entity_type("Fabrikam", name, wanted)


def test_two_connectors_of_a_hub_do_not_export_one_entity_to_one_container(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.profile_type("Other")
    hub.outbound(PROFILE)
    with pytest.raises(ConflictError) as refused:
        put(hub, OTHER, {**PROFILE, "entityName": "customer"})
    assert refused.value.code == "InUse"
    assert [fault.target for fault in refused.value.details] == ["connectorProperties.entityList[1].entityName"]
    for named in ("'Partner'", "'Customer'", hub.partner.client.container_name, "entityList"):
        assert named in refused.value.message
    assert "sig=" not in refused.value.message
    assert put(hub, OTHER) == "Ready", "another type beside it"
    for sas in ("", KEPT):
        with pytest.raises(ConflictError, match="'Partner'"):
            put(hub, OTHER, PROFILE, sas=sas)
    for name, entity in (("Partner", PROFILE), ("Second", OTHER)):
        assert put(hub, entity, name=name) == put(hub, entity, name=name, sas=KEPT) == "Ready"


def test_two_hubs_do_not_export_one_entity_to_one_container(
    hub: HubUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    hub.profile_type()
    fabrikam(hub, "Customer", "Other", "Third")
    hub.outbound(PROFILE)
    with pytest.raises(ConflictError) as refused:
        put(hub, OTHER, PROFILE, of="Fabrikam")
    assert refused.value.code == "ContainerOfAnotherHub"
    assert [fault.target for fault in refused.value.details] == ["connectorProperties.entityList[1].entityName"]
    assert "'Customer'" in refused.value.message
    assert hub.name not in refused.value.message
    assert "Partner'" not in refused.value.message
    assert f"export refused: hub Fabrikam container {hub.partner.client.container_name}" in caplog.text
    assert put(hub, OTHER, of="Fabrikam") == "Ready"
    hub.services.definitions.delete_connector(hub.name, "Partner")
    assert put(hub, PROFILE, of="Fabrikam") == "Ready", "the paths are free"


def test_a_kpi_and_a_profile_type_of_one_name_have_paths_of_their_own(hub: HubUnderTest) -> None:
    hub.profile_type("Sales")
    hub.interaction_type("Order", ORDER)
    hub.kpi("Sales", function="Sum", expression="Amount")
    hub.outbound({"entityType": "Profile", "entityName": "Sales"})
    assert put(hub, {"entityType": "Kpi", "entityName": "Sales"}) == "Ready"


def test_who_was_never_let_in_keeps_nobody_out_and_is_told_later(hub: HubUnderTest, azurite: Endpoints) -> None:
    hub.profile_type()
    hub.outbound(PROFILE, sas=hub.partner.sas("cw"))
    assert put(hub, PROFILE) == "Ready"
    with pytest.raises(ConflictError, match="'Second'"):
        hub.outbound(PROFILE)
    with running_proxy(azurite.blob) as proxy:
        sas = hub.partner.sas().replace(azurite.blob, proxy.endpoint)
        proxy.plan = lambda _: Answer(403, "AuthorizationFailure")
        hub.services.definitions.delete_connector(hub.name, "Second")
        hub.outbound(PROFILE, sas=sas)
        assert put(hub, PROFILE) == "Ready"
        proxy.plan = lambda _: None
        hub.services.definitions.test_connector(hub.name, "Partner")
    state, detail = state_of(hub, "Partner")
    assert state == "Failed"
    assert "the connector 'Second' exports the profile type 'Customer'" in detail
    assert hub.services.definitions.test_connector(hub.name, "Second")[-1].ok
    assert state_of(hub) == ("Ready", "")


def test_what_slipped_in_beside_another_is_failed_at_its_first_slot_and_the_rest_of_it_comes_out(
    hub: HubUnderTest,
) -> None:
    customer, other = hub.profile_type(), hub.profile_type("Other")
    hub.outbound(PROFILE)
    slip_in(hub, PROFILE, OTHER)
    hub.ingest(customer, [{"Id": "A"}])
    hub.ingest(other, [{"Id": "B"}])
    hub.tick(at(0))
    assert hub.partner.paths("Profile/") == [FIRST, FIRST.replace("Customer", "Other")]
    ours, theirs = sorted(("Partner", "Second"), key=lambda name: state_of(hub, name)[0], reverse=True)
    assert (state_of(hub, ours), state_of(hub, theirs)[0]) == (("Ready", ""), "Failed")
    assert FIRST in state_of(hub, theirs)[1]
    hub.services.definitions.delete_connector(hub.name, ours)
    hub.tick(at(1))
    assert state_of(hub, theirs) == ("Ready", "")
