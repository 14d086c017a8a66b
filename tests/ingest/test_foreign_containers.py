"""Containers that are not for a mapping: what slipped in before it could be told neither reads nor deletes there."""

import uuid
from typing import Any

import pytest

from infra.local.azurite import ACCOUNT
from shared.arrivals.match import handle_event
from shared.arrivals.reconcile import reconcile
from shared.arrivals.sweep import sweep_by_schedule
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.connectors import ConnectorState
from shared.domain.documents.hubs import Hub
from shared.domain.documents.run import Run, RunState
from shared.domain.errors import ConflictError, RequestError
from shared.ingest.source import open_source
from shared.suggest.preview import preview
from shared.suggest.suggest import Wish, suggest
from tests.fault_proxy import Answer, running_proxy
from tests.ingest.arrivals.events import announced, event
from tests.ingest.conftest import ROWS, World
from tests.ingest.host import work_off
from tests.ingest.late import Late

DELETE = {"completionOperationType": "DeleteFile"}


def upload(world: World, container: str) -> BlobVersion:
    client = world.storage.get_container_client(container)
    if not client.exists():
        client.create_container()
    path = f"{uuid.uuid4().hex}.csv"
    etag = str(client.get_blob_client(path).upload_blob(ROWS.encode())["etag"]).strip('"')
    return BlobVersion(container, path, etag, len(ROWS))


def previewed(world: World, hub: str, path: str = "a.csv") -> list[dict[str, Any]]:
    """The rows that a preview shows."""
    with preview(world.services, hub, "Landing", "Visits", path) as found:
        return list(found["rows"])


def is_there(world: World, version: BlobVersion) -> bool:
    return world.storage.get_blob_client(version.container, version.path).exists()


@pytest.mark.parametrize("container", ["lake", "runs", "deployments", "deadletter"])
def test_a_container_of_the_app_is_neither_read_nor_emptied(world: World, container: str) -> None:
    late = Late(world, container, completeOperation=DELETE)
    version = upload(world, container)
    late.set_secret()
    run = late.ingest(version)
    assert (run.state, run.error and run.error.code) == (RunState.FAILED, "ContainerNotAllowed")
    assert run.error is not None
    assert container in run.error.message
    assert late.sweep() == "ContainerNotAllowed"
    with pytest.raises(RequestError) as refused:
        previewed(world, late.hub, version.path)
    assert refused.value.code == "ContainerNotAllowed"
    assert is_there(world, version)


def test_files_are_not_moved_into_a_container_of_the_app(world: World) -> None:
    source = f"c{uuid.uuid4().hex}"
    operation = {"completionOperationType": "MoveFile", "destinationFolder": "lake/done"}
    late = Late(world, source, completeOperation=operation)
    version = upload(world, source)
    late.set_secret()
    run = late.ingest(version)
    assert (run.state, run.error and run.error.code, run.rows_ingested) == (RunState.FAILED, "ContainerNotAllowed", 0)
    assert is_there(world, version)


def test_the_files_of_another_hub_are_for_it_alone_until_it_shares_them(world: World) -> None:
    late = Late(world, world.container, completeOperation=DELETE)
    late.set_secret()
    version = world.upload("a.csv", ROWS)
    run = late.ingest(version)
    assert (run.state, run.error and run.error.code, run.rows_ingested) == (
        RunState.FAILED,
        "ContainerOfAnotherHub",
        0,
    )
    assert late.sweep() == "ContainerOfAnotherHub"
    for look in (
        lambda: previewed(world, late.hub),
        lambda: suggest(world.services, late.hub, "Landing", f"{world.container}/a.csv", Wish()),
    ):
        with pytest.raises(ConflictError) as refused:
            look()
        assert refused.value.code == "ContainerOfAnotherHub"
    assert is_there(world, version)
    assert world.ingest(world.queue(version)).state is RunState.SUCCEEDED

    world.services.definitions.put_hub(world.hub, Hub.from_request({"sharedContainers": [world.container]}))
    assert previewed(world, late.hub)
    assert late.sweep() is None
    run = late.ingest(version)
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 3)
    assert not is_there(world, version)


SECRETS = {
    "a wrong key": "AccountKey=TUFSS0VS",
    "a wrong key, changed after the check": "AccountKey=TUFSS0VS",
    # It might open a container, for all that the account says.
    "a made-up signature": "SharedAccessSignature=sv=2024-11-04&sig=TUFSS0VS",
    "a good key": "",
}


def only_named(world: World, secret: str) -> str:
    """A secret that names the account, and does not open it unless it is good."""
    how = SECRETS[secret]
    return f"AccountName={ACCOUNT};{how};BlobEndpoint={world.azurite.blob}" if how else ""


