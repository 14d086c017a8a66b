"""A hub with a partner of its own on the shared Azurite, whose clock the test sets."""

import base64
import json
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient, ContainerSasPermissions, generate_container_sas
from azure.storage.queue import QueueClient

from infra.local.azurite import ACCOUNT, ACCOUNT_KEY, Endpoints
from infra.local.key_vault import KeyVault, SecretStore
from shared.app import Services
from shared.connectors.kinds import connector_from_request
from shared.domain.documents.entity_types import EntityType, InteractionType, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.run import Run, RunKind
from shared.lake.container.store import Lake
from shared.lake.files.parts import PartWriter
from shared.lake.schema import changes_schema
from shared.messages.export import handle_message
from shared.outbound.due import hand_out_kpis, hand_out_profile_exports
from shared.settings import Settings
from shared.storage.queues import Queue
from shared.storage.tables import Table
from tests.local_services import development

NOON = datetime(2026, 11, 22, 12, 7, tzinfo=UTC)
CUSTOMER: dict[str, Any] = {
    "fields": [
        {"fieldName": "Id", "fieldType": "Edm.String"},
        {"fieldName": "City", "fieldType": "Edm.String"},
        {"fieldName": "Points", "fieldType": "Edm.Int64"},
        {"fieldName": "Tags", "fieldType": "Edm.String", "isArray": True},
        {"fieldName": "Seen", "fieldType": "Edm.DateTimeOffset"},
    ],
    "strongIds": [{"strongIdName": "ById", "keyPropertyNames": ["Id"]}],
}
ORDER: dict[str, Any] = {
    "fields": [
        {"fieldName": "OrderId", "fieldType": "Edm.String"},
        {"fieldName": "Country", "fieldType": "Edm.String"},
        {"fieldName": "Amount", "fieldType": "Edm.Decimal"},
        {"fieldName": "Ordered", "fieldType": "Edm.DateTimeOffset"},
    ],
    "timestampFieldName": "Ordered",
    "idPropertyNames": ["OrderId"],
}
PROFILE = {"entityType": "Profile", "entityName": "Customer"}


