"""Which claims of a container stand, where several hubs name it: an owner is locked out by nobody who came later."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.definitions.claims import Claim, in_the_way, standing
from shared.definitions.definitions import Definitions
from shared.domain.hubs import Hub
from shared.domain.mappings import Mapping
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.key_vault import Vaults
from tests.definitions.claims import OF_ANOTHER, again, reads, share, use
from tests.definitions.samples import files, profile


class Squatter:
    """Mappings of `Alpha` whose connector gets its secret only when they are stored."""

    def __init__(self, hubs: Definitions, vault: KeyVault, settings: Settings, secret: str) -> None:
        self._hubs, self._vault, self._settings, self._secret = hubs, vault, settings, secret
        hubs.put_connector("Alpha", "Late", files(vault, secret))

    def names(self, wanted: Mapping) -> None:
        self._hubs.put_mapping("Alpha", "Late", "Customers", wanted)

    def arrives(self, azurite: Endpoints) -> None:
        Vaults(self._settings).set(self._secret, azurite.connection_string)
        self._hubs.test_connector("Alpha", "Late")
        facts = self._hubs.connector("Alpha", "Late").internal
        assert facts["claimed_account"], "it claims what its mappings name"


@pytest.fixture
def squatter(hubs: Definitions, vault: KeyVault, settings: Settings) -> Squatter:
    return Squatter(hubs, vault, settings, f"squatter-{hubs._store._table.name}".lower())


def account(hubs: Definitions) -> StorageAccount:
    return hubs.source_account(hubs.connector("Zeta", "Files"))


def test_a_guest_leaves_the_owner_its_moves_within_its_own_container(hubs: Definitions) -> None:
    hubs.put_mapping("Zeta", "Files", "Customers", reads("inbox", "inbox/done"))
    share(hubs, "Zeta", "inbox")
    hubs.put_mapping("Alpha", "Files", "Customers", reads("inbox", "inbox/taken"))
    for fresh in (hubs, again(hubs)):
        assert (use(fresh, "Zeta"), use(fresh, "Alpha")) == (None, None)
    assert not hubs.is_alone("Zeta", account(hubs), "inbox")
    share(hubs, "Zeta")
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), use(fresh, "Alpha")) == (None, OF_ANOTHER)


@pytest.mark.parametrize("wanted", [reads("inbox"), reads("inbox", "inbox/taken"), reads("mine", "inbox/taken")])
def test_a_refused_claim_is_in_nobodys_way(
    hubs: Definitions, squatter: Squatter, azurite: Endpoints, wanted: Mapping
) -> None:
    squatter.names(wanted)
    hubs.put_mapping("Zeta", "Files", "Customers", reads("inbox/customers", "inbox/done"))
    squatter.arrives(azurite)
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), use(fresh, "Alpha", via="Late")) == (None, OF_ANOTHER)
    assert fresh.is_alone("Zeta", account(hubs), "inbox")
    # The owner comes back to what it has long read.
    fresh.put_mapping("Zeta", "Files", "Others", reads("others", "inbox/done"))
    fresh.put_mapping("Zeta", "Files", "Deeper", reads("inbox/deeper"))
    fresh = again(hubs)
    assert [use(fresh, "Zeta", name) for name in ("Customers", "Others", "Deeper")] == [None] * 3
    assert use(fresh, "Alpha", via="Late") == OF_ANOTHER


def test_a_guest_leaves_the_owner_its_later_moves_into_the_container(hubs: Definitions) -> None:
    hubs.put_mapping("Zeta", "Files", "Customers", reads("inbox"))
    share(hubs, "Zeta", "inbox")
    hubs.put_mapping("Alpha", "Files", "Customers", reads("inbox"))
    hubs.put_mapping("Zeta", "Files", "Others", reads("others", "inbox/done"))
    share(hubs, "Zeta")
    hubs.put_mapping("Zeta", "Files", "More", reads("more", "inbox/done"))
    fresh = again(hubs)
    assert [use(fresh, "Zeta", name) for name in ("Customers", "Others", "More")] == [None] * 3
    assert use(fresh, "Alpha") == OF_ANOTHER


def test_who_is_refused_by_one_hub_keeps_no_third_one_out(
    hubs: Definitions, squatter: Squatter, vault: KeyVault, azurite: Endpoints
) -> None:
    """An archive stays one: what reads it without leave counts for nothing."""
    hubs.put_hub("Beta", Hub())
    hubs.put_entity_type("Beta", "Customer", profile())
    hubs.put_connector("Beta", "Files", files(vault))
    squatter.names(reads("done"))
    hubs.put_mapping("Zeta", "Files", "Customers", reads("mine", "done/zeta"))
    squatter.arrives(azurite)
    assert use(hubs, "Alpha", via="Late") == OF_ANOTHER
    hubs.put_mapping("Beta", "Files", "Customers", reads("theirs", "done/beta"))
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), use(fresh, "Beta")) == (None, None)
    # It comes in when those leave that were there before it.
    hubs.delete_mapping("Zeta", "Files", "Customers")
    fresh = again(hubs)
    assert (use(fresh, "Beta"), use(fresh, "Alpha", via="Late")) == (OF_ANOTHER, None)


def claims_of(names: str) -> st.SearchStrategy[Claim]:
    moments = st.none() | st.integers(0, 9).map(lambda second: datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC))
    return st.builds(Claim, st.sampled_from(names), moments, moments, st.booleans())


@given(st.lists(claims_of("ABCD"), unique_by=lambda claim: claim.hub), st.integers(11, 20), st.booleans())
def test_nobody_who_comes_later_changes_what_stands(claims: list[Claim], second: int, is_write: bool) -> None:
    later = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
    newcomer = Claim("E", None if is_write else later, later if is_write else None, is_shared=False)
    before = standing(claims)
    refused = in_the_way(before, "E", is_write=is_write) is not None
    assert standing([newcomer, *claims]) == ([*before] if refused else [*before, newcomer])
    for claim in before:
        assert claim.read_since is None or in_the_way(before, claim.hub, is_write=False) is None
        assert in_the_way(before, claim.hub, is_write=True) is None
