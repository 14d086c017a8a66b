"""Mappings: of an AzureBlob connector, onto a type that exists, every key filled, and files that go elsewhere."""

import uuid
from typing import Any

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.definitions.rules.mapping_rules import type_faults
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping, MappingState
from shared.domain.errors import InvalidRequestError, NotFoundError, PreconditionError
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.definitions.samples import crm, files, interaction, mapping, profile
from tests.growth import LINEAR, growth
from tests.local_services import account_of

FOLDER = "mappingProperties.folderPath"
STRUCTURE = "mappingProperties.structure"
DESTINATION = "mappingProperties.completeOperation.destinationFolder"


def with_types(definitions: Definitions, hub: str, vault: KeyVault) -> Definitions:
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.put_entity_type(hub, "Order", interaction(["OrderId"]))
    definitions.connectors.put(hub, "Files", files(vault))
    return definitions


@pytest.fixture
def typed(definitions: Definitions, hub: str, vault: KeyVault) -> Definitions:
    return with_types(definitions, hub, vault)


@pytest.fixture(scope="module")
def unchanged(azurite: Endpoints, settings: Settings, vault: KeyVault) -> Definitions:
    """The same of the hub `Contoso`, for tests whose mapping is refused: they share it, and it stays as it is."""
    table = Table(account_of(azurite), f"definitionsx{uuid.uuid4().hex[:8]}")
    definitions = Definitions(table, Vaults(settings), Clock(settings), settings)
    definitions.put_hub("Contoso", Hub())
    return with_types(definitions, "Contoso", vault)


def faults(definitions: Definitions, hub: str, wanted: Mapping, connector: str = "Files") -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequestError) as refused:
        definitions.put_mapping(hub, connector, "Bad", wanted)
    assert definitions.mappings(hub, connector) == []
    return [(fault.code, fault.target) for fault in refused.value.details]


def test_a_mapping_is_stored_with_what_the_server_knows(typed: Definitions, hub: str) -> None:
    stored, created = typed.put_mapping(
        hub, "files", "Customers", mapping("CUSTOMER", columns={"customerid": "Id of Customer", "AGE": "age"})
    )
    assert created
    document = stored.document
    assert (document.connector_name, document.connector_mapping_name) == ("Files", "Customers")
    assert (document.entity_type_name, document.tenant_id) == ("Customer", "Contoso")
    assert document.fields_set == ["CustomerId", "Age"]
    assert document.state is MappingState.READY
    assert typed.mapping("CONTOSO", "FILES", "CUSTOMERS") == stored
    assert typed.mappings(hub, "files") == [stored]


def test_a_replaced_mapping_is_the_same_instance(typed: Definitions, hub: str) -> None:
    first, _ = typed.put_mapping(hub, "Files", "Customers", mapping())
    second, created = typed.put_mapping(hub, "Files", "customers", mapping(folderPath="inbox/other"))
    assert not created
    assert second.instance_id == first.instance_id
    assert second.document.connector_mapping_name == "Customers"
    assert second.document.created == first.document.created
    typed.delete_mapping(hub, "Files", "Customers")
    third, created = typed.put_mapping(hub, "Files", "Customers", mapping())
    assert created
    assert third.instance_id != first.instance_id


def test_what_is_missing_is_named(typed: Definitions, hub: str) -> None:
    for read, code in (
        (lambda: typed.mapping(hub, "Files", "Nothing"), "MappingNotFound"),
        (lambda: typed.mapping(hub, "Nothing", "Nothing"), "ConnectorNotFound"),
        (lambda: typed.mapping("nowhere", "Files", "Nothing"), "HubNotFound"),
        (lambda: typed.put_mapping(hub, "Nothing", "Customers", mapping()), "ConnectorNotFound"),
        (lambda: typed.put_mapping("nowhere", "Files", "Customers", mapping()), "HubNotFound"),
    ):
        with pytest.raises(NotFoundError) as missing:
            read()
        assert missing.value.code == code
    typed.delete_mapping(hub, "Files", "Nothing")
    typed.delete_mapping(hub, "Nothing", "Nothing")


