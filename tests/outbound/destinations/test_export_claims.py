"""Whose the container is that exports go to: who came first stays, and who came later is told."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from infra.local.azurite import Endpoints
from shared.connectors.kinds import connector_from_request
from shared.definitions.store.definition_store import Change, Conditions, Stored
from shared.definitions.store.kinds import CONNECTOR
from shared.domain.documents.connectors import Connector, ConnectorState
from shared.domain.documents.entity_types import ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import RunKind, RunState
from shared.domain.errors import ConflictError
from shared.outbound.retention import delete_expired
from shared.storage.blob.sas import read_container_sas
from shared.storage.key_vault import Vaults
from tests.fault_proxy import Answer, Fault, Request, running_proxy
from tests.outbound.conftest import NOON, PROFILE, HubUnderTest, Partner
from tests.outbound.slots import FIRST, at, contents


def test_nothing_goes_where_another_hub_reads_without_its_leave(hub: HubUnderTest, azurite: Endpoints) -> None:
    definitions, container = hub.services.definitions, hub.partner.client.container_name
    customer = hub.profile_type()
    add_fabrikam(hub, customer, azurite)
    hub.outbound(PROFILE, sas=hub.partner.sas("l"))  # not let in, so nothing is claimed
    definitions.put_mapping("Fabrikam", "Files", "Spy", reading(container))
    definitions.connectors.test("Fabrikam", "Files")  # which lists it
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    assert hub.partner.paths() == []
    assert hub.codes() == ["Failed ContainerOfAnotherHub"]
    document = definitions.connector(hub.name, "Partner").document
    assert document.state is ConnectorState.FAILED
    assert container in (document.state_detail or "")

    definitions.put_hub("Fabrikam", Hub.from_request({"sharedContainers": [container]}))
    hub.outbound(PROFILE)
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"]}
    assert definitions.connector(hub.name, "Partner").document.state is ConnectorState.READY


def test_nobody_moves_a_file_into_the_place_of_another_hubs_slot(hub: HubUnderTest, azurite: Endpoints) -> None:
    definitions, container = hub.services.definitions, hub.partner.client.container_name
    customer = hub.profile_type()
    add_fabrikam(hub, customer, azurite)
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    operation = {"completionOperationType": "MoveFile", "destinationFolder": f"{container}/{FIRST.rpartition('/')[0]}"}
    planted = reading(f"own{container}", completeOperation=operation)
    with pytest.raises(ConflictError, match="exports to") as refused:
        definitions.put_mapping("Fabrikam", "Files", "Planter", planted)
    assert refused.value.code == "ContainerOfAnotherHub"
    hub.tick(at(0))
    assert (contents(hub), hub.codes()) == ({FIRST: ["A"]}, ["Succeeded"])


def add_fabrikam(hub: HubUnderTest, customer: ProfileType, azurite: Endpoints) -> None:
    """Another hub, whose connector `Files` may read all of the partners' account."""
    definitions, secret = hub.services.definitions, f"of-{hub.services.prefix}"
    Vaults(hub.services.settings).set(secret, azurite.connection_string)
    source = {"connectionKeyVaultUrl": f"{hub.services.settings.key_vault_url}/secrets/{secret}"}
    definitions.put_hub("Fabrikam", Hub())
    definitions.put_entity_type("Fabrikam", "Customer", customer)
    body = {"connectorType": "AzureBlob", "connectorProperties": source}
    definitions.connectors.put("Fabrikam", "Files", connector_from_request(body))


def reading(container: str, **more: Any) -> Mapping:
    properties = {
        "folderPath": container,
        **more,
        "errorManagement": {"errorManagementType": "RejectAndContinue"},
        "structure": [{"propertyName": "Id", "columnName": "Id"}],
    }
    body = {"entityType": "Profile", "entityTypeName": "Customer", "mappingProperties": properties}
    return Mapping.from_request(body)


