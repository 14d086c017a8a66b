"""What a PUT asks of the tables: no more for a long list, or for many definitions, than for few."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import unquote

import pytest

from infra.local.azurite import ACCOUNT, Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.definitions.places.readers import Listener
from shared.domain.documents.connectors import Connector
from shared.domain.errors import InvalidRequestError
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.definitions.samples import files, kpi, mapping, outbound, profile
from tests.fault_proxy import FaultProxy, running_proxy
from tests.local_services import account_of

INVENTED = [{"entityType": kind, "entityName": f"Name{number}"} for number in range(500) for kind in ("Profile", "Kpi")]


@pytest.fixture
def proxy(azurite: Endpoints) -> Iterator[FaultProxy]:
    with running_proxy(azurite.table) as proxy:
        yield proxy


@pytest.fixture
def far(
    definitions: Definitions, hub: str, proxy: FaultProxy, table: Table, azurite: Endpoints, settings: Settings
) -> Definitions:
    """The definitions of a hub with a type and a KPI, behind the proxy."""
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.put_kpi(hub, "Ages", kpi())
    behind = Table(account_of(azurite, table=proxy.endpoint), table.name)
    return Definitions(behind, Vaults(settings), Clock(settings), settings)


def test_a_long_entity_list_asks_for_no_more_than_a_short_one(
    far: Definitions, hub: str, proxy: FaultProxy, partner_sas: str
) -> None:
    def requests_of(connector: Connector) -> int:
        before = len(proxy.requests)
        with pytest.raises(InvalidRequestError) as refused:
            far.connectors.put(hub, "Partner", connector)
        assert {fault.code for fault in refused.value.details} == {"UnknownEntity"}
        return len(proxy.requests) - before

    asked = requests_of(outbound(partner_sas, INVENTED[:2]))
    assert requests_of(outbound(partner_sas, INVENTED)) == asked
    assert asked < 10


def test_a_change_costs_the_next_look_no_more_where_the_hub_has_much(
    definitions: Definitions, far: Definitions, hub: str, proxy: FaultProxy, vault: KeyVault
) -> None:
    definitions.connectors.put(hub, "Files", files(vault))

    def asked_after(change: Callable[[], object]) -> list[str]:
        assert listening(far)
        change()
        before = len(proxy.requests)
        assert listening(far)
        return [unquote(request.target) for request in proxy.requests[before:]]

    def put_mapping() -> None:
        definitions.put_mapping(hub, "Files", "M1", mapping())

    def put_kpi() -> None:
        definitions.put_kpi(hub, "Ages", kpi())

    put_mapping()
    for_kpi, for_mapping = asked_after(put_kpi), asked_after(put_mapping)
    for number in range(2, 8):
        definitions.put_mapping(hub, "Files", f"M{number}", mapping())
    assert len(asked_after(put_kpi)) == len(for_kpi)
    again = asked_after(put_mapping)
    assert len(again) == len(for_mapping) == len(for_kpi) + 1
    whole = [target for target in again if "$select" not in target and "'guard'" not in target]
    assert len(whole) == 1, "the mapping that was changed, and no other"
    assert "mapping|files|m1" in whole[0]


def test_many_changes_at_once_are_read_at_once(
    definitions: Definitions, far: Definitions, hub: str, proxy: FaultProxy, vault: KeyVault
) -> None:
    definitions.connectors.put(hub, "Files", files(vault))
    definitions.put_mapping(hub, "Files", "M1", mapping())
    assert len(listening(far)) == 1
    for number in range(2, 14):
        definitions.put_mapping(hub, "Files", f"M{number}", mapping())
    before = len(proxy.requests)
    assert len(listening(far)) == 13
    assert len(proxy.requests) - before < 8
    definitions.delete_mapping(hub, "Files", "M5")
    assert len(listening(far)) == 12


def test_what_many_ask_for_at_once_is_read_once(
    definitions: Definitions, far: Definitions, hub: str, proxy: FaultProxy, vault: KeyVault
) -> None:
    definitions.connectors.put(hub, "Files", files(vault))
    definitions.put_mapping(hub, "Files", "M1", mapping())
    together = Barrier(8)

    def ask(_: int) -> int:
        together.wait(30)
        return len(listening(far))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [1] * 8
    lists = [request for request in proxy.requests if "mapping|" in unquote(request.target)]
    assert len(lists) == 1


def listening(definitions: Definitions) -> list[Listener]:
    return definitions.listeners(ACCOUNT, "inbox")


def test_a_mapping_asks_for_no_more_where_there_are_many_connectors(
    far: Definitions, hub: str, proxy: FaultProxy, vault: KeyVault
) -> None:
    def requests_of(name: str) -> int:
        before = len(proxy.requests)
        far.put_mapping(hub, "Files", name, mapping())
        return len(proxy.requests) - before

    far.connectors.put(hub, "Files", files(vault))
    asked = requests_of("First")
    for number in range(6):
        far.connectors.put(hub, f"More{number}", files(vault))
    assert requests_of("Second") == asked
