"""A mapping's container is listed for the first time: what lands there meanwhile comes in, whoever tells of it."""

import uuid
from http import HTTPStatus
from typing import Any

import pytest

from shared.arrivals.match import handle_event
from shared.arrivals.progress import BackfillState, progress
from shared.arrivals.put_mapping import put_mapping
from shared.arrivals.sweep import carry_out_backfill, request_backfill, sweep_by_schedule
from shared.definitions.store.definition_store import Conditions
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.connectors import ConnectorState
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import RunState
from shared.domain.errors import ConflictError, HubError
from shared.messages.ingest import handle_message
from tests.fault_proxy import Answer, FaultProxy, Request
from tests.ingest.arrivals.events import announced
from tests.ingest.arrivals.sweeping import listings, take_sent
from tests.ingest.conftest import MESSAGE, ROWS, World, mapping_body
from tests.ingest.host import work_off
from tests.ingest.late import Late
from tests.sent_messages import sent_messages


@pytest.fixture
def container(world: World) -> str:
    """A container that no mapping names yet."""
    name = f"c{uuid.uuid4().hex}"
    world.storage.create_container(name)
    return name


def upload(world: World, container: str) -> BlobVersion:
    path = f"{uuid.uuid4().hex}.csv"
    etag = str(world.storage.get_blob_client(container, path).upload_blob(ROWS.encode())["etag"]).strip('"')
    return BlobVersion(container, path, etag, len(ROWS))


def hears(world: World, container: str) -> int:
    """How many runs come of the event of a new blob."""
    return len(handle_event(world.services, announced(world, upload(world, container))))


def test_what_lands_beside_it_is_found_or_heard_of(world: World, source: FaultProxy, container: str) -> None:
    definitions, heard = world.services.definitions, list[int]()
    definitions.put_mapping(world.hub, "Landing", "Fresh", Mapping.from_request(mapping_body(container)))
    backfill = request_backfill(world.services, definitions.mapping(world.hub, "Landing", "Fresh"))

    def land(request: Request) -> None:
        if "comp=list" in request.target:
            heard.append(hears(world, container))

    source.plan = land
    carry_out_backfill(world.services, world.hub, "Landing", "Fresh", backfill.number)
    source.plan = lambda _: None
    assert heard == [0, 1], "the first is in the listing, since nothing was noted when it came"
    assert len(world.states("Fresh")) == 2
    assert hears(world, container) == 1
    before = listings(source)
    assert sweep_by_schedule(world.services, world.hub, "Landing", "Fresh") == 0
    assert listings(source) == before + 1, "once it was tried it is only looked through"


def test_who_puts_a_mapping_hears_of_its_container_at_once(world: World, queue: FaultProxy, container: str) -> None:
    """And comes before whoever PUTs one a moment later, whichever sweep comes first."""
    late = Late(world, f"c{uuid.uuid4().hex}")
    late.set_secret()
    late.test()
    wanted = Mapping.from_request(mapping_body(container))
    put_mapping(world.services, world.hub, "Landing", "Fresh", wanted, Conditions())
    assert hears(world, container) == 1
    assert len(take_sent(world, queue)) == 2, "the sweep of what was there before, and the run"
    with pytest.raises(ConflictError, match=container):
        put_mapping(world.services, late.hub, "Landing", "Fresh", wanted, Conditions())


def test_a_container_that_is_made_after_its_mapping_is_swept_at_its_first_event(world: World) -> None:
    name = f"c{uuid.uuid4().hex}"
    services = world.services
    put_mapping(services, world.hub, "Landing", "Fresh", Mapping.from_request(mapping_body(name)), Conditions())
    work_off(world.azurite, services, world.hub)
    world.storage.create_container(name)
    first = upload(world, name)
    assert handle_event(services, announced(world, first)) == []
    upload(world, name)
    assert handle_event(services, announced(world, first)) == [], "a second event asks for nothing more"
    work_off(world.azurite, services, world.hub)
    assert [*world.states("Fresh").values()] == [RunState.SUCCEEDED] * 2
    assert hears(world, name) == 1


def test_an_event_of_a_container_that_is_not_there_yet_puts_nothing_off(world: World) -> None:
    name = f"c{uuid.uuid4().hex}"
    services = world.services
    put_mapping(services, world.hub, "Landing", "Fresh", Mapping.from_request(mapping_body(name)), Conditions())
    work_off(world.azurite, services, world.hub)
    assert handle_event(services, announced(world, BlobVersion(name, "early.csv", "0x1", 1))) == []
    work_off(world.azurite, services, world.hub)
    world.storage.create_container(name)
    version = upload(world, name)
    assert handle_event(services, announced(world, version)) == []
    work_off(world.azurite, services, world.hub)
    assert world.states("Fresh") == {version.path: RunState.SUCCEEDED}


