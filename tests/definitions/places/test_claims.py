"""Which claims of a container stand, where several hubs name it: an owner is locked out by nobody who came later."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.connectors.kinds import connector_from_request
from shared.definitions.definitions import Definitions
from shared.definitions.places.claims import Claim, Use, in_the_way, standing
from shared.definitions.store.definition_store import Change
from shared.definitions.store.kinds import CONNECTOR
from shared.domain.documents.connectors import ConnectorState
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import ConflictError
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.blob.blobs import BlobContainer
from shared.storage.key_vault import Vaults
from tests.definitions.places.claims import OF_ANOTHER, again, put, reads, refusal, share, use
from tests.definitions.samples import files, outbound, profile
from tests.local_services import account_of, container_sas


class Squatter:
    """Mappings of `Alpha` whose connector gets its secret only when they are stored."""

    def __init__(self, hubs: Definitions, vault: KeyVault, settings: Settings, secret: str) -> None:
        self._hubs, self._vault, self._settings, self._secret = hubs, vault, settings, secret
        hubs.connectors.put("Alpha", "Late", files(vault, secret))

    def names(self, wanted: Mapping) -> None:
        self._hubs.put_mapping("Alpha", "Late", "Customers", wanted)

    def arrives(self, azurite: Endpoints) -> None:
        Vaults(self._settings).set(self._secret, azurite.connection_string)
        self._hubs.connectors.test("Alpha", "Late")
        facts = self._hubs.connector("Alpha", "Late").internal
        assert facts["claimed_account"], "it claims what its mappings name"


@pytest.fixture
def squatter(hubs: Definitions, vault: KeyVault, settings: Settings) -> Squatter:
    return Squatter(hubs, vault, settings, f"squatter-{hubs._store._table.name}".lower())


def account(hubs: Definitions) -> StorageAccount:
    return hubs.connectors.source_account(hubs.connector("Zeta", "Files"))


def test_a_guest_leaves_the_owner_its_moves_within_its_own_container(hubs: Definitions) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "inbox/done"))
    share(hubs, "Zeta", "inbox")
    put(hubs, "Alpha", "Files", "Customers", reads("inbox", "inbox/taken"))
    for fresh in (hubs, again(hubs)):
        assert (use(fresh, "Zeta"), use(fresh, "Alpha")) == (None, None)
    assert not hubs.containers.is_alone("Zeta", account(hubs), "inbox")
    share(hubs, "Zeta")
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), use(fresh, "Alpha")) == (None, OF_ANOTHER)


@pytest.mark.parametrize("wanted", [reads("inbox"), reads("inbox", "inbox/taken"), reads("mine", "inbox/taken")])
def test_a_refused_claim_is_in_nobodys_way(
    hubs: Definitions, squatter: Squatter, azurite: Endpoints, wanted: Mapping
) -> None:
    squatter.names(wanted)
    put(hubs, "Zeta", "Files", "Customers", reads("inbox/customers", "inbox/done"))
    squatter.arrives(azurite)
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), use(fresh, "Alpha", via="Late")) == (None, OF_ANOTHER)
    assert fresh.containers.is_alone("Zeta", account(hubs), "inbox")
    # The owner comes back to what it has long read.
    put(fresh, "Zeta", "Files", "Others", reads("others", "inbox/done"))
    put(fresh, "Zeta", "Files", "Deeper", reads("inbox/deeper"))
    fresh = again(hubs)
    assert [use(fresh, "Zeta", name) for name in ("Customers", "Others", "Deeper")] == [None] * 3
    assert use(fresh, "Alpha", via="Late") == OF_ANOTHER


def test_a_guest_leaves_the_owner_its_later_moves_into_the_container(hubs: Definitions) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    share(hubs, "Zeta", "inbox")
    put(hubs, "Alpha", "Files", "Customers", reads("inbox"))
    put(hubs, "Zeta", "Files", "Others", reads("others", "inbox/done"))
    share(hubs, "Zeta")
    put(hubs, "Zeta", "Files", "More", reads("more", "inbox/done"))
    fresh = again(hubs)
    assert [use(fresh, "Zeta", name) for name in ("Customers", "Others", "More")] == [None] * 3
    assert use(fresh, "Alpha") == OF_ANOTHER


def test_who_is_refused_by_one_hub_keeps_no_third_one_out(
    hubs: Definitions, squatter: Squatter, vault: KeyVault, azurite: Endpoints
) -> None:
    """An archive stays one: what reads it without leave counts for nothing."""
    hubs.put_hub("Beta", Hub())
    hubs.put_entity_type("Beta", "Customer", profile())
    hubs.connectors.put("Beta", "Files", files(vault))
    squatter.names(reads("done"))
    put(hubs, "Zeta", "Files", "Customers", reads("mine", "done/zeta"))
    squatter.arrives(azurite)
    assert use(hubs, "Alpha", via="Late") == OF_ANOTHER
    put(hubs, "Beta", "Files", "Customers", reads("theirs", "done/beta"))
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), use(fresh, "Beta")) == (None, None)
    # It comes in when those have left that were there before it, and stays in.
    hubs.delete_mapping("Zeta", "Files", "Customers")
    hubs.delete_mapping("Beta", "Files", "Customers")
    hubs.connectors.test("Alpha", "Late")
    put(hubs, "Beta", "Files", "Others", reads("theirs"))
    fresh = again(hubs)
    assert refusal(lambda: fresh.put_mapping("Beta", "Files", "Customers", reads("theirs", "done/beta"))) == OF_ANOTHER
    assert use(fresh, "Alpha", via="Late") is None


def claims_of(names: str, shares: st.SearchStrategy[bool]) -> st.SearchStrategy[Claim]:
    moments = st.integers(0, 9).map(lambda second: datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC))
    return st.builds(Claim, st.sampled_from(names), st.dictionaries(st.sampled_from(Use), moments), shares)


def many(claims: st.SearchStrategy[Claim]) -> st.SearchStrategy[list[Claim]]:
    return st.lists(claims, unique_by=lambda claim: claim.hub)


@given(many(claims_of("ABCD", st.booleans())), st.integers(11, 20), st.sampled_from(Use))
def test_nobody_who_comes_later_changes_what_stands(claims: list[Claim], second: int, use: Use) -> None:
    newcomer = Claim("E", {use: datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)}, is_shared=False)
    before = standing(claims)
    refused = in_the_way(before, "E", use) is not None
    assert standing([newcomer, *claims]) == ([*before] if refused else [*before, newcomer])
    for claim in before:
        for stands in [*Use] if Use.READ in claim.since else claim.since:
            assert in_the_way(before, claim.hub, stands) is None


@given(many(claims_of("ABCD", st.just(False))))
def test_where_nobody_shares_hubs_only_move_together_or_only_export_together(claims: list[Claim]) -> None:
    found = standing(claims)
    assert bool(found) == any(claim.since for claim in claims)
    for one, other in itertools.combinations(found, 2):
        assert {*one.since} == {*other.since}
        assert {*one.since} in ({Use.MOVE}, {Use.EXPORT})


@pytest.fixture
def partner(hubs: Definitions, azurite: Endpoints) -> str:
    """The name of a partner's container, which `Zeta` reads."""
    name = f"partner-{hubs._store._table.name}".lower()
    BlobContainer(account_of(azurite), name).ensure()
    put(hubs, "Zeta", "Files", "Customers", reads(name))
    return name


