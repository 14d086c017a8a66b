"""A container is a hub's once its connector has listed it: to name it costs nothing, and keeps nobody out."""

from contextlib import nullcontext
from datetime import datetime

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.definitions.store.definition_store import Change, Conditions
from shared.definitions.store.kinds import CONNECTOR
from shared.domain.documents.connectors import ConnectorState
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.blob.blobs import BlobContainer
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.definitions.places.claims import OF_ANOTHER, again, listening, put, reads, refusal, stored_earlier, use
from tests.definitions.samples import files
from tests.fault_proxy import Answer, running_proxy
from tests.local_services import account_of


def made_up(azurite: Endpoints) -> str:
    """A secret that names the account, and of which that does not say whether it opens any container."""
    return f"AccountName=devstoreaccount1;SharedAccessSignature=sv=2024-11-04&sig=TUFSS0VS;BlobEndpoint={azurite.blob}"


def test_who_only_names_a_container_keeps_nobody_out(
    hubs: Definitions, vault: KeyVault, settings: Settings, azurite: Endpoints, free: str
) -> None:
    secret, archive = f"of-{free}", f"done-{free}"
    Vaults(settings).set(secret, made_up(azurite))
    hubs.connectors.put("Alpha", "Named", files(vault, secret))
    hubs.put_mapping("Alpha", "Named", "Customers", reads(free, archive))
    checks = {check.name: check.ok for check in hubs.connectors.test("Alpha", "Named")}
    assert (checks["account"], checks[f"container {free}"]) == (True, False)
    assert hubs.connector("Alpha", "Named").internal["claimed_account"] == "devstoreaccount1"
    assert listening(hubs, free) == []

    put(hubs, "Zeta", "Files", "Customers", reads(free, archive))
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), listening(fresh, free)) == (None, ["Zeta"])
    account = fresh.connectors.source_account(fresh.connector("Zeta", "Files"))
    assert [fresh.containers.is_alone("Zeta", account, container) for container in (free, archive)] == [True, True]

    # Let in at last, it is the second all the same.
    Vaults(settings).set(secret, azurite.connection_string)
    fresh = again(hubs)
    fresh.connectors.test("Alpha", "Named")
    assert (use(fresh, "Zeta"), use(fresh, "Alpha", via="Named")) == (None, OF_ANOTHER)
    assert listening(fresh, free) == ["Zeta"]
    fresh.delete_mapping("Zeta", "Files", "Customers")
    fresh.connectors.test("Alpha", "Named")
    assert (use(fresh, "Alpha", via="Named"), listening(fresh, free)) == (None, ["Alpha"])


def test_what_was_listed_is_noted_once_and_is_no_change_of_the_mapping(
    hubs: Definitions, account: StorageAccount, free: str
) -> None:
    BlobContainer(account, free).ensure()
    BlobContainer(account, f"done-{free}").ensure()
    put_first, _ = hubs.put_mapping("Zeta", "Files", "Customers", reads(free, f"done-{free}"))
    hubs.connectors.test("Zeta", "Files")
    noted = hubs.mapping("Zeta", "Files", "Customers")
    assert (noted.etag, noted.document) == (put_first.etag, put_first.document)
    assert noted.internal != put_first.internal
    before = hubs._store.commits
    hubs.connectors.test("Zeta", "Files")
    hubs.listings.list_first(hubs.connector("Zeta", "Files"), noted, account, nullcontext)
    assert hubs._store.commits == before

    deeper, _ = hubs.put_mapping(
        "Zeta", "Files", "Customers", reads(f"{free}/deeper"), Conditions(if_match=put_first.etag)
    )
    assert listening(hubs, free) == ["Zeta"]
    hubs.pause_mapping("Zeta", "Files", "Customers", Conditions(if_match=deeper.etag), paused=True)
    assert refusal(lambda: hubs.put_mapping("Alpha", "Files", "Spy", reads(free))) == OF_ANOTHER


def test_a_mapping_that_names_another_container_has_listed_nothing_there(
    hubs: Definitions, account: StorageAccount, free: str
) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    BlobContainer(account, free).ensure()
    stale = hubs.mapping("Zeta", "Files", "Customers")
    hubs.put_mapping("Zeta", "Files", "Customers", reads(free, "done"))
    assert (listening(hubs, "inbox"), listening(hubs, free)) == ([], [])
    assert refusal(lambda: hubs.put_mapping("Alpha", "Files", "Spy", reads("done"))) == OF_ANOTHER, "it names that yet"

    # Whoever lists by what it was before says nothing of what it is now.
    connector, now = hubs.connector("Zeta", "Files"), hubs.mapping("Zeta", "Files", "Customers")
    hubs.listings.list_first(connector, stale, account, nullcontext)
    assert hubs.mapping("Zeta", "Files", "Customers") == now
    hubs.listings.list_first(connector, now, account, nullcontext)
    assert listening(hubs, free) == ["Zeta"]