@pytest.mark.parametrize("secret", SECRETS)
def test_nobody_hears_of_blobs_in_a_container_that_is_not_for_its_hub(world: World, secret: str) -> None:
    world.services.definitions.delete_mapping(world.hub, "Landing", "Visits")
    late = Late(world, world.container)  # it names the container first
    owner = world.put_mapping()
    if secret == "a good key":
        world.services.definitions.connectors.test(world.hub, "Landing")
    late.set_secret(only_named(world, secret))
    assert late.test()["account"] is not secret.startswith("a wrong key")
    world.services.definitions.connectors.test(world.hub, "Landing")
    if secret.endswith("changed after the check"):
        late.set_secret()
    for number in range(3):
        taken = handle_event(world.services, announced(world, world.upload(f"{number}.csv", ROWS)))
        assert [world.stored(run_id).mapping_instance for run_id in taken] == [owner.instance_id]
    assert late.sweep() in {"AccessDenied", "ContainerOfAnotherHub"}
    assert sweep_by_schedule(world.services, late.hub, "Landing", "Visits") == 0
    assert len(world.states()) == 3
    assert late.blobs() == set()


def test_nobody_hears_of_blobs_in_a_container_of_the_app(world: World) -> None:
    late = Late(world, "lake", fileFilter="**/*")
    late.set_secret()
    assert late.test()["account"]
    assert handle_event(world.services, event(world, "contoso/profiles/Customer/part.parquet", container="lake")) == []
    assert late.blobs() == set()


def test_a_hub_hears_of_the_blobs_of_another_for_as_long_as_they_are_shared(world: World) -> None:
    late = Late(world, world.container)
    late.set_secret()
    world.services.definitions.put_hub(world.hub, Hub.from_request({"sharedContainers": [world.container]}))
    assert late.test()[f"container {world.container}"], "it has listed it"
    heard = []
    for name, shared in (("before", []), ("meanwhile", [world.container]), ("after", [])):
        world.services.definitions.put_hub(world.hub, Hub.from_request({"sharedContainers": shared}))
        heard.append(len(handle_event(world.services, announced(world, world.upload(f"{name}.csv", ROWS)))))
    assert heard == [1, 2, 1]
    assert late.blobs() == {"meanwhile.csv"}
    world.services.definitions.put_hub(world.hub, Hub.from_request({"sharedContainers": [world.container]}))
    assert late.sweep() is None
    assert late.blobs() == {"before.csv", "meanwhile.csv", "after.csv"}


def test_an_outage_of_the_account_costs_no_event(world: World) -> None:
    with running_proxy(world.azurite.blob) as proxy:
        text = world.azurite.connection_string.replace(world.azurite.blob, proxy.endpoint)
        world.put_connector("Landing", text)
        proxy.plan = lambda _: Answer(403, "AuthorizationFailure")
        world.put_connector("Landing", text)
        assert world.services.definitions.connector(world.hub, "Landing").document.state is ConnectorState.FAILED
        assert len(handle_event(world.services, announced(world, world.upload("a.csv", ROWS)))) == 1


def test_what_comes_before_an_account_lets_the_connector_in_is_found_by_the_next_sweep(world: World) -> None:
    container = f"c{uuid.uuid4().hex}"
    late = Late(world, container)
    early, then = upload(world, container), upload(world, container)
    assert handle_event(world.services, announced(world, early)) == []
    late.set_secret()
    assert late.test()["account"]
    assert len(handle_event(world.services, announced(world, then))) == 1
    reconcile(world.services)
    work_off(world.azurite, world.services, late.hub)
    assert late.blobs() == {early.path, then.path}


def moving(to: str) -> dict[str, str]:
    return {"completionOperationType": "MoveFile", "destinationFolder": to}


def content(world: World, container: str, path: str) -> str:
    return world.storage.get_container_client(container).download_blob(path).readall().decode()


def put(world: World, container: str, path: str, text: str) -> BlobVersion:
    client = world.storage.get_blob_client(container, path)
    etag = str(client.upload_blob(text.encode(), overwrite=True)["etag"]).strip('"')
    return BlobVersion(container, path, etag, len(text))


