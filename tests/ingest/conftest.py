"""A hub whose mapping makes visits of files, driven message by message: the steps of ingestion without a host."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.app import Services
from shared.arrivals.match import queue_version
from shared.connectors.kinds import connector_from_request
from shared.definitions.store.definition_store import Conditions, Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.entity_types import EntityKind, EntityType, InteractionType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run, RunState
from shared.hub_records import delete_hub, put_hub
from shared.ingest.attempt import Attempt, take
from shared.lake.log.tables import open_snapshot
from shared.ledger.stored_run import StoredRun
from shared.maintain import delete_type
from shared.messages.ingest import carry_out_run
from shared.storage.queues import Queue
from tests.fault_proxy import Fault, FaultProxy, running_proxy
from tests.ingest.host import work_off
from tests.local_services import STORAGE_SECRET, account_of, development, forget_hub, running_vault

ROWS = "page\n/home\n/home\n/help\n"
MESSAGE = "message-1"
BEARER = {"Authorization": "Bearer local"}


@dataclass(frozen=True)
class World:
    """A hub whose mapping makes visits of the files in its container."""

    services: Services
    hub: str
    container: str
    storage: BlobServiceClient
    vault: KeyVault
    azurite: Endpoints
    clock_file: Path

    def upload(self, path: str, text: str) -> BlobVersion:
        blob = self.storage.get_blob_client(self.container, path)
        etag = str(blob.upload_blob(text.encode(), overwrite=True)["etag"]).strip('"')
        return BlobVersion(self.container, path, etag, len(text))

    def define(self) -> None:
        """Makes the hub, its type, its connector and its mapping."""
        definitions = self.services.definitions
        put_hub(self.services, self.hub, Hub.from_request({}), Conditions())
        fields = [{"fieldName": "Page", "fieldType": "Edm.String"}]
        definitions.put_entity_type(self.hub, "Visit", InteractionType.from_request({"fields": fields}))
        secret = {"connectionKeyVaultUrl": f"{self.vault.url}/secrets/{STORAGE_SECRET}"}
        landing = {"connectorType": "AzureBlob", "connectorProperties": secret}
        definitions.connectors.put(self.hub, "Landing", connector_from_request(landing))
        self.put_mapping()
        # This lists the container, as the sweep of a new mapping does.
        definitions.connectors.test(self.hub, "Landing")

    def empty(self) -> None:
        """Deletes all definitions of the hub."""
        self.services.definitions.connectors.delete(self.hub, "Landing")
        delete_type(self.services, self.hub, EntityKind.INTERACTION, "Visit", Conditions())

    def make_anew(self) -> None:
        """Deletes the hub with its definitions, and makes all of it anew."""
        self.empty()
        delete_hub(self.services, self.hub, Conditions())
        self.define()

    @property
    def mapping(self) -> Stored[Mapping]:
        return self.services.definitions.mapping(self.hub, "Landing", "Visits")

    def set_clock(self, moment: datetime) -> None:
        self.clock_file.write_text(moment.isoformat())

    def put_mapping(self, name: str = "Visits", connector: str = "Landing", **properties: Any) -> Stored[Mapping]:
        """A mapping whose properties are changed or added to, without the sweep of a new one."""
        body = mapping_body(self.container, **properties)
        return self.services.definitions.put_mapping(self.hub, connector, name, Mapping.from_request(body))[0]

    def put_connector(self, name: str, connection_string: str) -> None:
        """A connector to another account."""
        url = f"{self.vault.url}/secrets/{name}"
        answer = httpx.put(f"{url}?api-version=7.4", json={"value": connection_string}, headers=BEARER)
        assert answer.status_code == 200, answer.text
        body = {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": url}}
        self.services.definitions.connectors.put(self.hub, name, connector_from_request(body))

    def work_off(self) -> None:
        """Carries out every message of the hub that waits."""
        work_off(self.azurite, self.services, self.hub)

    def states(self, mapping: str = "Visits") -> dict[str, RunState]:
        """The state of the newest run of each blob."""
        runs = self.services.runs.page(self.hub, mapping=mapping, top=1000)[0]
        return {run.blob.path: run.state for run in reversed(runs) if run.blob}

    def queue(self, version: BlobVersion) -> str:
        return queue_version(self.services, self.hub, self.mapping, version)

    def run(self, run_id: str) -> Run:
        return self.stored(run_id).run

    def stored(self, run_id: str) -> StoredRun:
        stored = self.services.runs.get(self.hub, run_id)
        assert stored is not None
        return stored

    def take(self, run_id: str, worker: str = MESSAGE) -> Attempt:
        attempt = take(self.services, self.hub, run_id, worker)
        assert attempt is not None
        return attempt

    def ingest(self, run_id: str, worker: str = MESSAGE) -> Run:
        carry_out_run(self.services, self.hub, run_id, worker)
        return self.run(run_id)

    @property
    def visit(self) -> EntityType:
        """The type that the mappings fill."""
        return self.services.definitions.type_named(self.hub, "Visit").document

    @property
    def committed_rows(self) -> int:
        """Rows in the table itself, before anybody takes the last one per key."""
        snapshot = open_snapshot(self.services.lake, self.services.changes(self.visit).table)
        return sum(file.rows for file in snapshot.files) if snapshot else 0


@pytest.fixture
def world(azurite: Endpoints, tmp_path: Path) -> Iterator[World]:
    with (
        running_vault(tmp_path, azurite) as vault,
        BlobServiceClient.from_connection_string(azurite.connection_string) as storage,
    ):
        clock_file = tmp_path / "clock"
        services = Services(development(azurite, vault.url, clock_file=clock_file))
        hub = f"Hub{uuid.uuid4().hex[:12]}"
        storage.create_container(hub.lower())
        world = World(services, hub, hub.lower(), storage, vault, azurite, clock_file)
        world.define()
        yield world
        forget_hub(azurite, hub)


@dataclass(frozen=True)
class Proxied:
    """The same container, read by way of a proxy by the mapping `Proxied`."""

    world: World
    proxy: FaultProxy

    def queue(self, version: BlobVersion) -> str:
        mapping = self.world.services.definitions.mapping(self.world.hub, "Proxied", "Proxied")
        return queue_version(self.world.services, self.world.hub, mapping, version)

    def breaks(self, fault: Fault, method: str = "GET") -> None:
        """Breaks whatever is asked of a blob, until further notice."""
        self.proxy.plan = lambda request: fault if request.method == method and ".csv" in request.target else None

    def mends(self) -> None:
        self.proxy.plan = lambda _: None


@pytest.fixture
def proxied(world: World) -> Iterator[Proxied]:
    with running_proxy(world.azurite.blob) as proxy:
        url = world.azurite.connection_string.replace(world.azurite.blob, proxy.endpoint)
        world.put_connector("Proxied", url)
        world.put_mapping("Proxied", "Proxied")
        yield Proxied(world, proxy)


@pytest.fixture
def queue(world: World) -> Iterator[FaultProxy]:
    """What is sent to the queue `ingest`; nobody takes it from there."""
    with running_proxy(world.azurite.queue) as proxy:
        account = account_of(world.azurite, queue=proxy.endpoint)
        world.services.ingest_queue = Queue(account, f"{world.hub.lower()}-ingest")
        world.services.ingest_queue.ensure()
        yield proxy


@pytest.fixture
def source(world: World) -> Iterator[FaultProxy]:
    """What is asked of the account of the mapping."""
    with running_proxy(world.azurite.blob) as proxy:
        world.put_connector("Landing", world.azurite.connection_string.replace(world.azurite.blob, proxy.endpoint))
        yield proxy


def mapping_body(container: str, **properties: Any) -> dict[str, Any]:
    return {
        "entityType": "Interaction",
        "entityTypeName": "Visit",
        "mappingProperties": {
            "folderPath": container,
            "errorManagement": {"errorManagementType": "RejectAndContinue"},
            "structure": [{"propertyName": "Page", "columnName": "page"}],
            **properties,
        },
    }