def test_a_destination_that_cannot_be_listed_is_claimed_by_nobody_and_holds_up_nothing(
    hubs: Definitions, vault: KeyVault, settings: Settings, azurite: Endpoints, account: StorageAccount, free: str
) -> None:
    with running_proxy(azurite.blob) as proxy:
        proxy.plan = lambda request: Answer(403, "AuthorizationFailure") if free in request.target else None
        Vaults(settings).set(free, azurite.connection_string.replace(azurite.blob, proxy.endpoint))
        hubs.connectors.put("Alpha", "Own", files(vault, free))
        hubs.put_mapping("Alpha", "Own", "Customers", reads("mine", free))
        BlobContainer(account, "mine").ensure()
        hubs.connectors.test("Alpha", "Own")
        assert hubs.connector("Alpha", "Own").document.state is ConnectorState.READY
        own = hubs.connector("Alpha", "Own")
        hubs.listings.list_first(
            own, hubs.mapping("Alpha", "Own", "Customers"), hubs.connectors.source_account(own), nullcontext
        )
        assert listening(hubs, "mine") == ["Alpha"]
        put(hubs, "Zeta", "Files", "Customers", reads(free))
        assert (use(again(hubs), "Zeta"), use(again(hubs), "Alpha", via="Own")) == (None, OF_ANOTHER)


def test_a_mapping_of_an_earlier_release_has_listed_nothing_in_an_account_that_it_comes_to(
    hubs: Definitions, vault: KeyVault, settings: Settings, azurite: Endpoints, free: str
) -> None:
    account = account_of(azurite)
    BlobContainer(account, free).ensure()
    hubs.put_mapping("Alpha", "Files", "Customers", reads(free))
    stored_earlier(hubs, "Alpha", "2026-02-01T00:00:00+00:00", account="otheraccount")
    assert datetime.fromisoformat("2026-02-01T00:00:00+00:00") == hubs.connector("Alpha", "Files").document.created
    Vaults(settings).set(f"of-{free}", made_up(azurite))
    hubs.connectors.put("Alpha", "Files", files(vault, f"of-{free}"))
    assert hubs.connector("Alpha", "Files").internal["claimed_account"] == "devstoreaccount1"
    put(hubs, "Zeta", "Files", "Customers", reads(free))
    assert (use(again(hubs), "Zeta"), listening(hubs, free)) == (None, ["Zeta"])


@pytest.mark.parametrize("claimed", ["", "otheraccount"], ids=["none before", "another before"])
def test_an_account_that_lets_a_sweep_in_is_claimed_from_then_on(
    hubs: Definitions, account: StorageAccount, azurite: Endpoints, free: str, claimed: str
) -> None:
    """As where the secret was made, or rotated, after the connector was checked."""
    BlobContainer(account, free).ensure()
    hubs.put_mapping("Alpha", "Files", "Customers", reads(free))
    old = hubs.connector("Alpha", "Files")
    facts = {**old.internal, "account": claimed or "refused", "claimed_account": claimed}

    def make(change: Change) -> None:
        document = old.document.model_copy(update={"state": ConnectorState.FAILED, "state_detail": "refused"})
        change.put(CONNECTOR, ("Files",), document, old.instance_id, facts)

    hubs._store.change("Alpha", make)
    connector, stored = hubs.connector("Alpha", "Files"), hubs.mapping("Alpha", "Files", "Customers")
    missing, _ = hubs.put_mapping("Alpha", "Files", "Missing", reads(f"not-{free}"))
    assert refusal(lambda: hubs.listings.list_first(connector, missing, account, nullcontext)) == "ContainerNotFound"
    assert hubs.connector("Alpha", "Files") == connector, "nothing has let it in yet"
    hubs.listings.list_first(connector, stored, account, nullcontext)
    assert listening(hubs, free) == ["Alpha"]
    now = hubs.connector("Alpha", "Files")
    assert (now.document.state, now.document.state_detail) == (ConnectorState.READY, None)
    assert (now.internal["account"], now.internal["blob_endpoint"]) == (account.name, azurite.blob)
    put(hubs, "Alpha", "Files", "Others", reads(f"more-{free}"))
    hubs.listings.list_first(connector, hubs.mapping("Alpha", "Files", "Others"), account, nullcontext)
    assert listening(hubs, f"more-{free}") == ["Alpha"], "a sweep that began before goes on"
    assert refusal(lambda: hubs.put_mapping("Zeta", "Files", "Spy", reads(free))) == OF_ANOTHER


def test_a_connector_with_many_mappings_notes_together_what_it_listed(
    hubs: Definitions, account: StorageAccount, free: str
) -> None:
    for number in range(4):
        hubs.put_mapping("Alpha", "Files", f"M{number}", reads(f"{free}{number}"))
        BlobContainer(account, f"{free}{number}").ensure()
    before = hubs._store.commits
    hubs.connectors.test("Alpha", "Files")
    assert hubs._store.commits == before + 1
    assert [listening(hubs, f"{free}{number}") for number in range(4)] == [["Alpha"]] * 4


def test_a_check_that_is_done_does_not_fail_for_a_listing_that_cannot_be_noted(
    hubs: Definitions, account: StorageAccount, azurite: Endpoints, settings: Settings, free: str
) -> None:
    hubs.put_mapping("Alpha", "Files", "Customers", reads(free))
    BlobContainer(account, free).ensure()
    with running_proxy(azurite.table) as proxy:
        table = Table(account_of(azurite, table=proxy.endpoint), hubs._store._table.name)
        behind = Definitions(table, Vaults(settings), Clock(settings), settings)
        proxy.plan = lambda request: Answer(403, "AuthorizationFailure") if "$batch" in request.target else None
        assert {check.ok for check in behind.connectors.test("Alpha", "Files")} == {True}
    assert listening(hubs, free) == []
    hubs.connectors.test("Alpha", "Files")
    assert listening(hubs, free) == ["Alpha"]
