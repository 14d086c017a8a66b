"""Which mappings of a hub may read the files of another one: those of its container, unless its account is another."""

import pytest

from infra.local.key_vault import KeyVault
from shared.definitions.definitions import Definitions
from shared.definitions.store.kinds import CONNECTOR
from tests.definitions.places.claims import damage, reads
from tests.definitions.samples import files

MINE = {"account": "mine", "claimed_account": "mine", "claimed_since": "2026-01-01T00:00:00+00:00"}
ITS = {**MINE, "account": "its", "claimed_account": "its"}
NOT_FOUND = {name: fact for name, fact in ITS.items() if name != "account"}
NOT_LET_IN = {"claimed_account": ""}


@pytest.fixture
def zeta(hubs: Definitions, vault: KeyVault) -> Definitions:
    """The hub `Zeta`, where two connectors have a mapping of one container each."""
    hubs.connectors.put("Zeta", "Second", files(vault))
    hubs.put_mapping("Zeta", "Files", "Customers", reads("inbox"))
    hubs.put_mapping("Zeta", "Second", "Others", reads("inbox/others"))
    return hubs


def note(definitions: Definitions, connector: str, facts: dict[str, str]) -> None:
    """Makes these the internal facts of a connector."""
    old = definitions.connector("Zeta", connector)
    definitions._store.change(
        "Zeta", lambda change: change.put(CONNECTOR, (connector,), old.document, old.instance_id, facts)
    )


def beside(definitions: Definitions) -> list[str]:
    """The mappings that may read the files of the one of the first connector."""
    of_first = definitions.mapping("Zeta", "Files", "Customers")
    return [f"{one.parent}/{one.name}" for one in definitions.readers_beside(of_first)]


@pytest.mark.parametrize(
    ("own", "its", "counts"),
    [
        (MINE, MINE, True),
        (MINE, ITS, False),
        (MINE, NOT_FOUND, True),
        (NOT_FOUND, MINE, True),
        (MINE, {}, True),
        (MINE, NOT_LET_IN, True),
        (MINE, {**NOT_LET_IN, "account": "mine"}, True),
        (MINE, {**NOT_LET_IN, "account": "its"}, False),
        (MINE, {**ITS, "claimed_account": "mine"}, True),
        ({"account": "mine"}, {"account": "Mine"}, True),
        ({"account": "mine"}, {"account": "its"}, False),
    ],
)
def test_a_mapping_of_another_connector_counts_unless_its_account_is_known_to_be_another(
    zeta: Definitions, own: dict[str, str], its: dict[str, str], *, counts: bool
) -> None:
    note(zeta, "Files", own)
    note(zeta, "Second", its)
    assert beside(zeta) == (["second/others"] if counts else [])


@pytest.mark.parametrize("key", ["mapping|second|others", "connector|second"])
def test_one_that_cannot_be_read_counts_by_what_is_noted_of_it(zeta: Definitions, key: str) -> None:
    zeta.put_mapping("Zeta", "Second", "Elsewhere", reads("elsewhere"))
    damage(zeta, "Zeta", key)
    damage(zeta, "Zeta", "mapping|second|elsewhere")
    assert beside(zeta) == ["second/others"]
    zeta.put_mapping("Zeta", "Files", "Customers", reads("mine"))
    assert beside(zeta) == []
