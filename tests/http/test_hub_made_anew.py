"""A hub that is made by the name of a deleted one begins with nothing, whoever deleted that, and however far."""

import pytest

from shared.app import Services
from shared.deadline import deadline
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.hubs import Hub
from shared.domain.errors import ConflictError, DeferredError, http_status
from shared.domain.own_names import run_files_of
from shared.domain.reject import Reject
from shared.failpoints import FailPoint, arm
from shared.hub_records import delete_hub, put_hub
from tests.http import bodies
from tests.http.conftest import Client
from tests.http.routes.recorded_runs import keep, record
from tests.ingest.paused import paused

REJECTS = [Reject(2, "mail", "EmptyKey", "the key is empty", "jane@example.com,")]
ANY = Conditions()


def run_with_rejects(services: Services, hub: str) -> str:
    run = record(services, hub)
    keep(services, hub, run, REJECTS)
    return run.run_id


def left(services: Services, hub: str) -> tuple[int, int]:
    name = hub.removeprefix("/hubs/")
    return len(services.runs.page(name)[0]), len(list(services.run_files.list(run_files_of(name))))


def test_deleted_and_made_anew(client: Client, services: Services, hub: str) -> None:
    run_id = run_with_rejects(services, hub)
    assert client.get(f"{hub}/runs/{run_id}/rejects").status_code == 200
    assert client.delete(hub).status_code == 204
    assert left(services, hub) == (0, 0)
    assert client.put(hub, {}).status_code == 201
    assert client.get(f"{hub}/runs").json() == {"value": []}
    for path in ("", "/rejects"):
        assert client.get(f"{hub}/runs/{run_id}{path}").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_an_earlier_release_left_goes_with_the_next_request(
    client: Client, services: Services, hub: str, method: str
) -> None:
    run_with_rejects(services, hub)
    services.definitions.delete_hub(hub.removeprefix("/hubs/"))  # as earlier releases did: its definition alone
    assert left(services, hub) == (1, 1)
    assert client.send(method, hub, json={} if method == "PUT" else None).status_code in {201, 204}
    assert left(services, hub) == (0, 0)
    client.put(hub, {})


def test_a_replaced_hub_keeps_its_runs(client: Client, services: Services, hub: str) -> None:
    run_with_rejects(services, hub)
    assert client.put(hub, {"displayName": "New"}).status_code == 200
    assert left(services, hub) == (1, 1)


@pytest.mark.parametrize("status", [412, 409])
def test_a_refused_deletion_costs_no_run(client: Client, services: Services, hub: str, status: int) -> None:
    run_with_rejects(services, hub)
    headers = {"If-Match": '"other"'} if status == 412 else {}
    if status == 409:
        assert client.put(f"{hub}/profiles/Contact", bodies.profile_type()).status_code == 201
    assert client.delete(hub, headers=headers).status_code == status
    assert left(services, hub) == (1, 1)


def test_without_time_it_says_so_and_goes_on_when_it_is_repeated(client: Client, services: Services, hub: str) -> None:
    run_with_rejects(services, hub)
    name = hub.removeprefix("/hubs/")
    with deadline(1), pytest.raises(DeferredError, match="goes on") as unfinished:
        delete_hub(services, name, ANY)
    assert (unfinished.value.code, http_status(unfinished.value)) == ("TimeIsUp", 503)
    refused = client.put(f"{hub}/profiles/Contact", bodies.profile_type())
    assert refused.json()["error"]["code"] == "HubDeleting"
    with deadline(1), pytest.raises(DeferredError):
        put_hub(services, name, Hub.from_request({}), ANY)
    assert client.delete(hub).status_code == 204
    assert left(services, hub) == (0, 0)
    assert client.put(hub, {}).status_code == 201


def test_who_keeps_a_hub_that_is_being_deleted_keeps_none_of_its_runs(
    client: Client, services: Services, hub: str
) -> None:
    """They may be gone in part; nobody is shown a part."""
    run_with_rejects(services, hub)
    with deadline(1), pytest.raises(DeferredError):
        delete_hub(services, hub.removeprefix("/hubs/"), ANY)
    assert client.put(hub, {}).status_code == 200
    assert left(services, hub) == (0, 0)
    assert client.put(f"{hub}/profiles/Contact", bodies.profile_type()).status_code == 201


@pytest.mark.parametrize("point", [FailPoint.HUB_CLOSED, FailPoint.HUB_EMPTIED, FailPoint.HUB_GONE])
def test_a_crash_between_two_steps_is_made_good(client: Client, services: Services, hub: str, point: FailPoint) -> None:
    run_with_rejects(services, hub)

    def die() -> None:
        raise KeyboardInterrupt

    arm(point, die)
    with pytest.raises(KeyboardInterrupt):
        delete_hub(services, hub.removeprefix("/hubs/"), ANY)
    arm(point, lambda: None)
    assert client.delete(hub).status_code == 204
    assert client.put(hub, {}).status_code == 201
    assert left(services, hub) == (0, 0)


def test_a_deletion_that_is_late_takes_nothing_of_the_hub_that_came_after(
    client: Client, services: Services, hub: str
) -> None:
    run_with_rejects(services, hub)

    def late() -> None:
        with pytest.raises(ConflictError) as refused:
            delete_hub(services, hub.removeprefix("/hubs/"), ANY)
        assert refused.value.code == "HubInUse"

    with paused(late, FailPoint.HUB_CLOSED) as deletion:
        assert client.delete(hub).status_code == 204
        assert client.put(hub, {}).status_code == 201
        run_id = run_with_rejects(services, hub)
        deletion.end()
    assert client.get(f"{hub}/runs/{run_id}/rejects").status_code == 200
    assert left(services, hub) == (1, 1)


@pytest.mark.parametrize("condition", [{"If-None-Match": "*"}, {"If-Match": '"another"'}])
def test_a_put_that_is_refused_deletes_nothing(
    client: Client, services: Services, hub: str, condition: dict[str, str]
) -> None:
    run_with_rejects(services, hub)

    def die() -> None:
        raise KeyboardInterrupt

    arm(FailPoint.HUB_CLOSED, die)
    with pytest.raises(KeyboardInterrupt):
        delete_hub(services, hub.removeprefix("/hubs/"), ANY)
    before = left(services, hub)
    assert client.put(hub, {}, headers=condition).status_code == 412
    assert left(services, hub) == before != (0, 0)
