"""Hubs that name a container before it is there: who named it first owns it, whoever lists it first."""

from contextlib import ExitStack, nullcontext
from time import monotonic

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.definitions.definitions import Definitions
from shared.domain.documents.connectors import ConnectorState
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.blob.blobs import BlobContainer
from shared.storage.key_vault import Vaults
from tests.definitions.places.claims import OF_ANOTHER, again, listening, reads, refusal, share, use
from tests.definitions.samples import files
from tests.fault_proxy import FaultProxy, Hang, running_proxy
from tests.thorough import only_thorough


def lists(hubs: Definitions, hub: str, via: str = "Files", name: str = "Customers") -> str | None:
    """How the first listing of a mapping ends, as a sweep begins with it."""
    connector, mapping = hubs.connector(hub, via), hubs.mapping(hub, via, name)
    return refusal(
        lambda: hubs.listings.list_first(connector, mapping, hubs.connectors.source_account(connector), nullcontext)
    )


def checks(hubs: Definitions, hub: str) -> None:
    hubs.connectors.test(hub, "Files")


def given(settings: Settings, hubs: Definitions, vault: KeyVault, secret: str, text: str, hub: str = "Alpha") -> None:
    """Another connector of a hub, with a secret of its own."""
    Vaults(settings).set(secret, text)
    hubs.connectors.put(hub, "Own", files(vault, secret))


@pytest.mark.parametrize(
    ("namer", "lister", "how"),
    [
        ("Alpha", "Alpha", lists),
        ("Alpha", "Zeta", checks),
        ("Zeta", "Alpha", checks),
        ("Zeta", "Zeta", lists),
        pytest.param("Alpha", "Alpha", checks, marks=only_thorough),
        pytest.param("Alpha", "Zeta", lists, marks=only_thorough),
        pytest.param("Zeta", "Alpha", lists, marks=only_thorough),
        pytest.param("Zeta", "Zeta", checks, marks=only_thorough),
    ],
)
def test_who_named_it_first_owns_it_whoever_lists_it_first(
    hubs: Definitions, account: StorageAccount, free: str, namer: str, lister: str, how: object
) -> None:
    other = "Alpha" if namer == "Zeta" else "Zeta"
    for hub in (namer, other):
        hubs.put_mapping(hub, "Files", "Customers", reads(free))
    BlobContainer(account, free).ensure()
    for hub in sorted((namer, other), key=lister.__ne__):
        how(hubs, hub)  # type: ignore[operator]
    fresh = again(hubs)
    assert (use(fresh, namer), use(fresh, other)) == (None, OF_ANOTHER)
    assert listening(hubs, free) == [namer]

    share(hubs, namer, free)
    fresh = again(hubs)
    assert (use(fresh, namer), use(fresh, other)) == (None, None)
    share(hubs, namer)
    hubs.delete_mapping(namer, "Files", "Customers")
    assert use(again(hubs), other) is None, "it comes after"


def test_who_gives_it_to_another_hub_by_a_test_is_told_so_at_once(
    hubs: Definitions, account: StorageAccount, free: str
) -> None:
    for hub in ("Alpha", "Zeta"):
        hubs.put_mapping(hub, "Files", "Customers", reads(free))
    BlobContainer(account, free).ensure()
    first = hubs.connectors.test("Zeta", "Files")
    (found,) = (check for check in first if check.name == f"container {free}")
    assert not found.ok
    assert "another hub came first" in found.message
    connector = hubs.connector("Zeta", "Files").document
    assert (connector.state, connector.state_detail) == (ConnectorState.FAILED, found.message)
    assert hubs.connectors.test("Zeta", "Files") == first
    assert all(check.ok for check in hubs.connectors.test("Alpha", "Files"))


def test_a_guest_that_lists_the_container_first_does_not_lock_its_host_out(
    hubs: Definitions, account: StorageAccount, free: str
) -> None:
    share(hubs, "Zeta", free)
    for hub in ("Zeta", "Alpha"):
        hubs.put_mapping(hub, "Files", "Customers", reads("mine", free) if hub == "Zeta" else reads(free))
    BlobContainer(account, free).ensure()
    assert lists(hubs, "Alpha") is None
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), use(fresh, "Alpha")) == (None, None)
    share(hubs, "Zeta")
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), use(fresh, "Alpha")) == (None, OF_ANOTHER)


def test_what_a_mapping_comes_to_name_counts_from_then(hubs: Definitions, account: StorageAccount, free: str) -> None:
    hubs.put_mapping("Alpha", "Files", "Customers", reads("inbox"))
    hubs.put_mapping("Zeta", "Files", "Customers", reads(free))
    hubs.put_mapping("Alpha", "Files", "Customers", reads(free))
    hubs.put_mapping("Zeta", "Files", "Customers", reads(f"{free}/deeper"))
    BlobContainer(account, free).ensure()
    assert lists(hubs, "Alpha") == OF_ANOTHER
    assert listening(hubs, free) == ["Zeta"]


