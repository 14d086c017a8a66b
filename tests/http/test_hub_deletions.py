"""A hub that is deleted goes as a whole, or stays so, by one request at a time, whoever else PUTs or deletes it."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import httpx
import pytest
from pydantic import SecretStr

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.definitions.store import Conditions
from shared.domain.hubs import Hub
from shared.domain.places import run_files_of
from shared.domain.reject import Reject
from shared.failpoints import FailPoint, arm
from shared.http.app import create_http_app
from shared.hub_records import delete_hub, delete_remains_of_hubs, put_hub
from shared.settings import Settings
from tests.fault_proxy import Request, running_proxy
from tests.http.conftest import Client
from tests.http.recorded_runs import keep, record
from tests.ingest.paused import paused
from tests.local_services import development

REJECTS = [Reject(2, "mail", "EmptyKey", "the key is empty", "jane@example.com,")]
ANY = Conditions()


@pytest.fixture
def elsewhere(settings: Settings) -> Client:
    """The same app in another process."""
    return Client(create_http_app(Services(settings)))


def fill(services: Services, hub: str, runs: int = 1) -> None:
    for number in range(runs):
        keep(services, hub, record(services, hub, number), REJECTS)


def left(services: Services, hub: str) -> tuple[int, int]:
    name = hub.removeprefix("/hubs/")
    return len(services.runs.page(name)[0]), len(list(services.run_files.list(run_files_of(name))))


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"] if answer.status_code >= 400 else ""


def half_deleted(services: Services, hub: str) -> None:
    """Deletes the hub's rows, and dies."""

    def die() -> None:
        raise KeyboardInterrupt

    arm(FailPoint.HUB_ROWS_DELETED, die)
    with pytest.raises(KeyboardInterrupt):
        delete_hub(services, hub.removeprefix("/hubs/"), ANY)
    arm(FailPoint.HUB_ROWS_DELETED, lambda: None)


def test_while_one_request_deletes_a_hub_no_other_does_so_too(client: Client, services: Services, hub: str) -> None:
    fill(services, hub)
    with paused(lambda: client.delete(hub), FailPoint.HUB_ROWS_DELETED) as deletion:
        for other in (lambda: client.delete(hub), lambda: client.put(hub, {})):
            assert code(other()) == (409, "HubDeleting")
        delete_remains_of_hubs(services)
        assert left(services, hub) == (0, 1)
        assert deletion.end().status_code == 204
    assert left(services, hub) == (0, 0)
    assert client.put(hub, {}).status_code == 201


def test_a_deletion_that_another_process_goes_on_with_finds_the_hub_anew(
    client: Client, elsewhere: Client, services: Services, hub: str
) -> None:
    fill(services, hub)
    with paused(lambda: client.delete(hub), FailPoint.HUB_ROWS_DELETED) as deletion:
        assert code(elsewhere.put(hub, {})) == (200, "")
        assert left(services, hub) == (0, 0)
        fill(services, hub)
        assert code(deletion.end()) == (409, "HubInUse")
    assert left(services, hub) == (1, 1)


@pytest.mark.parametrize("point", ["before it writes the hub", "before it opens it"])
def test_a_put_that_saw_the_hub_in_use_keeps_none_of_it_that_is_half_deleted(
    services: Services, azurite: Endpoints, hub: str, point: str
) -> None:
    fill(services, hub)
    name, reached = hub.removeprefix("/hubs/"), itertools.count(1)

    def begin(request: Request) -> None:
        is_at = request.method == "POST" if point == "before it writes the hub" else _reads_guard(request, name)
        # First the guard is read before the hub is written.
        if is_at and next(reached) == (1 if request.method == "POST" else 2):
            half_deleted(services, hub)

    with running_proxy(azurite.table) as proxy:
        text = azurite.connection_string.replace(azurite.table, proxy.endpoint)
        behind = Services(development(azurite).model_copy(update={"hub_storage": SecretStr(text)}))
        proxy.plan = begin
        assert put_hub(behind, name, Hub.from_request({}), ANY)[1] is False
    assert next(reached) > 2
    assert left(services, hub) == (0, 0)
    assert services.definitions.closing_of(name) == ""


def _reads_guard(request: Request, hub: str) -> bool:
    return request.method == "GET" and {hub, "guard"} <= set(unquote(request.target).split("'"))


def test_a_put_is_not_lost_to_a_deletion_that_ends_behind_it(
    client: Client, elsewhere: Client, services: Services, hub: str
) -> None:
    """It has read the hub's document already, and finds it gone."""
    with paused(lambda: client.delete(hub), FailPoint.HUB_EMPTIED) as deletion:
        assert code(elsewhere.put(hub, {"displayName": "Kept"})) == (200, "")
        assert code(deletion.end()) == (409, "HubInUse")
    assert client.get(hub).json()["displayName"] == "Kept"


@pytest.mark.parametrize("turn", range(3))
def test_of_a_hub_that_many_put_beside_its_deletion_all_is_left_or_nothing(
    client: Client, elsewhere: Client, services: Services, hub: str, turn: int
) -> None:
    fill(services, hub, runs=6)
    puts: list[Callable[[], httpx.Response]] = [lambda: client.put(hub, {}), lambda: elsewhere.put(hub, {})]
    work = [*puts[: turn + 1], lambda: client.delete(hub), *puts, *puts]
    with ThreadPoolExecutor(len(work)) as pool:
        answers = [answer.result() for answer in [pool.submit(one) for one in work]]
    assert {code(answer) for answer in answers} <= {
        *((status, "") for status in (200, 201, 204)), (409, "HubDeleting"), (409, "HubInUse")
    }  # fmt: skip
    assert left(services, hub) in {(6, 6), (0, 0)}
    listed = client.get(f"{hub}/runs")
    for run in listed.json()["value"] if listed.status_code == 200 else ():
        assert client.get(f"{hub}/runs/{run['runId']}/rejects").status_code == 200
