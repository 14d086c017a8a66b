"""Which runs owe their files something is read a part at a time, once round, at the cost of the part alone."""

import base64
import uuid
from collections.abc import Iterator

import pytest

from infra.local.azurite import Endpoints
from shared.clock import Clock
from shared.ledger.runs import Runs
from shared.settings import Settings
from shared.storage.tables import Row, Table, Upsert
from tests.fault_proxy import ChangeAnswer, FaultProxy, running_proxy
from tests.local_services import account_of

IDS = [f"{number:03x}" for number in range(240)]


@pytest.fixture
def table(azurite: Endpoints) -> Table:
    return Table(account_of(azurite), f"owing{uuid.uuid4().hex[:12]}")


@pytest.fixture
def proxy(azurite: Endpoints) -> Iterator[FaultProxy]:
    with running_proxy(azurite.table) as proxy:
        yield proxy


@pytest.fixture
def runs(azurite: Endpoints, table: Table, proxy: FaultProxy) -> Runs:
    return Runs(Table(account_of(azurite, table=proxy.endpoint), table.name), Clock(Settings()))


def owe(table: Table, *run_ids: str, mapping: str = "m1", owes: str | None = "MoveFile") -> None:
    rows: list[Row] = [
        {"PartitionKey": "contoso", "RowKey": f"run|{one}", "runId": one, "mappingInstance": mapping, "owes": owes}
        for one in run_ids
    ]
    for start in range(0, len(rows), 100):
        table.transact([Upsert(row) for row in rows[start : start + 100]])


def parts(runs: Runs, begin: str, most: int) -> Iterator[list[str]]:
    place: str | None = ""
    while place is not None:
        found, place = runs.owing("Contoso", "m1", "MoveFile", begin, place, most)
        yield found


@pytest.mark.parametrize("begin", ["", "000", "0a", "0efz", "fff", "0eb4a"])
def test_each_is_found_once_from_a_place_in_the_middle_round_to_it(table: Table, runs: Runs, begin: str) -> None:
    owe(table, *IDS)
    owe(table, "fea", mapping="m2")
    owe(table, "feb", owes="DeleteFile")
    owe(table, "fec", owes=None)
    found = list(parts(runs, begin, 100))
    assert [one for part in found for one in part] == sorted(IDS, key=lambda one: (one < begin, one))
    assert max(map(len, found)) == 100


def test_a_part_is_one_request_for_no_more_than_is_asked_for(table: Table, runs: Runs, proxy: FaultProxy) -> None:
    owe(table, *IDS)
    for part, _ in enumerate(parts(runs, "050", 50), 1):
        assert len(proxy.requests) == part
    assert all("$top=50" in request.target.replace("%24", "$") for request in proxy.requests)


def test_where_the_service_has_found_none_yet_the_next_part_goes_on(
    table: Table, runs: Runs, proxy: FaultProxy
) -> None:
    """Azure answers after a while with what it has found by then; Azurite looks at all."""
    owe(table, "a")
    # As Azurite writes such a place.
    key = base64.b64encode(b"run|a").decode()
    on = ChangeAnswer({"x-ms-continuation-NextPartitionKey": "contoso", "x-ms-continuation-NextRowKey": key})
    proxy.break_once(on, lambda _: True)
    assert [*parts(runs, "b", 10)] == [[], [], ["a"]]
    assert ["NextRowKey" in request.target for request in proxy.requests] == [False, True, False]


def test_where_there_is_no_table_nobody_owes_anything(runs: Runs) -> None:
    assert [*parts(runs, "a", 10)] == [[], []]