SECRETS = {
    "a made-up signature": "SharedAccessSignature=sv=2024-11-04&sig=TUFSS0VS",
    "a wrong key": "AccountKey=TUFSS0VS",
    "a key that went wrong": "",
}


@pytest.mark.parametrize("secret", SECRETS)
def test_who_named_it_first_and_is_not_let_in_gains_nothing(
    hubs: Definitions,
    vault: KeyVault,
    settings: Settings,
    azurite: Endpoints,
    account: StorageAccount,
    free: str,
    secret: str,
) -> None:
    bad = f"AccountName=devstoreaccount1;{SECRETS[secret] or SECRETS['a wrong key']};BlobEndpoint={azurite.blob}"
    given(settings, hubs, vault, free, bad if SECRETS[secret] else azurite.connection_string)
    hubs.put_mapping("Alpha", "Own", "Customers", reads(free))
    hubs.put_mapping("Zeta", "Files", "Customers", reads(free))
    BlobContainer(account, free).ensure()
    Vaults(settings).set(free, bad)
    fresh = again(hubs)
    assert lists(fresh, "Zeta") is None
    assert listening(fresh, free) == ["Zeta"]
    Vaults(settings).set(free, azurite.connection_string)
    fresh = again(hubs)
    fresh.connectors.test("Alpha", "Own")
    assert (use(fresh, "Zeta"), use(fresh, "Alpha", via="Own")) == (None, OF_ANOTHER)


def behind(stack: ExitStack, azurite: Endpoints) -> tuple[FaultProxy, str]:
    """A proxy before the account, and a secret that leads there."""
    proxy = stack.enter_context(running_proxy(azurite.blob))
    return proxy, azurite.connection_string.replace(azurite.blob, proxy.endpoint)


def test_a_first_namer_that_is_not_answered_costs_the_others_two_seconds_once(
    hubs: Definitions, vault: KeyVault, settings: Settings, azurite: Endpoints, account: StorageAccount, free: str
) -> None:
    with ExitStack() as stack:
        proxy, text = behind(stack, azurite)
        given(settings, hubs, vault, free, text)
        for number in range(3):
            hubs.put_mapping("Alpha", "Own", f"M{number}", reads(free))
        hubs.put_mapping("Alpha", "Files", "Customers", reads("inbox", free))
        hubs.put_mapping("Zeta", "Files", "Customers", reads(free))
        BlobContainer(account, free).ensure()
        proxy.plan = lambda _: Hang()
        before, began = len(proxy.requests), monotonic()
        assert lists(hubs, "Zeta") == OF_ANOTHER, "another connector of that hub was let in"
        assert monotonic() - began < 3
        assert len(proxy.requests) == before + 1
        began = monotonic()
        for _ in range(2):
            checks(hubs, "Zeta")
        assert monotonic() - began < 1
        assert len(proxy.requests) == before + 1


def test_once_it_was_listed_nobody_is_asked_for_again(
    hubs: Definitions, vault: KeyVault, settings: Settings, azurite: Endpoints, account: StorageAccount, free: str
) -> None:
    with ExitStack() as stack:
        proxy, text = behind(stack, azurite)
        given(settings, hubs, vault, free, text)
        BlobContainer(account, free).ensure()
        hubs.put_mapping("Zeta", "Files", "Customers", reads(free))
        assert lists(hubs, "Zeta") is None
        share(hubs, "Zeta", free)
        hubs.put_mapping("Alpha", "Own", "Customers", reads(free))
        before = len(proxy.requests)
        hubs.put_mapping("Zeta", "Files", "Others", reads(free))
        assert lists(hubs, "Zeta", name="Others") is None
        checks(hubs, "Zeta")
        assert len(proxy.requests) == before


def test_what_a_check_has_no_time_to_list_for_others_is_left_to_the_sweeps(
    hubs: Definitions, account: StorageAccount, free: str
) -> None:
    names = [f"{free}{number}" for number in range(6)]
    for hub in ("Alpha", "Zeta"):
        for name in names:
            hubs.put_mapping(hub, "Files", name.replace("-", "_"), reads(name))
    for name in names:
        BlobContainer(account, name).ensure()
    checks(hubs, "Zeta")
    assert [listening(hubs, name) for name in names] == [["Alpha"]] * 4 + [[]] * 2
    assert [lists(hubs, "Zeta", name=name.replace("-", "_")) for name in names[4:]] == [OF_ANOTHER] * 2
    assert [listening(hubs, name) for name in names] == [["Alpha"]] * 6