def test_only_azure_blob_connectors_have_mappings(typed: Definitions, hub: str) -> None:
    typed.connectors.put(hub, "Crm", crm())
    assert faults(typed, hub, mapping(), "Crm") == [("InvalidConnectorType", "connectorName")]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (mapping("Nobody"), [("UnknownType", "entityTypeName")]),
        (mapping("Customer", kind="Interaction"), [("UnknownType", "entityTypeName")]),
        (mapping(columns={"Age": "age"}), [("MissingKey", STRUCTURE)]),
        (
            mapping(columns={"CustomerId": "id", "Nothing": "x", "Other": "y"}),
            [("UnknownField", f"{STRUCTURE}[1].propertyName"), ("UnknownField", f"{STRUCTURE}[2].propertyName")],
        ),
        (
            mapping(columns={"CustomerId": "id", "Age": ("age", "dd.MM.yyyy")}),
            [("InvalidValue", f"{STRUCTURE}[1].customFormatSpecifier")],
        ),
        (
            mapping(columns={"CustomerId": "id", "Born": ("born", "%Q is no directive")}),
            [("InvalidValue", f"{STRUCTURE}[1].customFormatSpecifier")],
        ),
        (
            mapping("Order", kind="Interaction", columns={"Amount": "a"}),
            [("MissingKey", STRUCTURE), ("MissingRequiredField", STRUCTURE)],
        ),
        (
            mapping(columns={"Nothing": "x"}, folderPath="lake/x"),
            [
                ("ContainerNotAllowed", FOLDER),
                ("UnknownField", f"{STRUCTURE}[0].propertyName"),
                ("MissingKey", STRUCTURE),
            ],
        ),
    ],
)
def test_all_faults_are_named_at_once(unchanged: Definitions, wanted: Mapping, found: list[tuple[str, str]]) -> None:
    assert faults(unchanged, "Contoso", wanted) == found


@pytest.mark.parametrize("specifier", ["dd/MM/yyyy", "%d.%m.%Y", "yyyy-MM-dd"])
def test_formats_of_dates_that_are_understood(typed: Definitions, hub: str, specifier: str) -> None:
    columns = {"CustomerId": "id", "Born": ("born", specifier)}
    assert typed.put_mapping(hub, "Files", "Customers", mapping(columns=columns))[1]


@pytest.mark.parametrize(
    "folder",
    [
        "inbox",
        "inbox/a/b/",
        "inbox/.a/b../...",
        "https://devstoreaccount1.blob.core.windows.net/inbox/a",
        "http://127.0.0.1:10000/devstoreaccount1/inbox/a",
    ],
)
def test_folders_of_the_connectors_account(typed: Definitions, hub: str, folder: str) -> None:
    stored, _ = typed.put_mapping(hub, "Files", "Customers", mapping(folderPath=folder))
    assert stored.document.container == "inbox"


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("https://other.blob.core.windows.net/inbox", "InvalidValue"),
        ("http://127.0.0.1:10000/other/inbox", "InvalidValue"),
        ("https://devstoreaccount1.blob.core.windows.net/inbox?x=1", "InvalidValue"),
        ("https://devstoreaccount1.blob.core.chinacloudapi.cn/inbox", "InvalidValue"),
        ("https://me@devstoreaccount1.blob.core.windows.net/inbox", "InvalidValue"),
        ("ftp://devstoreaccount1.blob.core.windows.net/inbox", "InvalidValue"),
        ("lake", "ContainerNotAllowed"),
        ("runs/contoso", "ContainerNotAllowed"),
        ("deployments", "ContainerNotAllowed"),
        ("deadletter/x", "ContainerNotAllowed"),
        ("azure-webjobs-secrets", "ContainerNotAllowed"),
        ("azure-webjobs-hosts/locks", "ContainerNotAllowed"),
        ("app-package-shop-1a2b3c4", "ContainerNotAllowed"),
        ("function-releases", "ContainerNotAllowed"),
        ("$logs/blob", "ContainerNotAllowed"),
        ("$root", "ContainerNotAllowed"),
        ("$web", "ContainerNotAllowed"),
        ("$blobchangefeed", "ContainerNotAllowed"),
        ("/lake/x", "ContainerNotAllowed"),
        ("https://devstoreaccount1.blob.core.windows.net/%6Cake/x", "ContainerNotAllowed"),
        ("https://DEVSTOREACCOUNT1.blob.core.windows.net//lake", "ContainerNotAllowed"),
        ("http://127.0.0.1:10000/devstoreaccount1/azure-webjobs-secrets", "ContainerNotAllowed"),
        ("http://[::1]:10000/devstoreaccount1/lake/x", "ContainerNotAllowed"),
        ("inbox/../x", "InvalidValue"),
        ("inbox/a/./b/", "InvalidValue"),
        ("inbox/..", "InvalidValue"),
        ("https://devstoreaccount1.blob.core.windows.net/inbox/%2e%2e/x", "InvalidValue"),
    ],
)
def test_folders_that_no_file_can_come_from(unchanged: Definitions, folder: str, code: str) -> None:
    assert faults(unchanged, "Contoso", mapping(folderPath=folder)) == [(code, FOLDER)]