def as_of_an_earlier_release(hub: HubUnderTest) -> Stored[Connector]:
    """Makes the connector one whose release did not note where it exports to."""
    definitions = hub.services.definitions

    def forget(change: Change) -> Stored[Connector]:
        old = definitions._store.require(CONNECTOR, hub.name, "Partner")
        internal = {name: value for name, value in old.internal.items() if name != "exports_to"}
        return change.put(CONNECTOR, ("Partner",), old.document, old.instance_id, internal)

    return definitions._store.change(hub.name, forget)


def put_again(hub: HubUnderTest, old: Stored[Connector]) -> None:
    wanted = connector_from_request(old.document.to_json())
    hub.services.definitions.connectors.put(hub.name, "Partner", wanted, Conditions(if_match=old.etag))


USES: dict[str, Callable[[HubUnderTest, Stored[Connector]], object]] = {
    "slot": lambda hub, _: hub.tick(at(0)),
    "clean-up": lambda hub, _: delete_expired(hub.services),
    "test": lambda hub, _: hub.services.definitions.connectors.test(hub.name, "Partner"),
    "put": put_again,
    "put anew": lambda hub, _: hub.outbound(PROFILE),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_where_an_earlier_release_exports_to_nobody_reads_who_came_later(
    hub: HubUnderTest, azurite: Endpoints, use: Callable[[HubUnderTest, Stored[Connector]], object]
) -> None:
    definitions, container = hub.services.definitions, hub.partner.client.container_name
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    old = as_of_an_earlier_release(hub)
    add_fabrikam(hub, customer, azurite)
    reader, _ = definitions.put_mapping("Fabrikam", "Files", "Spy", reading(container))
    definitions.connectors.test("Fabrikam", "Files")
    use(hub, old)
    connector = definitions.connector(hub.name, "Partner")
    assert connector.document.state is ConnectorState.READY
    claimed = json.loads(connector.internal["exports_to"])
    assert claimed[1:] == [container, (old.document.created or NOON).isoformat()]
    with pytest.raises(ConflictError, match=container):
        definitions.account_of_mapping(definitions.connector("Fabrikam", "Files"), reader)
    hub.tick(at(0))
    assert contents(hub) == {FIRST: ["A"]}
    assert [run.state for run in hub.runs(RunKind.CLEANUP)] == [RunState.SUCCEEDED] * len(hub.runs(RunKind.CLEANUP))


def test_exports_of_an_earlier_release_give_way_to_who_reads_their_container_by_right(
    hub: HubUnderTest, azurite: Endpoints
) -> None:
    """Whoever came first stays, and the connector says in whose way it is with the first slot."""
    definitions, container = hub.services.definitions, hub.partner.client.container_name
    customer = hub.profile_type()
    add_fabrikam(hub, customer, azurite)
    definitions.put_mapping("Fabrikam", "Files", "Spy", reading(container))
    definitions.connectors.test("Fabrikam", "Files")  # which lists it
    definitions.put_hub("Fabrikam", Hub.from_request({"sharedContainers": [container]}))
    hub.set_clock(datetime.now(UTC) + timedelta(hours=1))
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    as_of_an_earlier_release(hub)
    definitions.put_hub("Fabrikam", Hub())
    hub.tick(datetime.now(UTC) + timedelta(hours=2))
    assert hub.codes() == ["Failed ContainerOfAnotherHub"]
    document = definitions.connector(hub.name, "Partner").document
    assert document.state is ConnectorState.FAILED
    assert container in (document.state_detail or "")


@pytest.mark.parametrize("claims_by", ["slot", "clean-up"])
def test_where_a_connector_was_moved_to_is_claimed_once_it_lets_it_in(
    hub: HubUnderTest, second: Partner, claims_by: str
) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    second.client.delete_container()
    hub.outbound(PROFILE, sas=second.sas())
    assert hub.services.definitions.connector(hub.name, "Partner").document.state is ConnectorState.FAILED
    second.client.create_container()
    hub.ingest(customer, [{"Id": "A"}])
    if claims_by == "slot":
        hub.tick(at(0))
    else:
        delete_expired(hub.services)
    connector = hub.services.definitions.connector(hub.name, "Partner")
    assert json.loads(connector.internal["exports_to"])[1] == second.client.container_name
    assert connector.document.state is (ConnectorState.READY if claims_by == "slot" else ConnectorState.FAILED)


@pytest.mark.parametrize(("answer", "verdict"), [(None, "Ready"), (Answer(403, "AuthorizationFailure"), "Failed")])
def test_an_export_in_the_seconds_of_a_check_costs_neither_the_verdict_nor_the_claim(
    hub: HubUnderTest, second: Partner, azurite: Endpoints, answer: Fault | None, verdict: str
) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    with running_proxy(azurite.blob) as proxy:
        exported: list[Stored[Connector]] = []

        def export_first(_: Request) -> Fault | None:
            if exported:
                return None
            exported.append(hub.services.definitions.connector(hub.name, "Partner"))
            hub.tick(at(0))
            return answer

        proxy.plan = export_first
        hub.outbound(PROFILE, sas=second.sas().replace(azurite.blob, proxy.endpoint))
    assert hub.codes() == ["Succeeded"]
    connector = hub.services.definitions.connector(hub.name, "Partner")
    assert [stored.document.state for stored in exported] == [ConnectorState.CREATING]
    assert connector.document.state == verdict
    assert json.loads(connector.internal["exports_to"])[1] == second.client.container_name


def test_a_claim_is_as_old_as_its_first_export(hub: HubUnderTest) -> None:
    """A claim that was made from an older look at the connector does not put it behind those who came meanwhile."""
    hub.profile_type()
    hub.outbound(PROFILE, sas=hub.partner.sas("l"))
    definitions, sas = hub.services.definitions, hub.partner.sas()
    place = read_container_sas(SecretStr(sas), hub.services.settings)
    unclaimed = definitions.connector(hub.name, "Partner")
    assert unclaimed.internal["exports_to"] == ""
    definitions.connectors.destinations.claim(hub.name, unclaimed, place)
    claimed = definitions.connector(hub.name, "Partner").internal["exports_to"]
    definitions.connectors.set_state(hub.name, unclaimed, ConnectorState.FAILED, "the signature expired")
    connector = definitions.connector(hub.name, "Partner")
    assert (connector.internal["exports_to"], connector.document.state_detail) == (claimed, "the signature expired")
    for exported in (None, "Profile/Customer"):
        definitions.connectors.destinations.claim(hub.name, unclaimed, place, exported)
        assert definitions.connector(hub.name, "Partner") == connector, "of verdicts the first one stays"


def test_a_connector_whose_check_never_ended_is_ready_once_it_exports(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    definitions = hub.services.definitions

    def interrupt(change: Change) -> None:
        old = definitions._store.require(CONNECTOR, hub.name, "Partner")
        document = old.document.model_copy(update={"state": ConnectorState.CREATING})
        change.put(CONNECTOR, ("Partner",), document, old.instance_id, old.internal)

    definitions._store.change(hub.name, interrupt)
    hub.tick(at(0))
    assert definitions.connector(hub.name, "Partner").document.state is ConnectorState.READY


def test_a_connector_that_is_being_deleted_stays_so_whatever_is_found_out(hub: HubUnderTest) -> None:
    hub.profile_type()
    hub.outbound(PROFILE)
    definitions = hub.services.definitions

    def begin(change: Change) -> None:
        old = definitions._store.require(CONNECTOR, hub.name, "Partner")
        document = old.document.model_copy(update={"state": ConnectorState.DELETING})
        change.put(CONNECTOR, ("Partner",), document, old.instance_id, old.internal)

    before = definitions.connector(hub.name, "Partner")
    definitions._store.change(hub.name, begin)
    for stored in (before, definitions.connector(hub.name, "Partner")):
        definitions.connectors.set_state(hub.name, stored, ConnectorState.FAILED, "the destination refuses")
        assert definitions.connector(hub.name, "Partner").document.state is ConnectorState.DELETING
