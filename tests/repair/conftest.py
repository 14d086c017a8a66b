"""A hub whose runs are corrected, on real storage."""

import csv
import io
import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.arrivals.match import queue_version
from shared.connectors.kinds import connector_from_request
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.entity_types import InteractionType, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run, RunState
from shared.ingest.attempt import Attempt, take
from shared.lake.log.tables import open_snapshot
from shared.lake.read.instances import instances
from shared.lake.states.refresh import refresh
from shared.lake.upkeep.maintain import maintain
from shared.ledger.stored_run import StoredRun
from shared.messages.ingest import carry_out_run, handle_message
from shared.repair.request_correction import request_correction
from tests.local_services import STORAGE_SECRET, development, forget_hub, running_vault

FIELDS = [
    {"fieldName": "Id", "fieldType": "Edm.String"},
    {"fieldName": "Name", "fieldType": "Edm.String"},
    {"fieldName": "Age", "fieldType": "Edm.Int32"},
]
BAD = "id,name,age,note\na,Ann,1,x\nb,Bob,none,y\nc,Cyd,3,z\nd,Dan,many,w\n"
_SEQUENCERS = itertools.count(1)  # blobs of the same second are told apart by them alone


@dataclass(frozen=True)
class World:
    """A hub with a profile type, an interaction type without ids, and a mapping for each."""

    services: Services
    hub: str
    container: str
    storage: BlobServiceClient

    def ingest(self, path: str, text: str, mapping: str = "People") -> Run:
        """Uploads a blob and ingests it."""
        blob = self.storage.get_blob_client(self.container, path)
        etag = str(blob.upload_blob(text.encode(), overwrite=True)["etag"]).strip('"')
        version = BlobVersion(self.container, path, etag, len(text), f"{next(_SEQUENCERS):064x}")
        stored = self.services.definitions.mapping(self.hub, "Landing", mapping)
        run_id = queue_version(self.services, self.hub, stored, version)
        carry_out_run(self.services, self.hub, run_id, "message")
        return self.run(run_id)

    def request(self, run: Run, text: str) -> Run:
        return request_correction(self.services, self.hub, run.run_id, text.encode(), None).run

    def work(self, run: Run, worker: str = "correction") -> Run:
        handle_message(self.services, {"hub": self.hub, "runId": run.run_id}, worker)
        return self.run(run.run_id)

    def correct(self, run: Run, text: str) -> Run:
        assert self.request(run, text).state is RunState.QUEUED
        return self.work(run)

    def attempt(self, run: Run, worker: str = "correction") -> Attempt:
        attempt = take(self.services, self.hub, run.run_id, worker)
        assert attempt is not None
        return attempt

    def stored(self, run: Run) -> StoredRun:
        stored = self.services.runs.get(self.hub, run.run_id)
        assert stored is not None
        return stored

    def run(self, run_id: str) -> Run:
        stored = self.services.runs.get(self.hub, run_id)
        assert stored is not None
        return stored.run

    def rejects(self, run: Run) -> list[list[str]]:
        path = self.stored(run).rejects
        text = self.services.run_files.read_bytes(path).decode() if path else ""
        return list(csv.reader(io.StringIO(text, newline="")))[1:]

    def data(self, name: str = "Person") -> dict[str, dict[str, Any]]:
        entity_type = self.services.definitions.type_named(self.hub, name).document
        rows = instances(self.services.lake, entity_type, None, 1000).rows
        return {row.pop(f"{entity_type.kind.value}Id"): row for row in rows}

    def refresh(self) -> None:
        entity_type = self.services.definitions.type_named(self.hub, "Person").document
        refresh(self.services.lake, entity_type, self.services.clock.now())

    def maintain(self, name: str = "Person") -> None:
        entity_type = self.services.definitions.type_named(self.hub, name).document
        maintain(self.services.lake, entity_type, self.services.clock.now(), 21)

    def committed_rows(self, name: str = "Person") -> int:
        entity_type = self.services.definitions.type_named(self.hub, name).document
        snapshot = open_snapshot(self.services.lake, self.services.changes(entity_type).table)
        return sum(file.rows for file in snapshot.files) if snapshot else 0


def mapping(container: str, kind: str, name: str, folder: str, columns: dict[str, str], **more: Any) -> Mapping:
    return Mapping.from_request(
        {
            "entityType": kind,
            "entityTypeName": name,
            "mappingProperties": {
                "folderPath": f"{container}/{folder}",
                "errorManagement": {"errorManagementType": "RejectAndContinue"},
                "structure": [{"propertyName": field, "columnName": column} for field, column in columns.items()],
                **more,
            },
        }
    )


@pytest.fixture
def world(azurite: Endpoints, tmp_path: Path) -> Iterator[World]:
    with (
        running_vault(tmp_path, azurite) as vault,
        BlobServiceClient.from_connection_string(azurite.connection_string) as storage,
    ):
        services = Services(development(azurite, vault.url))
        hub = f"Hub{uuid.uuid4().hex[:12]}"
        definitions = services.definitions
        definitions.put_hub(hub, Hub.from_request({}))
        ids = [{"strongIdName": "Main", "keyPropertyNames": ["Id"]}]
        definitions.put_entity_type(hub, "Person", ProfileType.from_request({"fields": FIELDS, "strongIds": ids}))
        visit = [{"fieldName": "Page", "fieldType": "Edm.String"}, {"fieldName": "Ms", "fieldType": "Edm.Int32"}]
        definitions.put_entity_type(hub, "Visit", InteractionType.from_request({"fields": visit}))
        secret = {"connectionKeyVaultUrl": f"{vault.url}/secrets/{STORAGE_SECRET}"}
        landing = {"connectorType": "AzureBlob", "connectorProperties": secret}
        definitions.connectors.put(hub, "Landing", connector_from_request(landing))
        container = hub.lower()
        storage.create_container(container)
        columns = {"Id": "id", "Name": "name", "Age": "age"}
        definitions.put_mapping(hub, "Landing", "People", mapping(container, "Profile", "Person", "people", columns))
        ages = {"Id": "id", "Age": "age"}
        definitions.put_mapping(hub, "Landing", "Ages", mapping(container, "Profile", "Person", "ages", ages))
        visits = mapping(container, "Interaction", "Visit", "visits", {"Page": "page", "Ms": "ms"})
        definitions.put_mapping(hub, "Landing", "Visits", visits)
        yield World(services, hub, container, storage)
        forget_hub(azurite, hub)