def test_a_signature_has_no_place_in_a_folder(typed: Definitions, hub: str) -> None:
    signed = mapping(folderPath="https://devstoreaccount1.blob.core.windows.net/inbox?sv=1&sig=MARKER")
    with pytest.raises(InvalidRequestError) as refused:
        typed.put_mapping(hub, "Files", "Customers", signed)
    assert {fault.code for fault in refused.value.details} == {"SecretNotAllowed", "InvalidValue"}
    assert "MARKER" not in str(refused.value)


def moved(to: str, **more: Any) -> Mapping:
    operation = {"completionOperationType": "MoveFile", "destinationFolder": to}
    return mapping(completeOperation=operation, **more)


@pytest.mark.parametrize(
    "wanted",
    [
        moved("done"),
        moved("inbox/done"),
        moved("inbox/customers/done"),
        moved("inbox/customers/done", fileFilter="*.csv"),
        moved("inbox/customers-old"),
        moved("inbox/custom"),
        moved("inbox/done", folderPath="inbox"),
    ],
)
def test_files_may_be_moved(typed: Definitions, hub: str, wanted: Mapping) -> None:
    assert typed.put_mapping(hub, "Files", "Customers", wanted)[1]


@pytest.mark.parametrize(
    "wanted",
    [
        moved("inbox/customers"),
        moved("inbox/customers/"),
        moved("inbox"),
        moved("inbox", folderPath="inbox"),
        moved("inbox/a", folderPath="inbox/a/b/c"),
        moved("https://devstoreaccount1.blob.core.windows.net/inbox/customers"),
        moved("In Valid"),
        moved("https://other.blob.core.windows.net/done"),
        moved("done/../x"),
        moved("done/a/./b"),
        moved("http://127.0.0.1:10000/devstoreaccount1/done/%2E"),
    ],
)
def test_places_that_no_file_may_be_moved_to(unchanged: Definitions, wanted: Mapping) -> None:
    assert faults(unchanged, "Contoso", wanted) == [("InvalidValue", DESTINATION)]


@pytest.mark.parametrize(
    "folder",
    [
        "lake/done",
        "runs",
        "deployments/code",
        "deadletter",
        "azure-webjobs-secrets/host",
        "scm-releases",
        "$web/done",
        "$logs",
        "$root",
        "http://127.0.0.1:10000/devstoreaccount1/%24web/done",
    ],
)
def test_no_file_is_moved_to_what_is_the_apps_own(unchanged: Definitions, folder: str) -> None:
    assert faults(unchanged, "Contoso", moved(folder)) == [("ContainerNotAllowed", DESTINATION)]


@pytest.mark.parametrize("folder", ["http://[", "https://a]b/x"])
def test_a_url_that_cannot_be_read_is_a_fault_of_the_request(folder: str) -> None:
    for act in (lambda: mapping(folderPath=folder), lambda: moved(folder)):
        with pytest.raises(InvalidRequestError) as refused:
            act()
        assert [fault.code for fault in refused.value.details] == ["InvalidValue"]


def test_conditions_are_honoured(typed: Definitions, hub: str) -> None:
    stored, _ = typed.put_mapping(hub, "Files", "Customers", mapping(), Conditions(if_none_match=True))
    typed.put_mapping(hub, "Files", "Customers", mapping(), Conditions(if_match=stored.etag))
    for act in (
        lambda: typed.put_mapping(hub, "Files", "Customers", mapping(), Conditions(if_match=stored.etag)),
        lambda: typed.delete_mapping(hub, "Files", "Customers", Conditions(if_match=stored.etag)),
        lambda: typed.delete_mapping(hub, "Files", "Nothing", Conditions(if_match="*")),
    ):
        with pytest.raises(PreconditionError):
            act()


def test_containers_of_another_account_may_have_any_name(definitions: Definitions, hub: str, vault: KeyVault) -> None:
    """The names `lake` and `runs` are ours in our own account alone; a connector that never answered has none yet."""
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.connectors.put(hub, "Files", files(vault, "no-such-secret"))
    assert definitions.put_mapping(hub, "Files", "Customers", mapping(folderPath="lake/x"))[1]
    # Wherever it lies, a host keeps an app's keys there.
    hosts = mapping(folderPath="azure-webjobs-secrets")
    with pytest.raises(InvalidRequestError) as refused:
        definitions.put_mapping(hub, "Files", "Keys", hosts)
    assert [fault.code for fault in refused.value.details] == ["ContainerNotAllowed"]


def test_the_time_of_its_rules_grows_with_its_columns() -> None:
    """A PUT of a type asks them of all its mappings, which may have hundreds of columns each."""

    def made(size: int) -> tuple[Mapping, ProfileType]:
        columns = {f"Field{number}": f"c{number}" for number in range(size)}
        return mapping(columns=columns), profile("Field0", **dict.fromkeys(columns, "String"))

    assert growth(lambda pair: type_faults(*pair), made, smallest=250, largest=2_000) < LINEAR