def test_nothing_is_exported_into_what_another_hub_reads(hubs: Definitions, azurite: Endpoints, partner: str) -> None:
    wanted = outbound(container_sas(azurite, partner))
    with pytest.raises(ConflictError) as refused:
        hubs.connectors.put("Alpha", "Partner", wanted)
    assert refused.value.code == OF_ANOTHER
    assert [fault.target for fault in refused.value.details] == ["connectorProperties.outputBlobSASUri"]
    assert "reads" in refused.value.message
    assert "sig=" not in refused.value.message
    assert "Partner" not in [stored.document.connector_name for stored in hubs.connectors.all("Alpha")]
    assert hubs.connectors.put("Zeta", "Partner", wanted)[0].document.state is ConnectorState.READY, "it is its own"
    hubs.connectors.delete("Zeta", "Partner")

    share(hubs, "Zeta", partner)
    stored, _ = hubs.connectors.put("Alpha", "Partner", wanted)
    assert stored.document.state is ConnectorState.READY
    assert use(hubs, "Zeta") is None
    share(hubs, "Zeta")
    assert refusal(lambda: hubs.connectors.destinations.sas(stored)) == OF_ANOTHER
    assert refusal(lambda: again(hubs).connectors.destinations.sas(stored)) == OF_ANOTHER
    assert [check.ok for check in hubs.connectors.test("Alpha", "Partner")] == [False]
    kept, _ = hubs.connectors.put("Alpha", "Partner", connector_from_request(stored.document.to_json()))
    assert kept.document.state is ConnectorState.FAILED
    assert partner in (kept.document.state_detail or "")
    assert use(again(hubs), "Zeta") is None


