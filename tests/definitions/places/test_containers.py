"""Whose a container is: the app's own, one hub's, or shared; when a mapping is PUT, and when it is used."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import unquote

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.deadline import deadline
from shared.definitions.definitions import Definitions
from shared.domain.documents.connectors import ConnectorState
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import ConflictError, InvalidRequestError, RequestError, UnavailableError
from shared.settings import Settings
from shared.storage.accounts import account_from_secret
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.definitions.places.claims import (
    OF_ANOTHER,
    again,
    listening,
    put,
    reads,
    refusal,
    share,
    stored_earlier,
    use,
)
from tests.definitions.samples import files, outbound, profile
from tests.fault_proxy import Answer, Fault, Hang, Request, running_proxy
from tests.local_services import account_of

FOLDER = "mappingProperties.folderPath"
DESTINATION = "mappingProperties.completeOperation.destinationFolder"
KEY = "TUFSS0VS"


@pytest.mark.parametrize(
    ("wanted", "targets"),
    [
        (reads("inbox"), [FOLDER]),
        (reads("inbox/other"), [FOLDER]),
        (reads("http://127.0.0.1:1/devstoreaccount1/inbox/x"), [FOLDER]),
        (reads("done/x"), [FOLDER]),
        (reads("mine", "inbox/x"), [DESTINATION]),
        (reads("mine", "done"), []),
        (reads("inbox", "inbox/done"), [FOLDER]),
        (reads("mine", "mine/done"), []),
    ],
)
def test_a_container_of_another_hub_is_refused_until_it_is_shared(
    hubs: Definitions, wanted: Mapping, targets: list[str]
) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox/a", "done"))
    if targets:
        with pytest.raises(ConflictError) as refused:
            put(hubs, "Alpha", "Files", "Customers", wanted)
        assert refused.value.code == "ContainerOfAnotherHub"
        assert [fault.target for fault in refused.value.details] == targets
        assert "Zeta" not in str(refused.value), "hubs do not learn of each other's names"
        assert hubs.mappings("Alpha", "Files") == []
        share(hubs, "zeta", "inbox", "done")
    put(hubs, "Alpha", "Files", "Customers", wanted)
    assert (use(hubs, "Alpha"), use(hubs, "Zeta")) == (None, None)


def test_an_archive_of_several_hubs_is_read_by_none_of_them_alone(hubs: Definitions) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    put(hubs, "Alpha", "Files", "Customers", reads("mine", "done"))
    for hub in ("Zeta", "Alpha"):
        assert refusal(lambda hub=hub: put(hubs, hub, "Files", "Archive", reads("done"))) == OF_ANOTHER  # type: ignore[misc]
    # Nor does a mapping become a reader by having moved there first.
    assert refusal(lambda: put(hubs, "Zeta", "Files", "Customers", reads("done"))) == OF_ANOTHER
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), use(fresh, "Alpha")) == (None, None)
    share(hubs, "Alpha", "done")
    put(hubs, "Zeta", "Files", "Archive", reads("done/again"))
    fresh = again(hubs)
    assert (use(fresh, "Zeta", "Archive"), use(fresh, "Zeta"), use(fresh, "Alpha")) == (None, None, None)


def test_what_a_hub_exports_is_read_by_no_other(hubs: Definitions, partner_sas: str) -> None:
    hubs.connectors.put("Zeta", "Partner", outbound(partner_sas))
    assert hubs.connector("Zeta", "Partner").document.state is ConnectorState.READY
    assert refusal(lambda: put(hubs, "Alpha", "Files", "Spy", reads("partner"))) == OF_ANOTHER
    assert refusal(lambda: put(hubs, "Zeta", "Files", "Own", reads("partner"))) is None
    hubs.delete_mapping("Zeta", "Files", "Own")
    share(hubs, "Zeta", "partner")
    put(hubs, "Alpha", "Files", "Guest", reads("partner"))
    hubs.delete_mapping("Alpha", "Files", "Guest")
    share(hubs, "Zeta")
    hubs.connectors.delete("Zeta", "Partner")
    assert refusal(lambda: put(hubs, "Alpha", "Files", "Late", reads("partner"))) is None


def test_only_what_is_listed_is_shared(hubs: Definitions) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    share(hubs, "Zeta", "done", "inb")
    share(hubs, "Alpha", "inbox")
    assert refusal(lambda: put(hubs, "Alpha", "Files", "Mm", reads("inbox"))) == "ContainerOfAnotherHub"
    assert refusal(lambda: put(hubs, "Alpha", "Files", "Mm", reads("mine", "done"))) is None


def test_the_first_owner_decides_who_else_comes_in(hubs: Definitions, vault: KeyVault) -> None:
    hubs.put_hub("Beta", Hub())
    hubs.put_entity_type("Beta", "Customer", profile())
    hubs.connectors.put("Beta", "Files", files(vault))
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    share(hubs, "Zeta", "inbox")
    for hub in ("Beta", "Alpha"):
        put(hubs, hub, "Files", "Customers", reads("inbox"))
    put(hubs, "Zeta", "Files", "Others", reads("inbox/others"))
    share(hubs, "Zeta")
    fresh = again(hubs)
    assert [use(fresh, hub) for hub in ("Zeta", "Beta", "Alpha")] == [None, *["ContainerOfAnotherHub"] * 2]
    hubs.connectors.delete("Zeta", "Files")
    fresh = again(hubs)
    assert [use(fresh, hub) for hub in ("Beta", "Alpha")] == [None, "ContainerOfAnotherHub"]


@pytest.mark.parametrize("leave", ["mapping", "connector", "container"])
def test_a_container_that_is_given_up_is_free(hubs: Definitions, leave: str) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    assert use(hubs, "Zeta") is None  # so that it is known as Zeta's
    match leave:
        case "mapping":
            hubs.delete_mapping("Zeta", "Files", "Customers")
        case "connector":
            hubs.connectors.delete("Zeta", "Files")
        case _:
            put(hubs, "Zeta", "Files", "Customers", reads("elsewhere"))
    put(hubs, "Alpha", "Files", "Customers", reads("inbox"))
    assert use(hubs, "Alpha") is None


def test_the_same_name_in_another_account_is_another_container(
    hubs: Definitions, vault: KeyVault, settings: Settings, azurite: Endpoints
) -> None:
    endpoint = azurite.blob.replace("devstoreaccount1", "otheraccount")
    Vaults(settings).set("other-account", f"AccountName=otheraccount;AccountKey={KEY};BlobEndpoint={endpoint}")
    hubs.connectors.put("Alpha", "Files", files(vault, "other-account"))
    assert hubs.connector("Alpha", "Files").internal["account"] == "otheraccount"
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    hubs.put_mapping("Alpha", "Files", "Customers", reads("inbox"))
    hubs.put_mapping("Alpha", "Files", "Lake", reads("lake"))
    assert use(hubs, "Alpha") is None


@pytest.mark.parametrize(
    ("folder", "code"), [("inbox", "ContainerOfAnotherHub"), ("lake", "ContainerNotAllowed"), ("free", None)]
)
def test_what_was_stored_before_the_account_was_known_is_found_out(
    hubs: Definitions, vault: KeyVault, settings: Settings, azurite: Endpoints, folder: str, code: str | None
) -> None:
    """Nobody comes first by having asked before it could be told for what."""
    secret = f"late-{folder}"
    hubs.connectors.put("Alpha", "Late", files(vault, secret))
    hubs.put_mapping("Alpha", "Late", "Customers", reads(folder))
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    Vaults(settings).set(secret, azurite.connection_string)
    assert use(hubs, "Alpha", via="Late") == code, "before any check"
    checks = {check.name: check.ok for check in hubs.connectors.test("Alpha", "Late")}
    assert checks["account"]
    assert not checks[f"container {folder}"], "refused, or not there"
    assert hubs.connector("Alpha", "Late").document.state is ConnectorState.FAILED
    assert use(hubs, "Alpha", via="Late") == code
    assert use(hubs, "Zeta") is None


def test_a_connector_out_of_order_is_no_way_round(hubs: Definitions, vault: KeyVault) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    hubs.connectors.put("Alpha", "Files", files(vault, "not-there"))
    assert refusal(lambda: put(hubs, "Alpha", "Files", "Mm", reads("inbox"))) == "ContainerOfAnotherHub"


def test_a_container_stays_its_hubs_while_its_connector_is_out_of_order(
    hubs: Definitions, vault: KeyVault, settings: Settings, azurite: Endpoints
) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    hubs.connectors.put("Zeta", "Files", files(vault, "not-there-yet"))
    assert "account" not in hubs.connector("Zeta", "Files").internal
    assert refusal(lambda: put(hubs, "Alpha", "Files", "Mm", reads("inbox"))) == "ContainerOfAnotherHub"
    Vaults(settings).set("not-there-yet", azurite.connection_string)
    hubs.connectors.test("Zeta", "Files")
    put(hubs, "Zeta", "Files", "Customers", reads("inbox/b"))
    assert use(again(hubs), "Zeta") is None


def test_a_connector_that_is_not_let_in_claims_nothing(
    hubs: Definitions, vault: KeyVault, settings: Settings, azurite: Endpoints
) -> None:
    """Whoever only names an account keeps nobody from it; what was claimed before stays."""
    named = f"AccountName=devstoreaccount1;AccountKey={KEY};BlobEndpoint={azurite.blob}"
    Vaults(settings).set("only-named", named)
    squatter, _ = hubs.connectors.put("Alpha", "Named", files(vault, "only-named"))
    assert squatter.document.state is ConnectorState.FAILED
    assert squatter.internal["account"] == "devstoreaccount1", "what its mappings name is checked all the same"
    hubs.put_mapping("Alpha", "Named", "Customers", reads("inbox", "done"))
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    assert use(again(hubs), "Zeta") is None
    assert listening(hubs, "inbox") == ["Zeta"]
    refused = refusal(lambda: hubs.put_mapping("Alpha", "Named", "Others", reads("inbox/b")))
    assert refused == "ContainerOfAnotherHub", "its account is known"

    hubs.connectors.put("Zeta", "Files", files(vault, "only-named"))
    assert hubs.connector("Zeta", "Files").document.state is ConnectorState.FAILED
    Vaults(settings).set("only-named", azurite.connection_string)
    fresh = again(hubs)
    fresh.connectors.test("Alpha", "Named")
    assert (use(fresh, "Zeta"), use(fresh, "Alpha", via="Named")) == (None, "ContainerOfAnotherHub")
    assert hubs.connector("Alpha", "Named").internal["claimed_account"] == "devstoreaccount1"
    assert listening(fresh, "inbox") == ["Zeta"], "whoever is out of order hears of its blobs, and nobody else"


@pytest.mark.parametrize("repeated", ["Zeta", "Alpha"])
@pytest.mark.parametrize(
    ("folder", "owner"),
    [("inbox/customers", "Zeta"), ("inbox/other", "Zeta"), ("elsewhere", "Alpha")],
)
def test_mappings_of_earlier_releases_count_from_when_they_were_created(
    hubs: Definitions, repeated: str, folder: str, owner: str
) -> None:
    share(hubs, "Zeta", "inbox")
    for hub in ("Zeta", "Alpha"):
        put(hubs, hub, "Files", "Customers", reads("inbox/customers"))
    share(hubs, "Zeta")
    stored_earlier(hubs, "Zeta", "2026-02-01T00:00:00+00:00")
    stored_earlier(hubs, "Alpha", "2026-06-01T00:00:00+00:00")
    fresh = again(hubs)
    assert [use(fresh, hub) for hub in ("Zeta", "Alpha")] == [None, "ContainerOfAnotherHub"]
    if repeated == "Zeta":
        put(fresh, "Zeta", "Files", "Customers", reads(folder))
        assert use(again(hubs), "Alpha") == (None if owner == "Alpha" else "ContainerOfAnotherHub")
    else:
        refused = refusal(lambda: put(fresh, "Alpha", "Files", "Customers", reads(folder)))
        assert refused == (None if owner == "Alpha" else "ContainerOfAnotherHub")
    assert use(again(hubs), "Zeta") is None


@pytest.mark.parametrize("fault", [Hang(), Answer(503, "ServerBusy")])
def test_nobody_waits_for_the_claims_that_another_reads(
    azurite: Endpoints, table: Table, hubs: Definitions, settings: Settings, fault: Fault
) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    with running_proxy(azurite.table) as proxy, ThreadPoolExecutor(2) as pool:
        far = Definitions(
            Table(account_of(azurite, table=proxy.endpoint), table.name), Vaults(settings), Clock(settings), settings
        )
        connector, stored = far.connector("Zeta", "Files"), far.mapping("Zeta", "Files", "Customers")
        far.account_of_mapping(connector, stored)
        asked = threading.Event()

        def plan(request: Request) -> Fault | None:
            if "PartitionKey='hubs',RowKey='guard'" not in unquote(request.target):
                return None
            asked.set()
            return fault

        proxy.plan = plan
        stuck = pool.submit(far.put_mapping, "Alpha", "Files", "Customers", reads("mine"))
        try:
            assert asked.wait(60)
            pool.submit(far.account_of_mapping, connector, stored).result(60)
            assert not stuck.done()
            with deadline(0.5), pytest.raises(UnavailableError):
                far.containers._read()
        finally:
            proxy.plan = lambda _: None
            proxy.release()
        assert stuck.result()[1]


def test_what_two_hubs_list_at_once_is_one_hubs(hubs: Definitions) -> None:
    for number in range(4):
        container = f"race{number}"

        def list_it(hub: str, container: str = container) -> None:
            with suppress(ConflictError):
                put(hubs, hub, "Files", f"M{container}", reads(container))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(list_it, ("Zeta", "Alpha")))
        names = [stored.document for hub in ("Zeta", "Alpha") for stored in hubs.mappings(hub, "Files")]
        stored = [document.tenant_id for document in names if document.container == container]
        outcomes = [[use(again(hubs), hub, f"M{container}") for hub in stored] for _ in range(2)]
        assert outcomes[0] == outcomes[1]
        assert outcomes[0].count(None) == 1


def test_the_claims_are_not_asked_for_with_every_blob(
    azurite: Endpoints, table: Table, hubs: Definitions, settings: Settings
) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    with running_proxy(azurite.table) as proxy:
        far = Definitions(
            Table(account_of(azurite, table=proxy.endpoint), table.name), Vaults(settings), Clock(settings), settings
        )
        connector, stored = far.connector("Zeta", "Files"), far.mapping("Zeta", "Files", "Customers")
        far.account_of_mapping(connector, stored)
        before = len(proxy.requests)
        for _ in range(20):
            far.account_of_mapping(connector, stored)
        assert len(proxy.requests) == before


@pytest.mark.parametrize(
    "text",
    [
        f"AccountName=other;AccountKey={KEY};BlobEndpoint={{own}}",
        f"AccountName=other;AccountKey={KEY};BlobEndpoint={{named}}/",
        "AccountName=other;SharedAccessSignature=sv=1;BlobEndpoint={shouted}",
        "SharedAccessSignature=sv=1;BlobEndpoint={six}",
    ],
)
def test_the_apps_own_account_is_known_however_it_is_spelt(
    hubs: Definitions, settings: Settings, azurite: Endpoints, text: str
) -> None:
    hosts = {"own": "127.0.0.1", "named": "localhost", "shouted": "LOCALHOST", "six": "[::1]"}
    endpoints = {name: azurite.blob.replace("127.0.0.1", host) for name, host in hosts.items()}
    account = account_from_secret(text.format(**endpoints), settings)
    assert hubs.containers.is_own_account(account.name)
    with pytest.raises(RequestError) as refused:
        hubs.containers.check_use("Zeta", account.name, "azure-webjobs-secrets")
    assert refused.value.code == "ContainerNotAllowed"


@pytest.mark.parametrize(
    ("text", "is_own"),
    [
        ("https://contoso.blob.core.windows.net", True),
        ("https://CONTOSO.blob.core.windows.net:443/", True),
        ("https://contoso.z12.blob.storage.azure.net", True),
        (f"AccountName=contoso;AccountKey={KEY}", True),
        (f"AccountName=contoso;AccountKey={KEY};EndpointSuffix=core.windows.net", True),
        ("AccountName=other;SharedAccessSignature=sv=1;BlobEndpoint=https://contoso.blob.core.windows.net", True),
        (f"AccountName=contoso;AccountKey={KEY};BlobEndpoint=https://other.blob.core.windows.net", False),
        ("https://contoso1.blob.core.windows.net", False),
    ],
)
def test_the_apps_own_account_in_azure(table: Table, text: str, is_own: bool) -> None:
    settings = Settings.model_validate(
        {
            "HUB_STORAGE__blobServiceUri": "https://Contoso.blob.core.windows.net/",
            "HUB_STORAGE__queueServiceUri": "https://contoso.queue.core.windows.net/",
            "HUB_STORAGE__tableServiceUri": "https://contoso.table.core.windows.net/",
        }
    )
    definitions = Definitions(table, Vaults(settings), Clock(settings), settings)
    assert definitions.containers.is_own_account(account_from_secret(text, settings).name) is is_own


@pytest.mark.parametrize("host", ["contoso-secondary.blob.core.windows.net", "contoso.dfs.core.windows.net"])
def test_other_doors_to_an_account_are_closed(host: str) -> None:
    with pytest.raises(InvalidRequestError):
        account_from_secret(f"https://{host}", Settings())
