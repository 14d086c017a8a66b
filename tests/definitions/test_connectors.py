"""The life of connectors: secrets to the vault, the connection tried, and everything gone at the end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.connectors.kinds import connector_from_request
from shared.deadline import deadline
from shared.definitions.definitions import Definitions
from shared.definitions.secrets.secrets import references, with_references
from shared.definitions.store.definition_store import Change, Conditions, Stored
from shared.definitions.store.kinds import CONNECTOR
from shared.domain.documents.connectors import Connector, ConnectorState
from shared.domain.documents.entity_types import EntityKind
from shared.domain.errors import (
    ConflictError,
    InvalidRequestError,
    PreconditionError,
    RefusedError,
    RequestError,
)
from shared.domain.own_names import new_secret_name
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.definitions.samples import crm, files, kpi, mapping, outbound, profile
from tests.local_services import account_of, container_sas

URL = "connectorProperties.connectionKeyVaultUrl"
SAS = "connectorProperties.outputBlobSASUri"
LIST = "connectorProperties.entityList"


@pytest.fixture
def typed(definitions: Definitions, hub: str) -> Definitions:
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.put_kpi(hub, "Ages", kpi(groupBy=["CustomerId"]))
    return definitions


def faults(definitions: Definitions, hub: str, connector: Connector) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequestError) as refused:
        definitions.connectors.put(hub, "Bad", connector)
    assert "MARKER" not in str(refused.value)
    return [(fault.code, fault.target) for fault in refused.value.details]


def test_an_azure_blob_connector_becomes_ready(
    definitions: Definitions, hub: str, vault: KeyVault, azurite: Endpoints
) -> None:
    stored, created = definitions.connectors.put(hub, "Files", files(vault))
    assert created
    document = stored.document.to_json()
    assert (document["connectorId"], document["connectorName"], document["tenantId"]) == (1, "Files", "Contoso")
    assert (document["state"], document.get("stateDetail")) == ("Ready", None)
    assert document["created"] == document["lastModified"]
    assert stored.internal["account"] == "devstoreaccount1"
    assert stored.internal["blob_endpoint"] == azurite.blob
    assert definitions.connector("contoso", "FILES") == stored
    assert definitions.connectors.source_account(stored).blob_endpoint == azurite.blob


def test_an_outbound_connector_becomes_ready(typed: Definitions, hub: str, partner_sas: str) -> None:
    listed: list[dict[str, Any]] = [
        {"entityType": "profile", "entityName": "CUSTOMER", "fieldNames": "customerid; BORN"},
        {"entityType": "Kpi", "entityName": "ages", "fieldNames": ["CUSTOMERID", "value"]},
    ]
    stored, _ = typed.connectors.put(hub, "Partner", outbound(partner_sas, listed))
    document = stored.document.to_json()
    assert document["state"] == "Ready"
    assert document["connectorProperties"] == {
        "entityList": [
            {"entityType": "Profile", "entityName": "Customer", "fieldNames": ["CustomerId", "Born"]},
            {"entityType": "Kpi", "entityName": "Ages", "fieldNames": ["CustomerId", "Value"]},
        ],
        "outputBlobSASUri": "***",
    }
    assert typed.connectors.destinations.sas(stored).get_secret_value() == partner_sas
    assert partner_sas not in repr(stored)


@pytest.mark.parametrize("name", ["lake", "runs", "deployments", "deadletter", "azure-webjobs-secrets"])
def test_nothing_is_exported_to_a_container_of_the_app(
    typed: Definitions, hub: str, azurite: Endpoints, name: str
) -> None:
    assert faults(typed, hub, outbound(container_sas(azurite, name))) == [("ContainerNotAllowed", SAS)]


@pytest.mark.parametrize("name", ["lake", "azure-webjobs-secrets"])
def test_a_container_of_the_app_that_was_taken_earlier_is_refused_when_it_is_used(
    typed: Definitions, hub: str, azurite: Endpoints, settings: Settings, partner_sas: str, name: str
) -> None:
    stored, _ = typed.connectors.put(hub, "Partner", outbound(partner_sas))
    (place,) = references(stored.internal)
    taken = Vaults(settings).set(new_secret_name(hub, stored.instance_id, place), container_sas(azurite, name))

    def make(change: Change) -> Stored[Connector]:
        internal = with_references(stored.internal, {place: taken})
        return change.put(CONNECTOR, ("Partner",), stored.document, stored.instance_id, internal)

    earlier = typed._store.change(hub, make)
    with pytest.raises(RequestError) as refused:
        typed.connectors.destinations.sas(earlier)
    assert refused.value.code == "ContainerNotAllowed"
    assert "sig=" not in str(refused.value)
    assert [check.ok for check in typed.connectors.test(hub, "Partner")] == [False]
    kept, _ = typed.connectors.put(hub, "Partner", connector_from_request(earlier.document.to_json()))
    assert kept.document.state is ConnectorState.FAILED
    assert repr(name) in (kept.document.state_detail or "")


@pytest.mark.parametrize("given", [{}, {"entityList": []}, {"entityList": None}, {"ENTITYLIST": []}])
def test_an_outbound_connector_without_entities_exports_nothing_and_says_so(
    typed: Definitions, hub: str, partner_sas: str, given: dict[str, Any]
) -> None:
    typed.connectors.put(hub, "Partner", outbound(partner_sas))
    properties = {"outputBlobSASUri": partner_sas, **given}
    empty = connector_from_request({"connectorType": "Outbound", "connectorProperties": properties})
    stored, _ = typed.connectors.put(hub, "Partner", empty)
    document = stored.document.to_json()
    assert document["state"] == "Ready"
    assert document["stateDetail"] == "exports nothing: entityList is empty"
    assert document["connectorProperties"] == {"entityList": [], "outputBlobSASUri": "***"}
    assert all(check.ok for check in typed.connectors.test(hub, "Partner"))
    assert typed.connector(hub, "Partner").document.state_detail == document["stateDetail"]
    typed.delete_kpi(hub, "Ages")
    typed.delete_entity_type(hub, EntityKind.PROFILE, "Customer")


def test_why_a_connection_does_not_work_comes_before_what_it_does_not_export(
    typed: Definitions, hub: str, azurite: Endpoints
) -> None:
    properties = {"outputBlobSASUri": container_sas(azurite, "partner", "l")}
    empty = connector_from_request({"connectorType": "Outbound", "connectorProperties": properties})
    stored, _ = typed.connectors.put(hub, "Partner", empty)
    assert stored.document.state is ConnectorState.FAILED
    assert "create and write" in (stored.document.state_detail or "")


@pytest.mark.parametrize("kind", ["None", "CRM", "SocialEngagement", "ExchangeOnline"])
def test_connectors_that_do_not_run_yet_say_so(definitions: Definitions, hub: str, kind: str) -> None:
    properties = {"organizationId": "x", "organizationUrl": "https://x", "mseEndPointUrl": "https://x"}
    connector = connector_from_request({"connectorType": kind, "connectorProperties": properties})
    stored, _ = definitions.connectors.put(hub, "Later", connector)
    assert stored.document.state is ConnectorState.CREATED
    assert kind in (stored.document.state_detail or "")
    [check] = definitions.connectors.test(hub, "Later")
    assert not check.ok
    assert kind in check.message
    assert definitions.connector(hub, "Later") == stored


def test_connectors_are_numbered_for_good(definitions: Definitions, hub: str) -> None:
    for name in ("Bb", "Aa"):
        definitions.connectors.put(hub, name, crm())
    definitions.connectors.delete(hub, "Aa")
    first = definitions.connector(hub, "Bb").document.connector_id
    second = definitions.connectors.put(hub, "Aa", crm())[0].document.connector_id
    again = definitions.connectors.put(hub, "Bb", crm())[0].document.connector_id
    assert (first, second, again) == (1, 3, 1)
    assert [stored.document.connector_name for stored in definitions.connectors.all(hub)] == ["Aa", "Bb"]


def test_connectors_made_at_once_get_numbers_of_their_own(definitions: Definitions, hub: str) -> None:
    def put(number: int) -> int:
        return definitions.connectors.put(hub, f"C{number}", crm(accessToken=f"t{number}"))[0].document.connector_id

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(8))) == list(range(1, 9))


def test_a_connector_made_by_two_at_once_has_the_secret_of_one_document(
    definitions: Definitions, hub: str, settings: Settings
) -> None:
    def put(number: int) -> None:
        definitions.connectors.put(hub, "Crm", crm(accessToken=f"t{number}", note=f"n{number}"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(put, range(6)))
    stored = definitions.connector(hub, "Crm")
    note = stored.document.connector_properties.model_extra["note"]  # type: ignore[index]
    [reference] = references(stored.internal).values()
    assert Vaults(settings).get_own(reference) == note.replace("n", "t")


def test_a_replaced_connector_is_the_same_instance(definitions: Definitions, hub: str, vault: KeyVault) -> None:
    first, _ = definitions.connectors.put(hub, "Files", files(vault))
    second, created = definitions.connectors.put(hub, "files", files(vault, note="new"))
    assert not created
    assert second.instance_id == first.instance_id
    assert second.document.connector_name == "Files"
    assert second.document.created == first.document.created
    assert second.document.connector_properties.model_extra == {"note": "new"}
    definitions.connectors.delete(hub, "Files")
    third, created = definitions.connectors.put(hub, "Files", files(vault))
    assert created
    assert third.instance_id != first.instance_id


def test_the_body_of_a_get_can_be_put(typed: Definitions, hub: str, partner_sas: str) -> None:
    """`***` keeps the secret, and nothing that the server sets is taken from the body."""
    first, _ = typed.connectors.put(hub, "Partner", outbound(partner_sas, deep={"apiPassword": "Password=1"}))
    body = {**first.document.to_json(), "connectorId": 77, "state": "Failed", "tenantId": "other"}
    second, _ = typed.connectors.put(hub, "Partner", connector_from_request(body))
    assert typed.connectors.destinations.sas(second).get_secret_value() == partner_sas
    assert references(second.internal) == references(first.internal)
    assert second.document.connector_id == 1
    assert second.document.state is ConnectorState.READY
    assert second.document.tenant_id == "Contoso"


def test_a_new_secret_takes_the_place_of_the_old(typed: Definitions, hub: str, azurite: Endpoints) -> None:
    old, new = container_sas(azurite, "partner", "cwl"), container_sas(azurite, "partner", "cwld")
    before, _ = typed.connectors.put(hub, "Partner", outbound(old))
    after, _ = typed.connectors.put(hub, "Partner", outbound(new))
    assert typed.connectors.destinations.sas(after).get_secret_value() == new
    assert typed.connectors.destinations.sas(before).get_secret_value() == old


@pytest.mark.parametrize(
    "connector",
    [crm(accessToken="***"), crm(note="***"), crm(deep=[{"x": "***"}])],
)
def test_a_mask_without_a_secret_is_refused(definitions: Definitions, hub: str, connector: Connector) -> None:
    [(code, target)] = faults(definitions, hub, connector)
    assert code == "NoSecretToKeep"
    assert target.startswith("connectorProperties.")
    assert definitions.connectors.all(hub) == []


def test_every_fault_is_named_at_once(typed: Definitions, hub: str) -> None:
    listed = [
        {"entityType": "Profile", "entityName": "Nobody"},
        {"entityType": "Profile", "entityName": "Customer", "fieldNames": ["Age", "Nothing", "AGE", "Else"]},
        {"entityType": "Kpi", "entityName": "Customer"},
        {"entityType": "Kpi", "entityName": "Ages", "fieldNames": "Value,Born"},
    ]
    connector = connector_from_request(
        {
            "connectorType": "Outbound",
            "displayName": "AccountKey=MARKER",
            "connectorProperties": {
                "entityList": listed,
                "outputBlobSASUri": "https://evil.example/x?sr=c&sig=MARKER",
                "apiKey": "***",
            },
        }
    )
    assert faults(typed, hub, connector) == [
        ("SecretNotAllowed", "displayName"),
        ("InvalidSas", SAS),
        ("UnknownEntity", f"{LIST}[0].entityName"),
        ("UnknownField", f"{LIST}[1].fieldNames[1]"),
        ("UnknownField", f"{LIST}[1].fieldNames[3]"),
        ("DuplicateField", f"{LIST}[1].fieldNames"),
        ("DuplicateField", f"{LIST}[1].fieldNames"),
        ("UnknownEntity", f"{LIST}[2].entityName"),
        ("UnknownField", f"{LIST}[3].fieldNames[1]"),
        ("NoSecretToKeep", "connectorProperties.apiKey"),
    ]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://evil.vault.azure.net/secrets/storage", "VaultNotAllowed"),
        ("https://evil.example/secrets/storage", "InvalidValue"),
        ("DefaultEndpointsProtocol=https;AccountName=x;AccountKey=MARKER", "InvalidValue"),
        ("***", "InvalidValue"),
    ],
)
def test_a_vault_off_the_allow_list_is_refused(definitions: Definitions, hub: str, url: str, code: str) -> None:
    connector = connector_from_request(
        {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": url}}
    )
    assert (code, URL) in faults(definitions, hub, connector)


def test_the_type_of_a_connector_stays(typed: Definitions, hub: str, vault: KeyVault) -> None:
    stored, _ = typed.connectors.put(hub, "Files", files(vault))
    with pytest.raises(ConflictError) as refused:
        typed.connectors.put(hub, "Files", crm())
    assert refused.value.code == "ConnectorTypeConflict"
    assert typed.connector(hub, "Files") == stored


@pytest.mark.parametrize(
    ("rights", "days", "container", "words"),
    [
        ("cw", 30, "partner", "list"),
        ("l", 30, "partner", "create and write"),
        ("cwld", -1, "partner", "expired"),
        ("cwld", 30, "no-such-container", "does not exist"),
    ],
)
def test_a_connection_that_does_not_work_says_why(
    typed: Definitions, hub: str, azurite: Endpoints, rights: str, days: int, container: str, words: str
) -> None:
    sas = container_sas(azurite, container, rights, timedelta(days=days))
    stored, created = typed.connectors.put(hub, "Partner", outbound(sas))
    assert created
    assert stored.document.state is ConnectorState.FAILED
    assert words in (stored.document.state_detail or "")
    assert "sig" not in (stored.document.state_detail or "").replace("signature", "")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "does not exist"),
        ("no connection string", "no usable storage connection"),
        ("AccountName=evil;AccountKey=TUFSS0VS;BlobEndpoint=https://evil.example", "host"),
        ("http://127.0.0.1:9/acc", "DEVELOPMENT_ENDPOINTS"),
        ("http://localhost:9", "DEVELOPMENT_ENDPOINTS"),
        ("AccountName=acc;AccountKey=TUFSS0VS;BlobEndpoint=http://127.0.0.1:9/acc", "DEVELOPMENT_ENDPOINTS"),
        ("UseDevelopmentStorage=true", "DEVELOPMENT_ENDPOINTS"),
        ("BLOB/devstoreaccount1", "connection string"),
        ("BLOB/%2e%2e", "name of the account"),
        ("BLOB", "name of the account"),
        ("AccountName=x;AccountKey=TUFSS0VS;BlobEndpoint=BLOB/devstoreaccount1", "AccountName"),
    ],
)
def test_a_source_that_does_not_work_says_why(
    definitions: Definitions, hub: str, vault: KeyVault, azurite: Endpoints, settings: Settings, value: str, words: str
) -> None:
    if value:
        Vaults(settings).set("broken", value.replace("BLOB", azurite.blob.removesuffix("/devstoreaccount1")))
    stored, _ = definitions.connectors.put(hub, "Files", files(vault, "broken" if value else "missing"))
    assert stored.document.state is ConnectorState.FAILED
    assert words in (stored.document.state_detail or "")
    assert "TUFSS0VS" not in repr(stored)
    with pytest.raises((RefusedError, InvalidRequestError)):
        definitions.connectors.source_account(stored)


def test_a_failed_connector_recovers_when_it_is_tested(
    definitions: Definitions, hub: str, vault: KeyVault, settings: Settings, azurite: Endpoints
) -> None:
    failed, _ = definitions.connectors.put(hub, "Files", files(vault, "late"))
    assert failed.document.state is ConnectorState.FAILED
    Vaults(settings).set("late", azurite.connection_string)
    checks = definitions.connectors.test(hub, "files")
    assert all(check.ok for check in checks)
    ready = definitions.connector(hub, "Files")
    assert (ready.document.state, ready.document.state_detail) == (ConnectorState.READY, None)
    assert ready.etag != failed.etag
    assert ready.internal["account"] == "devstoreaccount1"
    definitions.connectors.test(hub, "Files")
    assert definitions.connector(hub, "Files") == ready


def test_a_test_tries_the_containers_of_the_mappings(typed: Definitions, hub: str, vault: KeyVault) -> None:
    typed.connectors.put(hub, "Files", files(vault))
    typed.put_mapping(hub, "Files", "Customers", mapping(folderPath="never-made/x"))
    checks = {check.name: check for check in typed.connectors.test(hub, "Files")}
    assert checks["account"].ok
    assert not checks["container never-made"].ok
    assert typed.connector(hub, "Files").document.state is ConnectorState.FAILED


def test_a_connection_that_was_not_tried_in_whole_is_not_ready(
    typed: Definitions, hub: str, vault: KeyVault, partner_sas: str
) -> None:
    typed.connectors.put(hub, "Files", files(vault))
    typed.connectors.put(hub, "Partner", outbound(partner_sas))
    typed.put_mapping(hub, "Files", "Customers", mapping(folderPath="partner"))
    for name in ("Files", "Partner"):
        with deadline(0):
            checks = typed.connectors.test(hub, name)
        assert [check.name for check in checks if not check.ok] == ["time"]
        document = typed.connector(hub, name).document
        assert document.state is ConnectorState.FAILED
        assert "there was time to try 0 of the 1 " in (document.state_detail or "")
        assert all(check.ok for check in typed.connectors.test(hub, name))
        assert typed.connector(hub, name).document.state is ConnectorState.READY


def test_an_account_that_was_found_stays_known_while_the_url_stays(
    definitions: Definitions, hub: str, vault: KeyVault, settings: Settings, azurite: Endpoints
) -> None:
    """Events are matched by the account, also while the source is out of order."""
    Vaults(settings).set("coming-and-going", azurite.connection_string)
    definitions.connectors.put(hub, "Files", files(vault, "coming-and-going"))
    Vaults(settings).delete("coming-and-going")
    fresh = Definitions(
        Table(account_of(azurite), definitions._store._table.name), Vaults(settings), Clock(settings), settings
    )
    failed, _ = fresh.connectors.put(hub, "Files", files(vault, "coming-and-going"))
    assert failed.document.state is ConnectorState.FAILED
    assert failed.internal["account"] == "devstoreaccount1"
    other, _ = fresh.connectors.put(hub, "Files", files(vault, "another-that-is-missing"))
    assert "account" not in other.internal


def test_a_run_may_say_how_the_connection_is(typed: Definitions, hub: str, partner_sas: str) -> None:
    stored, _ = typed.connectors.put(hub, "Partner", outbound(partner_sas))
    typed.connectors.set_state(hub, stored, ConnectorState.FAILED, "the signature expired")
    noted = typed.connector(hub, "Partner")
    assert (noted.document.state, noted.document.state_detail) == (ConnectorState.FAILED, "the signature expired")
    typed.connectors.set_state(hub, stored, ConnectorState.READY, None)
    assert typed.connector(hub, "Partner") == noted


def test_conditions_are_honoured(typed: Definitions, hub: str, vault: KeyVault) -> None:
    stored, _ = typed.connectors.put(hub, "Files", files(vault), Conditions(if_none_match=True))
    newer, _ = typed.connectors.put(hub, "Files", files(vault), Conditions(if_match=f'"{stored.etag}"'))
    for act in (
        lambda: typed.connectors.put(hub, "Files", files(vault), Conditions(if_match=stored.etag)),
        lambda: typed.connectors.put(hub, "Files", files(vault), Conditions(if_none_match=True)),
        lambda: typed.connectors.delete(hub, "Files", Conditions(if_match=stored.etag)),
        lambda: typed.connectors.delete(hub, "Nothing", Conditions(if_match="*")),
    ):
        with pytest.raises(PreconditionError):
            act()
    typed.connectors.delete(hub, "Files", Conditions(if_match=newer.etag))