def test_what_a_search_found_missing_is_not_told_once_a_later_one_has_found_it(world: World) -> None:
    name = f"c{uuid.uuid4().hex}"
    services = world.services

    def shown() -> tuple[str, str | None]:
        found = progress(services, world.hub, services.definitions.mapping(world.hub, "Landing", "Fresh"))
        assert (found.searched_at is None) == (found.error is not None)
        return found.state.value, found.error.code if found.error else None

    put_mapping(services, world.hub, "Landing", "Fresh", Mapping.from_request(mapping_body(name)), Conditions())
    work_off(world.azurite, services, world.hub)
    assert sweep_by_schedule(services, world.hub, "Landing", "Fresh") == 0
    assert shown() == ("Failed", "ContainerNotFound")
    world.storage.create_container(name)
    assert sweep_by_schedule(services, world.hub, "Landing", "Fresh") == 0
    assert shown() == ("Done", None)
    world.storage.delete_container(name)
    services.definitions.connectors.test(world.hub, "Landing")
    number = request_backfill(services, services.definitions.mapping(world.hub, "Landing", "Fresh")).number
    carry_out_backfill(services, world.hub, "Landing", "Fresh", number)
    assert shown() == ("Failed", "ContainerNotFound"), "what an earlier sweep found does not count"


def test_who_comes_second_to_a_container_that_was_not_there_is_told_so(world: World) -> None:
    name = f"c{uuid.uuid4().hex}"
    services = world.services
    put_mapping(services, world.hub, "Landing", "Fresh", Mapping.from_request(mapping_body(name)), Conditions())
    late = Late(world, name)
    late.set_secret()
    late.test()
    assert late.sweep() == "ContainerNotFound"
    world.storage.create_container(name)
    work_off(world.azurite, services, world.hub)
    found = progress(services, late.hub, late.mapping)
    assert found.state is BackfillState.FAILED
    assert found.error is not None
    assert found.error.code == "ContainerOfAnotherHub"


def test_many_events_of_a_container_that_is_not_there_ask_for_it_now_and_once_later(
    world: World, queue: FaultProxy
) -> None:
    name = f"c{uuid.uuid4().hex}"
    put_mapping(world.services, world.hub, "Landing", "Fresh", Mapping.from_request(mapping_body(name)), Conditions())
    take_sent(world, queue)
    for number in range(20):
        assert handle_event(world.services, announced(world, BlobVersion(name, f"{number}.csv", "0x1", 1))) == []
    assert 2 <= len(take_sent(world, queue)) <= 3


def test_an_event_whose_message_is_not_sent_asks_anew_when_it_comes_again(world: World, queue: FaultProxy) -> None:
    name = f"c{uuid.uuid4().hex}"
    put_mapping(world.services, world.hub, "Landing", "Fresh", Mapping.from_request(mapping_body(name)), Conditions())
    event = announced(world, BlobVersion(name, "early.csv", "0x1", 1))
    queue.plan = lambda _: Answer(HTTPStatus.FORBIDDEN, "AuthorizationFailure")
    with pytest.raises(HubError):
        handle_event(world.services, event)
    queue.plan = lambda _: None
    take_sent(world, queue)
    assert handle_event(world.services, event) == []
    (message,) = take_sent(world, queue)
    assert message["sweep"]


def test_a_second_container_that_is_made_later_is_swept_as_soon_as_the_first(world: World) -> None:
    for name in (f"c{uuid.uuid4().hex}", f"c{uuid.uuid4().hex}"):
        wanted = Mapping.from_request(mapping_body(name))
        put_mapping(world.services, world.hub, "Landing", "Fresh", wanted, Conditions())
        work_off(world.azurite, world.services, world.hub)
        world.storage.create_container(name)
        version = upload(world, name)
        assert handle_event(world.services, announced(world, version)) == []
        work_off(world.azurite, world.services, world.hub)
        assert world.states("Fresh")[version.path] is RunState.SUCCEEDED