class OwnServices(Services):
    """The app's services, with tables, queues and a lake that no other test uses."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.prefix = f"t{uuid.uuid4().hex[:10]}"

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.account, self.settings, container=f"{self.prefix}-lake")

    def _table(self, name: str) -> Table:
        return Table(self.account, f"{self.prefix}{name}")

    def _queue(self, name: str) -> Queue:
        return Queue(self.account, f"{self.prefix}-{name}")


@dataclass
class Partner:
    """The container of a partner, as its owner sees it."""

    client: ContainerClient

    def sas(self, rights: str = "cwld") -> str:
        letters = {"c": "create", "w": "write", "l": "list", "d": "delete", "r": "read"}
        signature = generate_container_sas(
            ACCOUNT,
            self.client.container_name,
            account_key=ACCOUNT_KEY,
            permission=ContainerSasPermissions(**{letters[right]: True for right in rights}),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return f"{self.client.url}?{signature}"

    def blobs(self, prefix: str = "") -> dict[str, bytes]:
        return {name: self.client.download_blob(name).readall() for name in self.paths(prefix)}

    def paths(self, prefix: str = "") -> list[str]:
        return [str(name) for name in self.client.list_blob_names(name_starts_with=prefix)]

    def metadata(self, path: str) -> dict[str, str]:
        return dict(self.client.get_blob_client(path).get_blob_properties().metadata)


@dataclass
class HubUnderTest:
    """One hub, its services and its partner."""

    services: OwnServices
    partner: Partner
    clock_file: Path
    folder: Path
    name: str = "Contoso"

    def set_clock(self, moment: datetime) -> None:
        self.clock_file.write_text(moment.isoformat())

    def profile_type(self, name: str = "Customer", body: Mapping[str, Any] = CUSTOMER) -> ProfileType:
        whole = {**body, "apiEntitySetName": f"{name}s"}
        stored, _ = self.services.definitions.put_entity_type(self.name, name, ProfileType.from_request(whole))
        return stored.document

    def interaction_type(self, name: str = "Order", body: Mapping[str, Any] = ORDER) -> InteractionType:
        whole = {**body, "apiEntitySetName": f"{name}s"}
        stored, _ = self.services.definitions.put_entity_type(self.name, name, InteractionType.from_request(whole))
        return stored.document

    def kpi(self, name: str, **body: Any) -> Kpi:
        whole = {"entityType": "Interaction", "entityTypeName": "Order", "calculationWindow": "Lifetime", **body}
        stored, _ = self.services.definitions.put_kpi(self.name, name, Kpi.from_request(whole))
        return stored.document

    def outbound(self, *entities: Mapping[str, Any], name: str = "Partner", sas: str | None = None) -> None:
        properties = {"entityList": [*entities], "outputBlobSASUri": sas or self.partner.sas()}
        body = {"connectorType": "Outbound", "connectorProperties": properties}
        self.services.definitions.connectors.put(self.name, name, connector_from_request(body))

    def ingest(self, entity_type: EntityType, rows: Sequence[Mapping[str, Any]], blob: str | None = None) -> None:
        """Commits rows as ingestion does; each sets the fields that it names."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        writer = PartWriter(changes_schema(entity_type), folder)
        key = entity_type.key_fields[0]
        arrived = self.services.clock.now()
        columns = [
            {
                **row,
                "_key": row[key],
                "_set": ",".join(row),
                "_deleted": False,
                "_run": "run",
                "_line": line,
                "_ingested_at": arrived,
            }
            for line, row in enumerate(rows, 2)
        ]
        writer.write(table_of(columns, entity_type))
        changes = self.services.changes(entity_type)
        run_id = uuid.uuid4().hex
        changes.commit(changes.upload(writer.close(), run_id), blob or run_id, 1)

    def tick(self, moment: datetime) -> None:
        """The timer of profile exports fires, and the queue is worked off."""
        self.set_clock(moment)
        hand_out_profile_exports(self.services)
        self.work()

    def tick_kpis(self, moment: datetime) -> None:
        self.set_clock(moment)
        hand_out_kpis(self.services)
        self.work()

    def work(self) -> None:
        """Takes all messages, and those that they bring; an error is for the test."""
        while messages := self.messages():
            for message in messages:
                handle_message(self.services, message, uuid.uuid4().hex)

    def messages(self) -> list[dict[str, Any]]:
        """Takes what is in the queue."""
        queue = QueueClient.from_connection_string(
            str(self.services.settings.storage_connection_string), f"{self.services.prefix}-export"
        )
        with queue:
            found = []
            try:
                for message in queue.receive_messages(messages_per_page=32):
                    found.append(json.loads(base64.b64decode(message.content)))
                    queue.delete_message(message)
            except ResourceNotFoundError:
                return []
            return found

    def waiting_messages(self) -> int:
        """How many messages are in the queue, also those that show themselves later."""
        queue = QueueClient.from_connection_string(
            str(self.services.settings.storage_connection_string), f"{self.services.prefix}-export"
        )
        with queue:
            return queue.get_queue_properties().approximate_message_count or 0

    def runs(self, kind: RunKind = RunKind.EXPORT) -> list[Run]:
        """The runs of a kind, by slot."""
        found, _ = self.services.runs.page(self.name, kind=kind, top=1000)
        return sorted(found, key=lambda run: (run.slot or run.queued_at, run.queued_at))

    def codes(self) -> list[str]:
        """State of each export run, with the code of its error."""
        return [f"{run.state.value} {run.error.code}" if run.error else run.state.value for run in self.runs()]


def table_of(rows: Sequence[Mapping[str, Any]], entity_type: EntityType) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in rows], schema=changes_schema(entity_type))


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyVault]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        running = KeyVault(SecretStore(tmp_path_factory.mktemp("vault")), listener)
        yield running
        running.stop()


@pytest.fixture
def make_hub(azurite: Endpoints, vault: KeyVault, tmp_path: Path) -> Callable[[], AbstractContextManager[HubUnderTest]]:
    @contextmanager
    def make() -> Iterator[HubUnderTest]:
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        services = OwnServices(development(azurite, vault.url, clock_file=folder / "clock", engine_memory_mb=128))
        container = f"{services.prefix}-partner"
        with ContainerClient.from_connection_string(azurite.connection_string, container) as client:
            client.create_container()
            made = HubUnderTest(services, Partner(client), folder / "clock", folder)
            made.set_clock(NOON)
            services.definitions.put_hub(made.name, Hub.from_request({}))
            yield made

    return make


@pytest.fixture
def hub(make_hub: Callable[[], AbstractContextManager[HubUnderTest]]) -> Iterator[HubUnderTest]:
    with make_hub() as made:
        yield made


@pytest.fixture
def second(hub: HubUnderTest, azurite: Endpoints) -> Iterator[Partner]:
    """Another container, of another partner."""
    container = f"{hub.services.prefix}-second"
    with ContainerClient.from_connection_string(azurite.connection_string, container) as client:
        client.create_container()
        yield Partner(client)
