"""Another hub, which comes to know its account only when its mapping is there."""

import uuid
from typing import Any

import httpx

from shared.arrivals.match import queue_version
from shared.arrivals.sweep import carry_out_backfill, request_backfill
from shared.connectors.kinds import connector_from_request
from shared.definitions.store.definition_store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.entity_types import InteractionType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run
from shared.messages.ingest import carry_out_run
from tests.ingest.conftest import BEARER, MESSAGE, World, mapping_body


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
        self.definitions.connectors.put(self.hub, "Landing", connector_from_request(body))
        wanted = Mapping.from_request(mapping_body(container, **properties))
        self.mapping: Stored[Mapping] = self.definitions.put_mapping(self.hub, "Landing", "Visits", wanted)[0]

    def set_secret(self, text: str = "") -> None:
        content = {"value": text or self.world.azurite.connection_string}
        assert httpx.put(f"{self._url}?api-version=7.4", json=content, headers=BEARER).status_code == 200

    def ingest(self, version: BlobVersion) -> Run:
        services = self.world.services
        run_id = queue_version(services, self.hub, self.mapping, version)
        carry_out_run(services, self.hub, run_id, MESSAGE)
        stored = services.runs.get(self.hub, run_id)
        assert stored is not None
        return stored.run

    def test(self) -> dict[str, bool]:
        """What a check of the connection finds, by name."""
        return {check.name: check.ok for check in self.definitions.connectors.test(self.hub, "Landing")}

    def blobs(self) -> set[str]:
        """The paths in the runs of the hub."""
        runs, _ = self.world.services.runs.page(self.hub, top=1000)
        return {run.blob.path for run in runs if run.blob}

    def sweep(self) -> str | None:
        """The code with which a search for new blobs ended."""
        services = self.world.services
        number = request_backfill(services, self.mapping).number
        carry_out_backfill(services, self.hub, "Landing", "Visits", number)
        backfill = services.sweeps.backfill(self.hub, self.mapping.instance_id)
        assert backfill is not None
        return backfill.error.code if backfill.error else None
