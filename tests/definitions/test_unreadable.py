"""A stored definition that this release cannot read: it is said which, and who has nothing to do with it goes on."""

import pytest

from shared.definitions.definitions import Definitions
from shared.domain.errors import FatalError
from shared.domain.hubs import Hub
from tests.definitions.claims import OF_ANOTHER, again, damage, reads, refusal, use
from tests.definitions.samples import crm


@pytest.mark.parametrize("key", ["mapping|files|broken", "connector|broken", "hub|beta"])
def test_it_stops_no_other_hub(hubs: Definitions, caplog: pytest.LogCaptureFixture, key: str) -> None:
    hubs.put_hub("Beta", Hub())
    hubs.put_mapping("Zeta", "Files", "Broken", reads("broken"))
    hubs.put_connector("Zeta", "Broken", crm())
    hubs.put_mapping("Zeta", "Files", "Customers", reads("inbox"))
    hubs.put_mapping("Alpha", "Files", "Customers", reads("mine", "done"))
    damage(hubs, "hubs" if key.startswith("hub|") else "Zeta", key)
    for fresh in (hubs, again(hubs)):
        assert use(fresh, "Alpha") is None
        fresh.put_mapping("Alpha", "Files", "Others", reads("mine/others", "done"))
        assert refusal(lambda fresh=fresh: fresh.put_mapping("Alpha", "Files", "Spy", reads("inbox"))) == OF_ANOTHER  # type: ignore[misc]
        names = [stored.document.connector_mapping_name for _, stored in fresh.readers("Zeta")]
        assert "Customers" in names
        assert {"Zeta", "Alpha"} <= set(fresh.hub_names())
    assert "DefinitionUnreadable" in caplog.text
    assert "private" not in caplog.text


def test_whoever_asks_for_it_is_told(hubs: Definitions) -> None:
    hubs.put_mapping("Zeta", "Files", "Broken", reads("broken"))
    damage(hubs, "Zeta", "mapping|files|broken")
    for ask in (lambda: hubs.mapping("Zeta", "Files", "Broken"), lambda: hubs.mappings("Zeta", "Files")):
        with pytest.raises(FatalError) as told:
            ask()
        assert told.value.code == "DefinitionUnreadable"
        assert "mapping 'files/broken'" in told.value.message
        assert "mappingProperties" in told.value.message
