"""What a PUT asks of the tables: no more for a long list, or for many definitions, than for few."""

from collections.abc import Iterator

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.domain.connectors import Connector
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
            far.put_connector(hub, "Partner", connector)
        assert {fault.code for fault in refused.value.details} == {"UnknownEntity"}
        return len(proxy.requests) - before

    asked = requests_of(outbound(partner_sas, INVENTED[:2]))
    assert requests_of(outbound(partner_sas, INVENTED)) == asked
    assert asked < 10


def test_a_mapping_asks_for_no_more_where_there_are_many_connectors(
    far: Definitions, hub: str, proxy: FaultProxy, vault: KeyVault
) -> None:
    def requests_of(name: str) -> int:
        before = len(proxy.requests)
        far.put_mapping(hub, "Files", name, mapping())
        return len(proxy.requests) - before

    far.put_connector(hub, "Files", files(vault))
    asked = requests_of("First")
    for number in range(6):
        far.put_connector(hub, f"More{number}", files(vault))
    assert requests_of("Second") == asked
