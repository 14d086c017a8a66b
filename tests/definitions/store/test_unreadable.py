"""A stored definition that this release cannot read: it is said which, and who has nothing to do with it goes on."""

import pytest

from infra.local.azurite import Endpoints
from shared.definitions.definitions import Definitions
from shared.domain.documents.hubs import Hub
from shared.domain.errors import FatalError
from shared.storage.blob.blobs import BlobContainer
from shared.storage.tables import ETAG
from tests.definitions.places.claims import OF_ANOTHER, again, damage, put, reads, refusal, share, use
from tests.definitions.samples import crm, outbound
from tests.local_services import account_of, container_sas


@pytest.mark.parametrize("key", ["mapping|files|broken", "connector|broken", "hub|beta"])
def test_it_stops_no_other_hub(hubs: Definitions, caplog: pytest.LogCaptureFixture, key: str) -> None:
    hubs.put_hub("Beta", Hub())
    put(hubs, "Zeta", "Files", "Broken", reads("broken"))
    hubs.connectors.put("Zeta", "Broken", crm())
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    put(hubs, "Alpha", "Files", "Customers", reads("mine", "done"))
    damage(hubs, "hubs" if key.startswith("hub|") else "Zeta", key)
    for fresh in (hubs, again(hubs)):
        assert use(fresh, "Alpha") is None
        put(fresh, "Alpha", "Files", "Others", reads("mine/others", "done"))
        assert refusal(lambda fresh=fresh: put(fresh, "Alpha", "Files", "Spy", reads("inbox"))) == OF_ANOTHER  # type: ignore[misc]
        names = [stored.document.connector_mapping_name for _, stored in fresh.readers("Zeta")]
        assert "Customers" in names
        assert {"Zeta", "Alpha"} <= set(fresh.hub_names())
    assert "DefinitionUnreadable" in caplog.text
    assert "private" not in caplog.text


def test_whoever_asks_for_it_is_told(hubs: Definitions) -> None:
    put(hubs, "Zeta", "Files", "Broken", reads("broken"))
    damage(hubs, "Zeta", "mapping|files|broken")
    for ask in (lambda: hubs.mapping("Zeta", "Files", "Broken"), lambda: hubs.mappings("Zeta", "Files")):
        with pytest.raises(FatalError) as told:
            ask()
        assert told.value.code == "DefinitionUnreadable"
        assert "mapping 'files/broken'" in told.value.message
        assert "mappingProperties" in told.value.message


def test_what_a_later_release_has_stored_is_not_replaced(hubs: Definitions) -> None:
    """It may hold what this release would leave out, and lose with the next PUT."""
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    row = hubs._store._table.get("zeta", "mapping|files|customers")
    assert row is not None
    later = {name: value for name, value in row.items() if name not in {ETAG, "PartitionKey", "RowKey"}}
    later["schemaVersion"] = row["schemaVersion"] + 1
    hubs._store.change("Zeta", lambda change: change.note("mapping|files|customers", later))
    for ask in (
        lambda: hubs.mapping("Zeta", "Files", "Customers"),
        lambda: put(hubs, "Zeta", "Files", "Customers", reads("inbox")),
        lambda: hubs.pause_mapping("Zeta", "Files", "Customers", paused=True),
    ):
        with pytest.raises(FatalError) as told:
            ask()
        assert told.value.code == "DefinitionUnreadable"
        assert "later release" in told.value.message


@pytest.mark.parametrize("key", ["mapping|files|customers", "connector|files", "hub|zeta"])
def test_what_it_claims_stays_closed_to_other_hubs(hubs: Definitions, key: str) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    damage(hubs, "hubs" if key.startswith("hub|") else "Zeta", key)
    for wanted in (reads("inbox"), reads("done"), reads("mine", "inbox")):
        for fresh in (hubs, again(hubs)):
            assert refusal(lambda fresh=fresh, wanted=wanted: put(fresh, "Alpha", "Files", "Spy", wanted)) == (  # type: ignore[misc]
                OF_ANOTHER
            )
    put(hubs, "Alpha", "Files", "Customers", reads("mine", "done"))
    assert use(again(hubs), "Alpha") is None, "an archive is for all to write to"


def test_a_hub_that_cannot_be_read_shares_nothing(hubs: Definitions) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    share(hubs, "Zeta", "inbox")
    put(hubs, "Alpha", "Files", "Customers", reads("inbox"))
    assert use(hubs, "Alpha") is None
    damage(hubs, "hubs", "hub|zeta")
    assert use(again(hubs), "Alpha") == OF_ANOTHER


def test_where_a_connector_exports_that_cannot_be_read_stays_closed(hubs: Definitions, azurite: Endpoints) -> None:
    container = f"partner-{hubs._store._table.name}".lower()
    BlobContainer(account_of(azurite), container).ensure()
    hubs.connectors.put("Zeta", "Partner", outbound(container_sas(azurite, container)))
    damage(hubs, "Zeta", "connector|partner")
    for fresh in (hubs, again(hubs)):
        assert refusal(lambda fresh=fresh: put(fresh, "Alpha", "Files", "Spy", reads(container))) == OF_ANOTHER  # type: ignore[misc]
