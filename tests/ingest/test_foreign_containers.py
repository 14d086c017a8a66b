"""Containers that are not for a mapping: what slipped in before it could be told neither reads nor deletes there."""

import uuid
from typing import Any

import httpx
import pytest

from shared.definitions.store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.connectors import connector_from_request
from shared.domain.entity_types import InteractionType
from shared.domain.errors import ConflictError, RequestError
from shared.domain.hubs import Hub
from shared.domain.mappings import Mapping
from shared.domain.run import Run, RunState
from shared.ingest.ingest_blob import ingest_blob
from shared.ingest.match import queue_version
from shared.ingest.preview import preview
from shared.ingest.source import complete, open_source
from shared.ingest.suggest import Wish, suggest
from shared.ingest.sweep import carry_out_backfill, request_backfill, sweep_by_schedule
from tests.ingest.conftest import BEARER, MESSAGE, ROWS, World, mapping_body

DELETE = {"completionOperationType": "DeleteFile"}


class Late:
    """Another hub, whose connector names a secret that comes when its mapping is there."""

    def __init__(self, world: World, container: str, **properties: Any) -> None:
        self.world, self.definitions = world, world.services.definitions
        self.hub = f"Late{uuid.uuid4().hex[:12]}"
        self._url = f"{world.vault.url}/secrets/{self.hub}"
        self.definitions.put_hub(self.hub, Hub())
        fields = [{"fieldName": "Page", "fieldType": "Edm.String"}]
        self.definitions.put_entity_type(self.hub, "Visit", InteractionType.from_request({"fields": fields}))
        body = {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": self._url}}
        self.definitions.put_connector(self.hub, "Landing", connector_from_request(body))
        wanted = Mapping.from_request(mapping_body(container, **properties))
        self.mapping: Stored[Mapping] = self.definitions.put_mapping(self.hub, "Landing", "Visits", wanted)[0]

    def set_secret(self) -> None:
        content = {"value": self.world.azurite.connection_string}
        assert httpx.put(f"{self._url}?api-version=7.4", json=content, headers=BEARER).status_code == 200

    def ingest(self, version: BlobVersion) -> Run:
        services = self.world.services
        run_id = queue_version(services, self.hub, self.mapping, version)
        ingest_blob(services, self.hub, run_id, MESSAGE)
        stored = services.runs.get(self.hub, run_id)
        assert stored is not None
        return stored.run

    def sweep(self) -> str | None:
        """The code with which a search for new blobs ended."""
        services = self.world.services
        number = request_backfill(services, self.mapping).number
        carry_out_backfill(services, self.hub, "Landing", "Visits", number)
        backfill = services.sweeps.backfill(self.hub, self.mapping.instance_id)
        assert backfill is not None
        return backfill.error.code if backfill.error else None


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
        self.late = Late(world, f"c{uuid.uuid4().hex}", completeOperation=moving(f"{self.name}/csv"))
        world.storage.create_container(self.late.mapping.document.container)
        self.late.set_secret()
        self.late.definitions.test_connector(self.late.hub, "Landing")

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
    assert complete(world.services, mapping, source) is None
    assert complete(world.services, mapping, source) is None, "and once more"
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
    late.definitions.test_connector(late.hub, "Landing")
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