class Archive:
    """A container that two hubs move their files to; the first of them owns it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.name = f"done{uuid.uuid4().hex}"
        world.storage.create_container(self.name)
        world.put_mapping(completeOperation=moving(f"{self.name}/csv"))
        world.services.definitions.connectors.test(world.hub, "Landing")
        self.late = Late(world, f"c{uuid.uuid4().hex}", completeOperation=moving(f"{self.name}/csv"))
        world.storage.create_container(self.late.mapping.document.container)
        self.late.set_secret()
        self.late.definitions.connectors.test(self.late.hub, "Landing")

    def ingest(self, who: str, text: str, path: str = "a.csv") -> Run:
        if who == "owner":
            return self.world.ingest(self.world.queue(put(self.world, self.world.container, path, text)))
        return self.late.ingest(put(self.world, self.late.mapping.document.container, path, text))

    def landing(self, who: str) -> str:
        return self.world.container if who == "owner" else self.late.mapping.document.container


@pytest.fixture
def archive(world: World) -> Archive:
    return Archive(world)


@pytest.mark.parametrize(("first", "second"), [("owner", "guest"), ("guest", "owner")])
def test_files_of_one_name_do_not_replace_one_another_in_an_archive_of_several_hubs(
    archive: Archive, first: str, second: str
) -> None:
    world = archive.world
    assert archive.ingest(first, "page\n/first\n").details.get("completeOperation") is None
    run = archive.ingest(second, "page\n/second\n")
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 1)
    assert f"{archive.name}/csv/a.csv" in run.details["completeOperation"]
    assert content(world, archive.name, "csv/a.csv") == "page\n/first\n"
    assert content(world, archive.landing(second), "a.csv") == "page\n/second\n", "it stays where it is"
    run = archive.ingest(second, "page\n/other\n", "b.csv")
    assert run.details.get("completeOperation") is None
    assert content(world, archive.name, "csv/b.csv") == "page\n/other\n"


@pytest.mark.parametrize("who", ["owner", "guest"])
def test_a_newer_version_takes_the_place_of_its_hubs_own_file(archive: Archive, who: str) -> None:
    for text in ("page\n/one\n", "page\n/two\n"):
        run = archive.ingest(who, text)
        assert (run.state, run.details.get("completeOperation")) == (RunState.SUCCEEDED, None)
        assert content(archive.world, archive.name, "csv/a.csv") == text
        assert not archive.world.storage.get_blob_client(archive.landing(who), "a.csv").exists()


@pytest.mark.parametrize("who", ["owner", "guest"])
def test_a_move_that_stopped_after_the_copy_is_finished(archive: Archive, who: str) -> None:
    world = archive.world
    source = put(world, archive.landing(who), "a.csv", ROWS)
    mapping = world.mapping if who == "owner" else archive.late.mapping
    copied = open_source(world.services, mapping, source)
    copied._container.copy(source.path, archive.name, "csv/a.csv", source.etag)
    for _ in range(2):
        with open_source(world.services, mapping, source) as opened:
            assert opened.complete(mapping.document) is None
    assert not is_there(world, source)
    assert content(world, archive.name, "csv/a.csv") == ROWS


def test_within_the_containers_of_one_hub_a_file_is_replaced(world: World) -> None:
    world.put_mapping(completeOperation=moving(f"{world.container}/done"))
    put(world, world.container, "done/a.csv", "what was there")
    run = world.ingest(world.queue(put(world, world.container, "a.csv", ROWS)))
    assert (run.state, run.details.get("completeOperation")) == (RunState.SUCCEEDED, None)
    assert content(world, world.container, "done/a.csv") == ROWS


@pytest.mark.parametrize("beside", ["guest", "refused"])
def test_an_owner_moves_files_within_its_container_whoever_else_names_it(world: World, beside: str) -> None:
    world.put_mapping(completeOperation=moving(f"{world.container}/done"))
    if beside == "guest":
        world.services.definitions.put_hub(world.hub, Hub.from_request({"sharedContainers": [world.container]}))
    late = Late(world, world.container, completeOperation=moving(f"{world.container}/taken"))
    late.set_secret()
    late.definitions.connectors.test(late.hub, "Landing")
    assert late.sweep() == (None if beside == "guest" else "ContainerOfAnotherHub")
    version = world.upload("a.csv", ROWS)
    put(world, world.container, "done/a.csv", "what was there")
    assert previewed(world, world.hub)
    run = world.ingest(world.queue(version))
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 3)
    if beside == "refused":
        assert run.details.get("completeOperation") is None, "the container is the owner's alone"
        assert content(world, world.container, "done/a.csv") == ROWS
    else:
        assert f"{world.container}/done/a.csv" in run.details["completeOperation"]
        assert content(world, world.container, "done/a.csv") == "what was there"


def test_a_sweep_of_what_is_shared_no_more_is_no_fault_of_the_app(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    late = Late(world, world.container)
    late.set_secret()
    assert sweep_by_schedule(world.services, late.hub, "Landing", "Visits") == 0
    said = [record.levelname for record in caplog.records if record.name.startswith("shared.")]
    assert "ERROR" not in said
    assert f"container refused: hub {late.hub} container {world.container} is of the hub {world.hub}" in caplog.text
