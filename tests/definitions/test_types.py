"""Profile and interaction types: one name each, fields that never change their type, and no type that is missed."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.local.key_vault import KeyVault
from shared.definitions.definitions import Definitions
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import EntityKind, EntityType, ProfileType
from shared.domain.errors import ConflictError, InvalidRequestError, NotFoundError, PreconditionError
from tests.definitions.samples import fields, files, interaction, kpi, mapping, outbound, profile

PROFILE, INTERACTION = EntityKind.PROFILE, EntityKind.INTERACTION


def refused(definitions: Definitions, hub: str, name: str, entity_type: EntityType) -> ConflictError:
    with pytest.raises(ConflictError) as caught:
        definitions.put_entity_type(hub, name, entity_type)
    return caught.value


def test_a_type_is_stored_with_what_the_server_knows(definitions: Definitions, hub: str) -> None:
    stored, created = definitions.put_entity_type(hub, "Customer", profile(set_name="Customers"))
    assert created
    document = stored.document.to_json()
    assert (document["typeName"], document["tenantId"], document["apiEntitySetName"]) == (
        "Customer",
        "Contoso",
        "Customers",
    )
    assert document["created"].endswith("Z")
    assert definitions.entity_type("contoso", PROFILE, "customer") == stored
    with pytest.raises(NotFoundError) as missing:
        definitions.entity_type(hub, INTERACTION, "Customer")
    assert missing.value.code == "InteractionTypeNotFound"
    with pytest.raises(NotFoundError) as missing:
        definitions.entity_type("nowhere", PROFILE, "Customer")
    assert missing.value.code == "HubNotFound"


def test_a_replaced_type_keeps_name_instance_and_creation(definitions: Definitions, hub: str) -> None:
    first, _ = definitions.put_entity_type(hub, "Customer", profile())
    second, created = definitions.put_entity_type(hub, "CUSTOMER", profile())
    assert not created
    assert second.document.type_name == "Customer"
    assert second.instance_id == first.instance_id
    assert second.document.created == first.document.created
    assert second.document.last_changed_utc is not None
    assert first.document.last_changed_utc is not None
    assert second.document.last_changed_utc > first.document.last_changed_utc
    assert second.etag != first.etag


def test_types_of_both_kinds_are_listed(definitions: Definitions, hub: str) -> None:
    definitions.put_entity_type(hub, "Order", interaction())
    definitions.put_entity_type(hub, "Customer", profile())
    assert [stored.document.type_name for stored in definitions.entity_types(hub)] == ["Customer", "Order"]
    assert [stored.document.type_name for stored in definitions.entity_types(hub, INTERACTION)] == ["Order"]
    assert [stored.document.type_name for stored in definitions.entity_types(hub, PROFILE)] == ["Customer"]


@pytest.mark.parametrize("name", ["customer", "CUSTOMERS", "Customers"])
def test_a_type_is_found_by_its_name_and_by_its_sets(definitions: Definitions, hub: str, name: str) -> None:
    stored, _ = definitions.put_entity_type(hub, "Customer", profile(set_name="Customers"))
    definitions.put_entity_type(hub, "Order", interaction())
    assert definitions.type_named(hub, name) == stored


def test_what_is_not_defined_is_not_found(definitions: Definitions, hub: str) -> None:
    with pytest.raises(NotFoundError) as missing:
        definitions.type_named(hub, "Nothing")
    assert missing.value.code == "TypeNotFound"


@pytest.mark.parametrize(
    ("name", "entity_type", "targets"),
    [
        ("customer", interaction(), {"typeName"}),
        ("Customers", profile(), {"typeName"}),
        ("Client", profile(set_name="CUSTOMERS"), {"apiEntitySetName"}),
        ("Client", profile(set_name="Customer"), {"apiEntitySetName"}),
        ("Customers", profile(set_name="customer"), {"typeName", "apiEntitySetName"}),
    ],
)
def test_a_name_means_one_type(
    definitions: Definitions, hub: str, name: str, entity_type: EntityType, targets: set[str]
) -> None:
    definitions.put_entity_type(hub, "Customer", profile(set_name="Customers"))
    error = refused(definitions, hub, name, entity_type)
    assert error.code == "NameTaken"
    assert {fault.target for fault in error.details} == targets
    assert len(definitions.entity_types(hub)) == 1


def test_of_two_kinds_that_want_a_name_at_once_one_gets_it(definitions: Definitions, hub: str) -> None:
    def put(entity_type: EntityType) -> bool:
        try:
            return definitions.put_entity_type(hub, "Customer", entity_type)[1]
        except ConflictError:
            return False

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(put, [profile(), interaction()] * 4))
    assert sum(created) == 1
    assert len(definitions.entity_types(hub)) == 1


@pytest.mark.parametrize("name", ["KPIs", "a", "1x", "a b", "x" * 129, "", "../x"])
def test_names_that_are_not_allowed(definitions: Definitions, hub: str, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        definitions.put_entity_type(hub, name, profile())


def test_new_fields_are_welcome_and_old_ones_may_rest(definitions: Definitions, hub: str) -> None:
    definitions.put_entity_type(hub, "Customer", profile(CustomerId="String", Age="Int32"))
    definitions.put_entity_type(hub, "Customer", profile(CustomerId="String", Email="String"))
    definitions.put_entity_type(hub, "Customer", profile(Email="String", CustomerId="String", Age="Int32"))
    stored = definitions.entity_type(hub, PROFILE, "Customer")
    assert [field.field_name for field in stored.document.fields] == ["Email", "CustomerId", "Age"]


@pytest.mark.parametrize(
    ("changed", "targets"),
    [
        (profile(CustomerId="String", Age="Int64"), {"fields[1].fieldType"}),
        (profile(CustomerId="String", AGE="String"), {"fields[1].fieldType"}),
        (profile(CustomerId="String", Age="Int32[]"), {"fields[1].fieldType"}),
        (profile("Age", CustomerId="String", Age="Int32"), {"strongIds[0].keyPropertyNames"}),
        (profile(["CustomerId", "Age"], CustomerId="String", Age="Int32"), {"strongIds[0].keyPropertyNames"}),
        (profile("Age", CustomerId="Guid", Age="Int32"), {"fields[0].fieldType", "strongIds[0].keyPropertyNames"}),
    ],
)
def test_a_field_never_changes_its_type(
    definitions: Definitions, hub: str, changed: ProfileType, targets: set[str]
) -> None:
    stored, _ = definitions.put_entity_type(hub, "Customer", profile(CustomerId="String", Age="Int32"))
    error = refused(definitions, hub, "Customer", changed)
    assert error.code == "SchemaConflict"
    assert {fault.target for fault in error.details} == targets
    assert "new" in error.message
    assert definitions.entity_type(hub, PROFILE, "Customer") == stored


def test_a_field_that_rested_comes_back_as_it_was(definitions: Definitions, hub: str) -> None:
    definitions.put_entity_type(hub, "Customer", profile(CustomerId="String", Age="Int32"))
    definitions.put_entity_type(hub, "Customer", profile(CustomerId="String"))
    error = refused(definitions, hub, "Customer", profile(CustomerId="String", Age="String"))
    assert error.code == "SchemaConflict"


def test_a_field_keeps_its_first_spelling(definitions: Definitions, hub: str) -> None:
    definitions.put_entity_type(hub, "Customer", profile(CustomerId="String", Age="Int32"))
    stored, _ = definitions.put_entity_type(
        hub, "Customer", profile("CUSTOMERID", customerid="String", AGE="Int32", Email="String")
    )
    assert [field.field_name for field in stored.document.fields] == ["CustomerId", "Age", "Email"]
    assert stored.document.key_fields == ["CustomerId"]


def test_the_id_of_an_interaction_stays_too(definitions: Definitions, hub: str) -> None:
    definitions.put_entity_type(hub, "Order", interaction(["OrderId"]))
    definitions.put_entity_type(hub, "Visit", interaction())
    assert refused(definitions, hub, "Order", interaction()).code == "SchemaConflict"
    assert refused(definitions, hub, "Visit", interaction(["OrderId"])).code == "SchemaConflict"
    definitions.put_entity_type(hub, "Order", interaction(["ORDERID"]))


def test_other_strong_ids_may_come_and_go(definitions: Definitions, hub: str) -> None:
    definitions.put_entity_type(hub, "Customer", profile(CustomerId="String", Email="String"))
    more = ProfileType.from_request(
        {
            "fields": fields(CustomerId="String", Email="String"),
            "strongIds": [
                {"strongIdName": "Renamed", "keyPropertyNames": ["CustomerId"]},
                {"strongIdName": "ByMail", "keyPropertyNames": ["Email"]},
            ],
        }
    )
    assert definitions.put_entity_type(hub, "Customer", more)[0].document.key_fields == ["CustomerId"]


@pytest.fixture
def used(definitions: Definitions, hub: str, vault: KeyVault, partner_sas: str) -> Definitions:
    """Customer and Order, each used by what can use it."""
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.put_entity_type(hub, "Order", interaction())
    definitions.connectors.put(hub, "Files", files(vault))
    definitions.put_mapping(hub, "Files", "Customers", mapping())
    order = mapping("Order", kind="Interaction", columns={"Amount": "a", "At": "t"})
    definitions.put_mapping(hub, "Files", "Orders", order)
    definitions.put_kpi(hub, "Ages", kpi())
    chosen = [{"entityType": "Profile", "entityName": "customer", "fieldNames": "CustomerId;Born"}]
    definitions.connectors.put(hub, "Partner", outbound(partner_sas, chosen))
    return definitions


def test_a_type_in_use_is_not_deleted(used: Definitions, hub: str) -> None:
    with pytest.raises(ConflictError) as caught:
        used.delete_entity_type(hub, PROFILE, "customer")
    assert caught.value.code == "InUse"
    assert {fault.target for fault in caught.value.details} == {
        "connectors/Files/mappings/Customers",
        "kpi/Ages",
        "connectors/Partner",
    }
    with pytest.raises(ConflictError) as caught:
        used.delete_entity_type(hub, INTERACTION, "Order")
    assert [fault.target for fault in caught.value.details] == ["connectors/Files/mappings/Orders"]
    used.delete_mapping(hub, "Files", "Orders", Conditions())
    used.delete_entity_type(hub, INTERACTION, "Order")
    used.delete_entity_type(hub, INTERACTION, "Order")
    assert [stored.document.type_name for stored in used.entity_types(hub)] == ["Customer"]


@pytest.mark.parametrize(
    ("kind", "changed", "targets"),
    [
        (
            PROFILE,
            profile(CustomerId="String", Born="Date"),
            {"connectors/Files/mappings/Customers", "kpi/Ages"},
        ),
        (PROFILE, profile(CustomerId="String", Age="Int32"), {"connectors/Partner"}),
        (
            INTERACTION,
            interaction(OrderId="String!", Amount="Decimal", At="DateTimeOffset!"),
            {"connectors/Files/mappings/Orders"},
        ),
    ],
)
def test_a_type_is_not_changed_under_its_users(
    used: Definitions, hub: str, kind: EntityKind, changed: EntityType, targets: set[str]
) -> None:
    name = "Customer" if kind is PROFILE else "Order"
    stored = used.entity_type(hub, kind, name)
    error = refused(used, hub, name, changed)
    assert error.code == "InUse"
    assert {fault.target for fault in error.details} == targets
    assert used.entity_type(hub, kind, name) == stored


def test_a_type_in_use_may_grow(used: Definitions, hub: str) -> None:
    grown = profile(CustomerId="String", Age="Int32", Born="Date", Tags="String[]", Email="String")
    assert len(used.put_entity_type(hub, "Customer", grown)[0].document.fields) == 5


def test_a_type_made_anew_is_another(definitions: Definitions, hub: str) -> None:
    first, _ = definitions.put_entity_type(hub, "Customer", profile())
    definitions.delete_entity_type(hub, PROFILE, "Customer")
    second, created = definitions.put_entity_type(hub, "Customer", profile(CustomerId="Int32"))
    assert created
    assert second.instance_id != first.instance_id


def test_conditions_are_honoured(definitions: Definitions, hub: str) -> None:
    stored, _ = definitions.put_entity_type(hub, "Customer", profile(), Conditions(if_none_match=True))
    newer, _ = definitions.put_entity_type(hub, "Customer", profile(), Conditions(if_match=stored.etag))
    old = Conditions(if_match=stored.etag)
    for act in (
        lambda: definitions.put_entity_type(hub, "Customer", profile(), old),
        lambda: definitions.put_entity_type(hub, "Customer", profile(), Conditions(if_none_match=True)),
        lambda: definitions.delete_entity_type(hub, PROFILE, "Customer", old),
        lambda: definitions.delete_entity_type(hub, PROFILE, "Nobody", Conditions(if_match="*")),
    ):
        with pytest.raises(PreconditionError):
            act()
    definitions.delete_entity_type(hub, PROFILE, "Customer", Conditions(if_match=newer.etag))


def test_a_secret_has_no_place_in_a_type(definitions: Definitions, hub: str) -> None:
    hiding = ProfileType.from_request(
        {
            "fields": fields(CustomerId="String"),
            "strongIds": [{"strongIdName": "Main", "keyPropertyNames": ["CustomerId"]}],
            "largeImage": "https://x.blob.core.windows.net/i?sig=MARKER",
            "attributes": {"a": ["AccountKey=MARKER"]},
        }
    )
    with pytest.raises(InvalidRequestError) as caught:
        definitions.put_entity_type(hub, "Customer", hiding)
    assert {fault.target for fault in caught.value.details} == {"largeImage", "attributes.a[0]"}
    assert "MARKER" not in str(caught.value)
