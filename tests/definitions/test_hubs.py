"""Hubs: made, listed, kept apart, and deleted when they are empty."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.local.key_vault import KeyVault
from shared.definitions.definitions import Definitions
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.hubs import Hub
from shared.domain.errors import ConflictError, HubError, InvalidRequestError, NotFoundError, PreconditionError
from tests.definitions.samples import files, kpi, mapping, profile

EMPTY = Hub.from_request({})


def test_a_hub_needs_nothing_but_a_name(definitions: Definitions) -> None:
    stored, created = definitions.put_hub("Contoso", EMPTY)
    assert created
    document = stored.document.to_json()
    assert {name: document[name] for name in ("hubName", "tenantId", "provisioningState")} == {
        "hubName": "Contoso",
        "tenantId": "Contoso",
        "provisioningState": "Succeeded",
    }
    assert definitions.hub("CONTOSO") == stored


def test_a_replaced_hub_keeps_its_name_and_its_time(definitions: Definitions) -> None:
    first, _ = definitions.put_hub("Contoso", EMPTY)
    body = {"HubName": "x", "provisioningState": "y", "tags": {"a": "b"}, "hubBillingInfo": {"minUnits": "1"}}
    second, created = definitions.put_hub("contoso", Hub.from_request(body))
    assert not created
    assert (second.document.hub_name, second.document.created) == ("Contoso", first.document.created)
    assert second.document.tags == {"a": "b"}
    assert second.instance_id == first.instance_id
    assert definitions.hub_names() == ["Contoso"]


def test_hubs_are_listed_by_name(definitions: Definitions) -> None:
    for name in ("Zebra", "alpha", "Hub", "Beta"):
        definitions.put_hub(name, EMPTY)
    assert definitions.hub_names() == ["alpha", "Beta", "Hub", "Zebra"]


@pytest.mark.parametrize("name", ["hubs", "Hubs"])
def test_no_hub_is_named_like_the_list_of_hubs(definitions: Definitions, name: str) -> None:
    """Its changes would be changes of the list, and all hubs would wait for them."""
    with pytest.raises(InvalidRequestError) as refused:
        definitions.put_hub(name, EMPTY)
    assert [fault.code for fault in refused.value.details] == ["InvalidName"]
    assert definitions.hub_names() == []


@pytest.mark.parametrize("name", ["", "a", "1a", "a-b", "a_b", "a b", "a/b", "a" * 65, "ä1", "a\n"])
def test_names_that_are_not_allowed(definitions: Definitions, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        definitions.put_hub(name, EMPTY)


def test_conditions_are_honoured(definitions: Definitions) -> None:
    stored, _ = definitions.put_hub("Contoso", EMPTY, Conditions(if_none_match=True))
    with pytest.raises(PreconditionError):
        definitions.put_hub("Contoso", EMPTY, Conditions(if_none_match=True))
    newer, _ = definitions.put_hub("Contoso", EMPTY, Conditions(if_match=f'"{stored.etag}"'))
    for act in (
        lambda: definitions.put_hub("Contoso", EMPTY, Conditions(if_match=stored.etag)),
        lambda: definitions.delete_hub("Contoso", Conditions(if_match=stored.etag)),
        lambda: definitions.delete_hub("Fabrikam", Conditions(if_match="*")),
    ):
        with pytest.raises(PreconditionError):
            act()
    definitions.delete_hub("Contoso", Conditions(if_match=newer.etag))
    assert definitions.hub_names() == []


def test_of_ten_who_create_with_a_condition_one_does(definitions: Definitions) -> None:
    def create(_: int) -> bool:
        try:
            return definitions.put_hub("Contoso", EMPTY, Conditions(if_none_match=True))[1]
        except PreconditionError:
            return False

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(create, range(10))) == 1


def test_of_ten_who_replace_with_the_same_etag_one_does(definitions: Definitions) -> None:
    """No update is lost."""
    stored, _ = definitions.put_hub("Contoso", EMPTY)

    def rename(number: int) -> str | None:
        hub = Hub.from_request({"displayName": f"n{number}"})
        try:
            return definitions.put_hub("Contoso", hub, Conditions(if_match=stored.etag))[0].document.display_name
        except PreconditionError:
            return None

    with ThreadPoolExecutor(10) as pool:
        won = [name for name in pool.map(rename, range(10)) if name]
    assert won == [definitions.hub("Contoso").document.display_name]


def test_of_ten_who_replace_without_a_condition_all_do(definitions: Definitions) -> None:
    definitions.put_hub("Contoso", EMPTY)
    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda _: definitions.put_hub("Contoso", EMPTY)[1], range(10)))
    assert results == [False] * 10


def test_a_hub_with_definitions_is_not_deleted(definitions: Definitions, hub: str, vault: KeyVault) -> None:
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.connectors.put(hub, "Files", files(vault))
    definitions.put_mapping(hub, "Files", "Customers", mapping())
    definitions.put_kpi(hub, "Ages", kpi())
    with pytest.raises(ConflictError, match="KPI") as refused:
        definitions.delete_hub("contoso")
    assert refused.value.code == "InUse"
    definitions.delete_kpi(hub, "Ages")
    definitions.connectors.delete(hub, "Files")
    with pytest.raises(ConflictError):
        definitions.delete_hub("contoso")
    definitions.delete_entity_type(hub, EntityKind.PROFILE, "Customer")
    definitions.delete_hub("contoso")
    definitions.delete_hub("contoso")
    with pytest.raises(NotFoundError) as missing:
        definitions.hub(hub)
    assert missing.value.code == "HubNotFound"


def test_a_hub_made_anew_is_another_and_takes_definitions(definitions: Definitions, hub: str) -> None:
    first = definitions.hub(hub)
    definitions.delete_hub(hub)
    with pytest.raises(NotFoundError):
        definitions.put_entity_type(hub, "Customer", profile())
    second, created = definitions.put_hub(hub, EMPTY)
    assert created
    assert second.instance_id != first.instance_id
    assert definitions.put_entity_type(hub, "Customer", profile())[1]


def test_nothing_slips_into_a_hub_that_is_being_deleted(definitions: Definitions) -> None:
    for number in range(5):
        name = f"hub{number}"
        definitions.put_hub(name, EMPTY)

        def add(step: int, name: str = name) -> str:
            try:
                if step == 0:
                    definitions.delete_hub(name)
                    return "deleted"
                definitions.put_entity_type(name, f"T{step}", profile())
            except HubError as error:
                return error.code
            return "added"

        with ThreadPoolExecutor(4) as pool:
            outcome = list(pool.map(add, range(4)))
        assert set(outcome) <= {"deleted", "added", "InUse", "HubNotFound", "HubDeleting"}
        if outcome[0] == "deleted":
            assert list(definitions.entity_types(name)) == []


def test_what_belongs_to_one_hub_is_not_in_another(definitions: Definitions, hub: str) -> None:
    definitions.put_hub("Fabrikam", EMPTY)
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.put_kpi(hub, "Ages", kpi())
    assert list(definitions.entity_types("Fabrikam")) == []
    for read in (
        lambda: definitions.entity_type("Fabrikam", EntityKind.PROFILE, "Customer"),
        lambda: definitions.kpi("Fabrikam", "Ages"),
        lambda: definitions.type_named("Fabrikam", "Customer"),
    ):
        with pytest.raises(NotFoundError):
            read()
    with pytest.raises(InvalidRequestError):
        definitions.put_kpi("Fabrikam", "Ages", kpi())
    definitions.delete_entity_type("Fabrikam", EntityKind.PROFILE, "Customer")
    assert len(definitions.entity_types(hub)) == 1


def test_a_secret_has_no_place_in_a_hub(definitions: Definitions) -> None:
    hub = Hub.from_request({"tags": {"sas": "https://x?sig=MARKER"}, "description": "Password=MARKER"})
    with pytest.raises(InvalidRequestError) as refused:
        definitions.put_hub("Contoso", hub)
    assert {fault.target for fault in refused.value.details} == {"tags.sas", "description"}
    assert "MARKER" not in str(refused.value)
