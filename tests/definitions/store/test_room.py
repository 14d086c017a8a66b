"""What the definitions of a hub take in all: no more than there is room for, and the sum is right whatever is done."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from infra.local.key_vault import KeyVault
from shared.definitions.definitions import Definitions
from shared.definitions.store.room import MOST_BYTES
from shared.domain.documents.connectors import ConnectorState
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import ConflictError
from shared.storage.blob.blobs import BlobContainer
from shared.storage.tables import Row, Table
from tests.definitions.places.claims import refusal
from tests.definitions.samples import crm, files, kpi, mapping, outbound, profile

_OF_A_ROW = 4096


def guard_of(table: Table, hub: str) -> Row:
    guard = table.get(hub.lower(), "guard")
    assert guard is not None
    return guard


def taken(table: Table, hub: str) -> int:
    """What is there, counted by hand."""
    rows = [row for row in table.query("PartitionKey eq @hub", {"hub": hub.lower()}) if "revision" in row]
    texts = [text for row in rows for name, text in row.items() if name[:4] == "json" or name == "internal"]
    return _OF_A_ROW * len(rows) + sum(len(text.encode()) for text in texts)


def leave(table: Table, hub: str, room: int) -> None:
    """As if there were other definitions, which leave so much room."""
    table.upsert({**guard_of(table, hub), "bytes": MOST_BYTES - room})


def too_many(put: Callable[[], object]) -> bool:
    code = refusal(put)
    assert code in {None, "TooManyDefinitions"}
    return code is not None


def long(length: int) -> Mapping:
    return mapping().model_copy(update={"description": "ü" * (length // 2)})


@pytest.fixture
def full(definitions: Definitions, hub: str, vault: KeyVault, table: Table) -> Definitions:
    """A hub with some definitions, and room for 20 KB more."""
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.connectors.put(hub, "Files", files(vault))
    definitions.put_mapping(hub, "Files", "Old", long(9_000))
    leave(table, hub, 20_000)
    return definitions


def test_the_sum_is_that_of_what_is_there(
    definitions: Definitions, hub: str, vault: KeyVault, table: Table, partner_sas: str
) -> None:
    def check() -> None:
        assert guard_of(table, hub)["bytes"] == taken(table, hub)

    definitions.put_entity_type(hub, "Customer", profile())
    definitions.put_kpi(hub, "Ages", kpi())
    check()
    for connector in (files(vault), crm(note="x" * 100), outbound(partner_sas)):
        definitions.connectors.put(hub, f"C{connector.connector_type}", connector)
        check()
    for length in (5, 40_000, 3):
        definitions.put_mapping(hub, "CAzureBlob", "Mapping", long(length))
        definitions.put_mapping(hub, "CAzureBlob", f"M{length}", long(length))
        definitions.pause_mapping(hub, "CAzureBlob", f"M{length}", paused=True)
        check()
    account = definitions.connectors.source_account(definitions.connector(hub, "CAzureBlob"))
    BlobContainer(account, "inbox").ensure()
    for name in ("Mapping", "M3"):
        before = taken(table, hub)
        blobs, stored = definitions.connector(hub, "CAzureBlob"), definitions.mapping(hub, "CAzureBlob", name)
        definitions.listings.list_first(blobs, stored, account, nullcontext)
        assert taken(table, hub) > before
        check()
    definitions.put_mapping(hub, "CAzureBlob", "Mapping", long(10))
    check()
    definitions.delete_mapping(hub, "CAzureBlob", "M3")
    check()
    definitions.delete_mapping(hub, "CAzureBlob", "M5")
    definitions.connectors.delete(hub, "COutbound")
    check()
    definitions.connectors.delete(hub, "CAzureBlob")
    definitions.connectors.delete(hub, "CCRM")
    definitions.delete_kpi(hub, "Ages")
    definitions.delete_entity_type(hub, definitions.entity_types(hub)[0].document.kind, "Customer")
    check()
    assert guard_of(table, hub)["bytes"] == 0


def test_there_is_no_room_for_more_until_something_goes(full: Definitions, hub: str) -> None:
    assert too_many(lambda: full.put_mapping(hub, "Files", "More", long(20_000)))
    assert not too_many(lambda: full.put_mapping(hub, "Files", "Less", long(12_000)))
    assert too_many(lambda: full.put_kpi(hub, "Ages", kpi()))
    assert too_many(lambda: full.put_entity_type(hub, "Other", profile()))
    assert too_many(lambda: full.connectors.put(hub, "Crm", crm()))
    full.delete_mapping(hub, "Files", "Old")
    assert not too_many(lambda: full.put_kpi(hub, "Ages", kpi()))


def test_what_makes_it_less_is_taken_even_where_it_is_too_much(full: Definitions, hub: str, table: Table) -> None:
    leave(table, hub, -1_000_000)
    assert too_many(lambda: full.put_mapping(hub, "Files", "Old", long(9_010)))
    assert not too_many(lambda: full.put_mapping(hub, "Files", "Old", long(8_990)))


def test_what_the_app_notes_by_itself_finds_room(full: Definitions, hub: str, table: Table) -> None:
    leave(table, hub, 0)
    assert full.pause_mapping(hub, "Files", "Old", paused=True).document.is_paused
    # Whether the container is there depends on the tests before.
    found = (
        ConnectorState.READY if all(check.ok for check in full.connectors.test(hub, "Files")) else ConnectorState.FAILED
    )
    assert full.connector(hub, "Files").document.state is found, "as it was noted"
    full.connectors.delete(hub, "Files")
    assert full.connectors.all(hub) == []


def test_a_hub_of_an_earlier_release_is_counted_at_the_next_put(full: Definitions, hub: str, table: Table) -> None:
    guard = guard_of(table, hub)
    table.upsert({name: guard[name] for name in guard if name != "bytes"})
    full.pause_mapping(hub, "Files", "Old", paused=True)
    assert "bytes" not in guard_of(table, hub)
    full.put_kpi(hub, "Ages", kpi())
    assert guard_of(table, hub)["bytes"] == taken(table, hub)


def test_of_two_that_come_at_once_one_finds_room(full: Definitions, hub: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        puts = [
            pool.submit(too_many, lambda name=name: full.put_mapping(hub, "Files", name, long(12_000)))  # type: ignore[misc]
            for name in ("M1", "M2", "M3", "M4")
        ]
        assert sorted(put.result(60) for put in puts) == [False, True, True, True]


def test_who_is_refused_is_told_how_much_there_is(full: Definitions, hub: str) -> None:
    with pytest.raises(ConflictError, match=r"take 16\.0 MiB.*delete"):
        full.put_mapping(hub, "Files", "More", long(100_000))
    assert [one.document.connector_mapping_name for one in full.mappings(hub, "Files")] == ["Old"]
