"""A hub that is deleted goes as a whole, or stays so, by one request at a time, whoever else PUTs or deletes it."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from urllib.parse import unquote

import httpx
import pytest
from pydantic import SecretStr

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.hubs import Hub
from shared.domain.errors import ConflictError, PreconditionError, RefusedError
from shared.domain.own_names import run_files_of
from shared.domain.reject import Reject
from shared.failpoints import FailPoint, arm
from shared.http.app import create_http_app
from shared.hub_records import delete_hub, delete_remains_of_hubs, put_hub
from shared.settings import Settings
from tests.fault_proxy import Answer, FaultProxy, Request, running_proxy
from tests.http import bodies
from tests.http.conftest import Client
from tests.http.routes.recorded_runs import keep, record
from tests.ingest.paused import PATIENCE_S, paused
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


def through(proxy: FaultProxy, azurite: Endpoints) -> Services:
    """The services of a process that asks the tables by way of the proxy."""
    text = azurite.connection_string.replace(azurite.table, proxy.endpoint)
    return Services(development(azurite).model_copy(update={"hub_storage": SecretStr(text)}))


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
        behind = through(proxy, azurite)
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


def test_a_hub_that_is_put_once_a_deletion_has_won_is_a_new_one(
    client: Client, elsewhere: Client, services: Services, hub: str
) -> None:
    fill(services, hub)
    with paused(lambda: client.delete(hub), FailPoint.HUB_GONE) as deletion:
        assert code(elsewhere.put(hub, {"displayName": "New"})) == (201, "")
        assert elsewhere.put(f"{hub}/profiles/Customer", bodies.profile_type()).status_code == 201
        assert code(deletion.end()) == (204, "")
    assert client.get(hub).json()["displayName"] == "New"
    assert client.get(f"{hub}/profiles/Customer").status_code == 200
    assert left(services, hub) == (0, 0)


def test_a_put_that_died_before_it_opened_its_hub_is_gone_on_with(
    client: Client, azurite: Endpoints, services: Services, hub: str
) -> None:
    name, posts = hub.removeprefix("/hubs/"), itertools.count(1)
    assert client.delete(hub).status_code == 204

    def refuse(request: Request) -> Answer | None:
        return Answer(403, "AuthorizationFailure") if request.method == "POST" and next(posts) > 1 else None

    with running_proxy(azurite.table) as proxy:
        behind = through(proxy, azurite)
        proxy.plan = refuse
        with pytest.raises(RefusedError):
            put_hub(behind, name, Hub.from_request({"displayName": "First"}), ANY)
    made = services.definitions.hub(name)
    assert client.put(hub, {}, headers={"If-None-Match": "*"}).status_code == 412
    assert client.put(hub, {"displayName": "Second"}).status_code == 200
    assert services.definitions.hub(name).instance_id == made.instance_id
    assert client.put(f"{hub}/profiles/Customer", bodies.profile_type()).status_code == 201


def test_whatever_stands_in_a_hub_stays_whenever_it_is_put_beside_a_deletion(
    elsewhere: Client, services: Services, azurite: Endpoints, hub: str
) -> None:
    """A PUT of the hub, and one of a type in it, come whole between two requests of a deletion, between any two."""
    name, moment, is_over = hub.removeprefix("/hubs/"), 0, False
    while not is_over:
        moment += 1
        reached = itertools.count(1)
        put: list[int] = []

        def begin(_: Request, reached: Iterator[int] = reached, put: list[int] = put, moment: int = moment) -> None:
            if next(reached) == moment:
                put += [elsewhere.put(hub, {}).status_code]
                put += [elsewhere.put(f"{hub}/profiles/Customer", bodies.profile_type()).status_code]

        with running_proxy(azurite.table) as proxy:
            behind = through(proxy, azurite)
            proxy.plan = begin
            with suppress(ConflictError):
                delete_hub(behind, name, ANY)
        is_over = not put
        if put == [] or put[1] == 409:
            assert elsewhere.put(hub, {}).status_code in {200, 201}
            continue
        assert put[0] in {200, 201}
        assert put[1] == 201
        assert elsewhere.get(f"{hub}/profiles/Customer").status_code == 200, moment
        assert elsewhere.delete(f"{hub}/profiles/Customer").status_code == 204
    assert moment > 8
    assert left(services, hub) == (0, 0)


def test_a_put_that_opens_a_hub_while_its_deletion_is_decided_keeps_it(
    elsewhere: Client, services: Services, azurite: Endpoints, hub: str
) -> None:
    """The PUT has written the hub and opens it just when the deletion has looked at both and writes."""
    name = hub.removeprefix("/hubs/")
    deletes, opens = itertools.count(1), itertools.count(1)
    is_emptied, may_open, is_put = Event(), Event(), Event()

    def deletion(request: Request) -> None:
        if request.method == "POST" and next(deletes) == 2:  # after the one that closes the hub
            may_open.set()
            assert is_put.wait(PATIENCE_S)

    def opening(request: Request) -> None:
        if request.method == "POST" and next(opens) == 2:  # after the one that writes the hub
            is_emptied.set()
            assert may_open.wait(PATIENCE_S)

    def put(behind: Services) -> None:
        try:
            assert put_hub(behind, name, Hub.from_request({}), ANY)[1] is False
            assert elsewhere.put(f"{hub}/profiles/Customer", bodies.profile_type()).status_code == 201
        finally:
            is_put.set()

    def delete(behind: Services) -> None:
        def begin() -> None:
            putting.append(pool.submit(put, opener))
            is_emptied.wait(PATIENCE_S)

        arm(FailPoint.HUB_EMPTIED, begin)
        with pytest.raises(ConflictError) as refused:
            delete_hub(behind, name, ANY)
        assert refused.value.code == "HubInUse"

    putting: list[Future[None]] = []
    with running_proxy(azurite.table) as first, running_proxy(azurite.table) as second, ThreadPoolExecutor(1) as pool:
        deleter, opener = through(first, azurite), through(second, azurite)
        first.plan, second.plan = deletion, opening
        delete(deleter)
        putting[0].result(PATIENCE_S)
    arm(FailPoint.HUB_EMPTIED, lambda: None)
    assert elsewhere.get(f"{hub}/profiles/Customer").status_code == 200


def test_a_deletion_on_a_condition_leaves_the_hub_that_came_meanwhile(
    elsewhere: Client, azurite: Endpoints, hub: str
) -> None:
    name, reached = hub.removeprefix("/hubs/"), itertools.count(1)
    etag = elsewhere.get(hub).headers["ETag"]

    def begin(_: Request) -> None:
        if next(reached) == 2:  # it has found the hub, and its ETag good
            assert elsewhere.delete(hub).status_code == 204
            assert elsewhere.put(hub, {}).status_code == 201

    with running_proxy(azurite.table) as proxy:
        behind = through(proxy, azurite)
        proxy.plan = begin
        with pytest.raises(PreconditionError):
            delete_hub(behind, name, Conditions(if_match=etag))
    assert elsewhere.put(f"{hub}/profiles/Customer", bodies.profile_type()).status_code == 201


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