def test_where_a_hub_exports_no_other_moves_files_without_its_leave(
    hubs: Definitions, azurite: Endpoints, partner: str
) -> None:
    hubs.delete_mapping("Zeta", "Files", "Customers")
    exporter, _ = hubs.connectors.put("Zeta", "Partner", outbound(container_sas(azurite, partner)))
    moves = reads("mine", f"{partner}/Profile")
    with pytest.raises(ConflictError) as refused:
        put(hubs, "Alpha", "Files", "Customers", moves)
    assert (refused.value.code, "exports to" in refused.value.message) == (OF_ANOTHER, True)
    assert hubs.mappings("Alpha", "Files") == []
    # Of what a hub exports its own moves are no matter of the others, nor are the exports of several hubs.
    put(hubs, "Zeta", "Files", "Customers", reads("own", partner))
    assert use(again(hubs), "Zeta") is None
    hubs.delete_mapping("Zeta", "Files", "Customers")
    second, _ = hubs.connectors.put("Alpha", "Partner", outbound(container_sas(azurite, partner)))
    assert second.document.state is ConnectorState.READY

    share(hubs, "Zeta", partner)
    put(hubs, "Alpha", "Files", "Customers", moves)
    assert use(hubs, "Alpha") is None
    share(hubs, "Zeta")
    fresh = again(hubs)
    assert (use(fresh, "Alpha"), refusal(lambda: fresh.connectors.destinations.sas(exporter))) == (OF_ANOTHER, None)


def test_nothing_is_exported_where_another_hub_moves_files(hubs: Definitions, azurite: Endpoints, partner: str) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("mine", f"{partner}/done"))
    wanted = outbound(container_sas(azurite, partner))
    with pytest.raises(ConflictError) as refused:
        hubs.connectors.put("Alpha", "Partner", wanted)
    assert (refused.value.code, "moves files to" in refused.value.message) == (OF_ANOTHER, True)

    share(hubs, "Zeta", partner)
    exporter, _ = hubs.connectors.put("Alpha", "Partner", wanted)
    assert exporter.document.state is ConnectorState.READY
    share(hubs, "Zeta")
    fresh = again(hubs)
    assert (use(fresh, "Zeta"), refusal(lambda: fresh.connectors.destinations.sas(exporter))) == (None, OF_ANOTHER)


@pytest.mark.parametrize(("created", "reader"), [("2026-02-01T00:00:00+00:00", OF_ANOTHER), (None, None)])
def test_exports_of_earlier_releases_count_from_when_their_connector_was_created(
    hubs: Definitions, azurite: Endpoints, partner: str, created: str | None, reader: str | None
) -> None:
    hubs.delete_mapping("Zeta", "Files", "Customers")
    hubs.connectors.put("Alpha", "Partner", outbound(container_sas(azurite, partner)))

    def make(change: Change) -> None:
        old = hubs._store.require(CONNECTOR, "Alpha", "Partner")
        moment = datetime.fromisoformat(created) if created else old.document.created
        document = old.document.model_copy(update={"created": moment})
        internal = {**old.internal, "exports_to": ""}
        if created:  # an earlier release never noted where exports go
            del internal["exports_to"]
        change.put(CONNECTOR, ("Partner",), document, old.instance_id, internal)

    hubs._store.change("Alpha", make)
    put(hubs, "Zeta", "Files", "Customers", reads(partner))
    for _ in range(2):
        refusal(lambda: hubs.connectors.destinations.sas(hubs.connector("Alpha", "Partner")))
    fresh = again(hubs)
    assert use(fresh, "Zeta") == reader
    exported = refusal(lambda: fresh.connectors.destinations.sas(fresh.connector("Alpha", "Partner")))
    assert exported == (None if reader else OF_ANOTHER)
