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
from shared.ingest.suggest import Wish, suggest
from shared.ingest.sweep import carry_out_backfill, request_backfill
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
        preview(world.services, late.hub, "Landing", "Visits", version.path)
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
        lambda: preview(world.services, late.hub, "Landing", "Visits", "a.csv"),
        lambda: suggest(world.services, late.hub, "Landing", f"{world.container}/a.csv", Wish()),
    ):
        with pytest.raises(ConflictError) as refused:
            look()
        assert refused.value.code == "ContainerOfAnotherHub"
    assert is_there(world, version)
    assert world.ingest(world.queue(version)).state is RunState.SUCCEEDED

    world.services.definitions.put_hub(world.hub, Hub.from_request({"sharedContainers": [world.container]}))
    assert preview(world.services, late.hub, "Landing", "Visits", "a.csv")["rows"]
    assert late.sweep() is None
    run = late.ingest(version)
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, 3)
    assert not is_there(world, version)