@pytest.mark.parametrize("how", ["sweep", "PUT"])
def test_who_named_a_container_before_it_was_there_is_its_owner_though_another_lists_it_first(
    world: World, how: str
) -> None:
    services, name = world.services, f"c{uuid.uuid4().hex}"
    host = Late(world, name)
    host.set_secret()
    host.test()
    wanted = Mapping.from_request(mapping_body(name))
    if how == "sweep":
        put_mapping(services, world.hub, "Landing", "Fresh", wanted, Conditions())
    world.storage.create_container(name)
    before = upload(world, name)
    if how == "PUT":
        put_mapping(services, world.hub, "Landing", "Fresh", wanted, Conditions())
    work_off(world.azurite, services, world.hub)
    assert hears(world, name) == 1
    assert world.states("Fresh") == {}
    assert host.sweep() is None
    assert before.path in host.blobs()


def test_who_is_kept_out_of_a_container_asks_for_no_sweep_of_it(
    world: World, queue: FaultProxy, container: str
) -> None:
    late = Late(world, container)
    put_mapping(
        world.services, world.hub, "Landing", "Fresh", Mapping.from_request(mapping_body(container)), Conditions()
    )
    late.set_secret()
    late.test()
    take_sent(world, queue)
    assert hears(world, container) == 1
    assert {message["hub"] for _, message in sent_messages(queue)} == {world.hub}


def test_a_destination_that_is_never_listed_is_swept_for_once(world: World, queue: FaultProxy) -> None:
    operation = {"completionOperationType": "MoveFile", "destinationFolder": f"c{uuid.uuid4().hex}/done"}
    wanted = Mapping.from_request(mapping_body(world.container, completeOperation=operation))
    sent = []
    for _ in range(3):
        put_mapping(world.services, world.hub, "Landing", "Visits", wanted, Conditions())
        sent.append(len(take_sent(world, queue)))
    assert sent == [1, 0, 0]


@pytest.mark.parametrize("target", ["folder", "destination"])
def test_a_mapping_that_comes_to_name_another_container_is_swept_at_once(
    world: World, queue: FaultProxy, container: str, target: str
) -> None:
    def replace(folder: str, **properties: Any) -> list[dict[str, Any]]:
        wanted = Mapping.from_request(mapping_body(folder, **properties))
        _, created = put_mapping(world.services, world.hub, "Landing", "Visits", wanted, Conditions())
        assert not created
        return take_sent(world, queue)

    version = upload(world, container)
    assert replace(f"{world.container}/deeper") == [], "the next tick comes to that"
    if target == "folder":
        (message,) = replace(container)
    else:
        operation = {"completionOperationType": "MoveFile", "destinationFolder": f"{container}/done"}
        (message,) = replace(world.container, completeOperation=operation)
    handle_message(world.services, message, MESSAGE)
    assert set(world.states()) == ({version.path} if target == "folder" else set())
    late = Late(world, f"c{uuid.uuid4().hex}")
    late.set_secret()
    late.test()
    spy = Mapping.from_request(mapping_body(container))
    with pytest.raises(ConflictError, match=container):
        world.services.definitions.put_mapping(late.hub, "Landing", "Spy", spy)


def test_a_connector_whose_check_failed_hears_of_events_once_a_sweep_was_let_in(world: World, container: str) -> None:
    late, services = Late(world, container), world.services
    before = services.definitions.connector(late.hub, "Landing")
    assert before.document.state is ConnectorState.FAILED
    late.set_secret()
    version = upload(world, container)
    assert handle_event(services, announced(world, version)) == []
    assert late.sweep() is None
    assert late.blobs() == {version.path}
    assert hears(world, container) == 1
    now = services.definitions.connector(late.hub, "Landing")
    assert (now.document.state, now.document.state_detail) == (ConnectorState.READY, None)
    assert now.etag != before.etag, "so the next tick sweeps completely"
    assert late.sweep() is None
    assert services.definitions.connector(late.hub, "Landing") == now
    with pytest.raises(ConflictError, match=container):
        world.put_mapping("Spy", folderPath=container)


def test_the_put_of_a_mapping_says_that_the_container_of_its_destination_is_missing(world: World) -> None:
    missing = f"c{uuid.uuid4().hex}"
    operation = {"completionOperationType": "MoveFile", "destinationFolder": f"{missing}/done"}

    def put() -> str | None:
        wanted = Mapping.from_request(mapping_body(world.container, completeOperation=operation))
        stored, _ = put_mapping(world.services, world.hub, "Landing", "Fresh", wanted, Conditions())
        return stored.document.state_detail

    detail = put() or ""
    assert missing in detail
    assert "destinationFolder" in detail
    assert "does not exist" in detail
    world.storage.create_container(missing)
    assert put() is None
