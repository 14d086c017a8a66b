"""Types, KPI, mappings and partner are deleted and made anew between any two requests of whatever is at work.

Afterwards there is what came to the new ones, and nothing else; everything works; and nobody was told of an error.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from infra.local.azurite import Endpoints
from shared.http.app import create_http_app
from shared.lake.paths import changes_path, kpi_path, states_path
from tests.lake.given import ingest
from tests.local_services import running_vault
from tests.model.compare import check_paths
from tests.model.define import KPI, NAME
from tests.model.faulty_storage import FaultyStorage, faulty_storage
from tests.model.hub import ModelHub
from tests.thorough import THOROUGH

# The SDKs leave the sockets of answers that they did not read to the end to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"), pytest.mark.timeout(3600)]

OLD = [{"Id": f"old-{index}", "City": "Gent", "Points": 7} for index in range(3)]
NEW = [{"Id": "new", "City": "Lyon", "Points": 1}]
BLOB = (("A", "Rome", "2"), ("B", "Kiel", "3"))
# Otherwise each work, and each request of it.
SOME_WORKS = ("a refresh",)
SOME_REQUESTS = 1
# The connector is deleted too, and with it the right to write to its destination.
_OF_THE_CONNECTOR = "SecretNotFound"


@pytest.fixture
def storage(azurite: Endpoints) -> Iterator[FaultyStorage]:
    with faulty_storage(azurite) as passing:
        yield passing


@pytest.fixture
def hub(storage: FaultyStorage, tmp_path: Path) -> Iterator[ModelHub]:
    with running_vault(tmp_path, storage.endpoints) as vault, closing(ModelHub(storage, vault.url, tmp_path)) as hub:
        hub.put_partner()
        yield hub


def give(hub: ModelHub, rows: list[dict[str, object]], folder: Path) -> None:
    customer = hub.seen.definitions.type_named(NAME, "Customer").document
    keyed = [{"_key": row["Id"], **row} for row in rows]
    ingest(hub.seen.lake, customer, keyed, folder, ingested_at=hub.seen.clock.now(), order=1)


def work_off(hub: ModelHub, *queues: str) -> None:
    for queue in queues:
        for _ in hub.work_all(queue):
            pass


def refresh(hub: ModelHub) -> None:
    hub.refresh(upkeep=False)


def maintain(hub: ModelHub) -> None:
    hub.refresh(upkeep=True)


def take_in(hub: ModelHub) -> None:
    hub.deliver(hub.event(hub.upload("whole/a.csv", BLOB)))
    work_off(hub, "ingest")


def export(hub: ModelHub) -> None:
    hub.tick_exports()
    work_off(hub, "export")


def calculate(hub: ModelHub) -> None:
    hub.calculate()
    work_off(hub, "export")


def read(hub: ModelHub) -> None:
    async def get() -> list[int]:
        transport = httpx.ASGITransport(create_http_app(hub.services))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            paths = ("Customer", "Customer/old-1?$expand=origin", f"KPIs/{KPI}")
            return [(await client.get(f"/hubs/{NAME}/data/{path}")).status_code for path in paths]

    assert set(asyncio.run(get())) <= {200, 404}


def pile_up(hub: ModelHub, folder: Path) -> None:
    """Enough small files for them to be merged, and enough refreshes for them to be rebased."""
    for index in range(9):
        give(hub, [{"Id": f"old-{index}", "City": "Gent", "Points": index}], folder)
        hub.refresh(upkeep=False)
    hub.later(timedelta(days=8))


def fold_and_age(hub: ModelHub, folder: Path) -> None:
    pile_up(hub, folder)
    hub.refresh(upkeep=True)
    give(hub, OLD, folder)
    hub.later(timedelta(days=30))


def give_old(hub: ModelHub, folder: Path) -> None:
    give(hub, OLD, folder)


def give_and_calculate(hub: ModelHub, folder: Path) -> None:
    give(hub, OLD, folder)
    calculate(hub)


WORKS: dict[str, tuple[Callable[[ModelHub, Path], None], Callable[[ModelHub], None]]] = {
    "a refresh": (give_old, refresh),
    "a blob is taken in": (give_old, take_in),
    "files are merged, refreshes rebased": (pile_up, maintain),
    "refreshes expire": (fold_and_age, maintain),
    "a KPI is calculated and exported": (give_old, calculate),
    "a slot is exported": (give_old, export),
    "instances and values are read": (give_and_calculate, read),
}


@pytest.mark.parametrize("work", WORKS if THOROUGH else SOME_WORKS)
def test_made_anew_between_any_two_requests(
    storage: FaultyStorage, hub: ModelHub, tmp_path: Path, caplog: pytest.LogCaptureFixture, work: str
) -> None:
    prepare, do = WORKS[work]
    prepare(hub, tmp_path)
    requests = sum(passed(storage, lambda: do(hub)))
    every = 1 if THOROUGH else requests // SOME_REQUESTS
    for number in range(every // 2, requests, every):
        hub.make_anew(with_hub=number % 2 == 0)
        prepare(hub, tmp_path)
        caplog.clear()

        def make_anew() -> None:
            hub.make_anew()
            give(hub, NEW, tmp_path)

        is_done = storage.before_request(number, make_anew)
        do(hub)
        storage.heal()
        if not is_done():
            make_anew()  # it took fewer requests this time
        assert errors(caplog) == [], number
        check(hub, storage, number)
        assert errors(caplog) == [], number


def passed(storage: FaultyStorage, act: Callable[[], None]) -> list[int]:
    """How many requests came by each proxy."""
    storage.heal()
    act()
    return [len(proxy.requests) for proxy in storage.proxies.values()]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    return [message for message in said if _OF_THE_CONNECTOR not in message]


def check(hub: ModelHub, storage: FaultyStorage, number: int) -> None:
    """What came to the new type is there, and nothing else."""
    assert hub.tick()
    work_off(hub, "ingest", "export")
    rows = {"new": (1, "Lyon")}
    if list(hub.inbox.list_blob_names()):
        rows |= {key: (int(points), city) for key, city, points in BLOB}
    for _ in range(2):
        assert {row["Id"]: (row["Points"], row["City"]) for row in hub.data("Customer")} == rows, number
        assert hub.calculate()
        assert hub.tick_exports()
        work_off(hub, "export")
        assert hub.total() == sum(points for points, _ in rows.values()), number
        assert hub.refresh(upkeep=True)
    definitions = hub.seen.definitions
    customer = definitions.type_named(NAME, "Customer").document
    tables = [changes_path(customer), states_path(customer), kpi_path(definitions.kpi(NAME, KPI).document)]
    for table in tables:
        handle = hub.seen.lake.open(table)
        assert handle is not None, table
        assert handle.to_pyarrow_table().num_rows > 0, table  # it finds every file that the log names
    check_paths(hub)
    for path in hub.inbox.list_blob_names():
        hub.inbox.delete_blob(path)
