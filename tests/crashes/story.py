"""One story through everything the app does, in a process that may be killed at a failpoint, and its true end.

The story can be told again from its beginning however far it came: events come again, ticks come late, definitions are
put as they are. Whatever happened before, it ends the same.
"""

import base64
import csv
import io
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.arrivals.match import handle_event
from shared.connectors.kinds import connector_from_request
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import EntityKind, InteractionType, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run, RunKind
from shared.domain.errors import ConflictError
from shared.domain.own_names import rejects_path, run_files_of
from shared.failpoints import FailPoint, arm
from shared.hub_records import delete_hub, put_hub
from shared.lake.container.store import Lake
from shared.lake.log.tables import open_snapshot
from shared.lake.read.instances import instances
from shared.ledger.stored_run import StoredRun
from shared.maintain import delete_remains, delete_type
from shared.messages.export import handle_message as take_export_message
from shared.messages.ingest import handle_message as take_ingest_message
from shared.outbound.due import hand_out_kpis, hand_out_profile_exports
from shared.outbound.retention import delete_expired
from shared.repair.request_correction import request_correction
from shared.storage.queues import Queue
from shared.storage.tables import Table
from tests.local_services import STORAGE_SECRET, container_sas, development

HUB = "Contoso"
NOON = datetime(2026, 11, 22, 12, 7, tzinfo=UTC)
HIDDEN_S = 1
# A message that meets another's claim on its KPI comes again after a minute.
QUIET_WITHIN_S = 90

# What is uploaded one after the other, with a tick of the exports after each.
LOADS: list[dict[str, str]] = [
    {
        "customers/1.csv": "id,city,points\nA,Gent,1\nB,Lyon,2\nC,Rome,x\nD,Kiel,4\n",
        "visits/1.csv": "id,page\nA,/home\nA,/home\nB,/help\n",
    },
    {"customers/2.csv": "id,city,points\nB,Nice,2\nE,Bari,5\n", "visits/2.csv": "id,page\nE,/home\n"},
    {"customers/1.csv": "id,city,points\nA,Gent,10\nB,Lyon,20\n"},
]
CORRECTED_AFTER = 1
CORRECTION = b"line,id,city,points\n4,C,Rome,3\n"
TABLES = ("profiles/customer", "interactions/visit")
OTHERS = (RunKind.EXPORT, RunKind.KPI, RunKind.CLEANUP)
_CUSTOMERS = [("A", "Gent", 10), ("B", "Lyon", 20), ("C", "Rome", 3), ("D", "Kiel", 4), ("E", "Bari", 5)]
END: dict[str, Any] = {
    "customers": _CUSTOMERS,
    "customers at the partner": _CUSTOMERS,
    "visits": [("A", "/home"), ("A", "/home"), ("B", "/help"), ("E", "/home")],
    "rows in tables": [8, 4],
    "ingest runs": [
        ("Succeeded", 1, 0),
        ("Succeeded", 2, 0),
        ("Succeeded", 2, 0),
        ("Succeeded", 3, 0),
        ("Succeeded", 4, 0),
    ],
    "other runs": {"Succeeded"},
    "sum of points": {42.0},
    "left at the partner": {"Metadata"},
    "left in the lake": {"contoso/interactions/visit", "contoso/kpis/points", "contoso/profiles/customer"},
    "connectors": ["Landing", "Partner"],
    "left of a hub": [],
}


@dataclass(frozen=True)
class Place:
    """Where a story plays: storage, vault, and what tells it from others on them."""

    endpoints: Endpoints
    vault_url: str
    folder: Path
    prefix: str


@dataclass(frozen=True)
class Kill:
    """The process is killed when it comes to the point for the `nth` time."""

    point: FailPoint
    nth: int = 1


class StoryServices(Services):
    """The app's services in tables, queues and a lake of the story's own."""

    def __init__(self, place: Place) -> None:
        super().__init__(development(place.endpoints, place.vault_url, clock_file=place.folder / "clock"))
        self._prefix = place.prefix

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.account, self.settings, container=f"{self._prefix}-lake")

    def _table(self, name: str) -> Table:
        return Table(self.account, f"{self._prefix}{name}")

    def _queue(self, name: str) -> Queue:
        return Queue(self.account, f"{self._prefix}-{name}")


def tell(place: Place, kill: Kill | None, deliveries: int) -> None:
    """Tells the story; for a process of its own.

    Args:
        kill: where the process is killed.
        deliveries: how often each event is delivered.
    """
    if kill is not None:
        left = [kill.nth]

        def come_by() -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        arm(kill.point, come_by)
    Story(place).tell(deliveries)


class Story:
    """The app, and all who use it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.services = StoryServices(place)
        self.inbox = f"{place.prefix}-inbox"
        self._notes = f"{place.prefix}-notes"
        self._seen = f"{place.prefix}-seen"
        self._passing = f"{place.prefix}hub"

    def tell(self, deliveries: int) -> None:
        self._set_clock(NOON)
        self._define()
        for number, files in enumerate(LOADS):
            self._set_clock(NOON + number * timedelta(minutes=15))
            for path, text in files.items():
                self._upload(number, path, text)
            for event in [event for event in self._events() for _ in range(deliveries)]:
                handle_event(self.services, event)
            self._work_off("ingest")
            if number == CORRECTED_AFTER:
                self._correct()
            hand_out_profile_exports(self.services)
            hand_out_kpis(self.services)
            self._work_off("export")
            self._take_in()
        self._set_clock(NOON + timedelta(days=22))
        delete_expired(self.services)
        self.services.definitions.connectors.delete(HUB, "Spare")
        delete_type(self.services, HUB, EntityKind.INTERACTION, "Passing", Conditions())
        delete_remains(self.services)
        self._make_a_hub_anew()

    def _make_a_hub_anew(self) -> None:
        """A hub goes with a run and its rejects, and another of its name comes."""
        hub, run_id = self._passing, uuid.uuid4().hex
        put_hub(self.services, hub, Hub.from_request({}), Conditions())
        self.services.runs.create(StoredRun(hub, Run(run_id=run_id, kind=RunKind.INGEST, queued_at=NOON)))
        self.services.run_files.upload_bytes(rejects_path(hub, run_id, "first"), b"a reject")
        delete_hub(self.services, hub, Conditions())
        put_hub(self.services, hub, Hub.from_request({}), Conditions())

    def _correct(self) -> None:
        """Somebody corrects what was refused of the first file."""
        for run in self._runs(RunKind.INGEST):
            if run.blob and run.blob.path == "customers/1.csv":
                with suppress(ConflictError):  # the file's other version has nothing to correct
                    request_correction(self.services, HUB, run.run_id, CORRECTION, None)
        self._work_off("ingest")

    def ends(self) -> dict[str, Any]:
        """How it ended; `END` is how it has to."""
        named = self.services.definitions.type_named
        customers = instances(self.services.lake, named(HUB, "Customer").document, top=1000).rows
        visits = instances(self.services.lake, named(HUB, "Visit").document, top=1000).rows
        sent = self._replayed("Profile/", "Id").values()
        with self._container(f"{self.place.prefix}-partner") as partner:
            left = {path.split("/")[0] for path in partner.list_blob_names()}
        return {
            "customers": sorted((row["Id"], row["City"], row["Points"]) for row in customers),
            "customers at the partner": sorted((row["Id"], row["City"], int(row["Points"])) for row in sent),
            "visits": sorted((row["Id"], row["Page"]) for row in visits),
            "rows in tables": [self._rows_in(f"contoso/{table}/changes") for table in TABLES],
            "ingest runs": sorted(
                (run.state.value, run.rows_ingested, run.rows_rejected) for run in self._runs(RunKind.INGEST)
            ),
            "other runs": {run.state.value for kind in OTHERS for run in self._runs(kind)},
            "sum of points": {float(row["Value"]) for row in self._replayed("KPI/", "Timestamp").values()},
            "left at the partner": left,
            "left in the lake": {"/".join(blob.path.split("/")[:3]) for blob in self.services.lake.blobs.list()},
            "connectors": sorted(
                stored.document.connector_name for stored in self.services.definitions.connectors.all(HUB)
            ),
            "left of a hub": [
                *(run.run_id for run in self.services.runs.page(self._passing)[0]),
                *(file.path for file in self.services.run_files.list(run_files_of(self._passing))),
            ],
        }

    def _runs(self, kind: RunKind) -> list[Run]:
        return self.services.runs.page(HUB, kind=kind, top=1000)[0]

    def _define(self) -> None:
        definitions = self.services.definitions
        for container in (self.inbox, f"{self.place.prefix}-partner", self._notes, self._seen):
            with self._container(container) as client, suppress(ResourceExistsError):
                client.create_container()
        definitions.put_hub(HUB, Hub.from_request({}))
        names = {"Id": "Edm.String", "City": "Edm.String", "Points": "Edm.Int64"}
        fields = [{"fieldName": name, "fieldType": kind} for name, kind in names.items()]
        strong_ids = [{"strongIdName": "ById", "keyPropertyNames": ["Id"]}]
        definitions.put_entity_type(
            HUB, "Customer", ProfileType.from_request({"fields": fields, "strongIds": strong_ids})
        )
        fields = [{"fieldName": name, "fieldType": "Edm.String"} for name in ("Id", "Page")]
        definitions.put_entity_type(HUB, "Visit", InteractionType.from_request({"fields": fields}))
        passing = InteractionType.from_request({"fields": fields})
        stored, _ = definitions.put_entity_type(HUB, "Passing", passing)
        self.services.changes(stored.document).upload([], "nothing")
        kpi = {"entityType": "Profile", "entityTypeName": "Customer", "function": "Sum", "expression": "Points"}
        definitions.put_kpi(HUB, "Points", Kpi.from_request({**kpi, "calculationWindow": "Lifetime"}))
        source = {"connectionKeyVaultUrl": f"{self.place.vault_url}/secrets/{STORAGE_SECRET}"}
        self._connector("Landing", "AzureBlob", source)
        self._mapping("Customers", "Profile", "Customer", {"Id": "id", "City": "city", "Points": "points"})
        self._mapping("Visits", "Interaction", "Visit", {"Id": "id", "Page": "page"})
        definitions.connectors.test(HUB, "Landing")  # which lists the container, as the sweep of a new mapping does
        sas = container_sas(self.place.endpoints, f"{self.place.prefix}-partner")
        entities = [{"entityType": "Profile", "entityName": "Customer"}, {"entityType": "Kpi", "entityName": "Points"}]
        self._connector("Partner", "Outbound", {"outputBlobSASUri": sas, "entityList": entities})
        self._connector("Spare", "AzureBlob", source)

    def _connector(self, name: str, kind: str, properties: dict[str, Any]) -> None:
        connector = connector_from_request({"connectorType": kind, "connectorProperties": properties})
        try:
            self.services.definitions.connectors.put(HUB, name, connector)
        except ConflictError:  # its deletion was interrupted: the message says to repeat that
            self.services.definitions.connectors.delete(HUB, name)
            self.services.definitions.connectors.put(HUB, name, connector)

    def _mapping(self, name: str, kind: str, type_name: str, columns: dict[str, str]) -> None:
        body = {
            "entityType": kind,
            "entityTypeName": type_name,
            "mappingProperties": {
                "folderPath": f"{self.inbox}/{name.lower()}",
                "errorManagement": {"errorManagementType": "RejectAndContinue"},
                "structure": [{"propertyName": field, "columnName": column} for field, column in columns.items()],
            },
        }
        self.services.definitions.put_mapping(HUB, "Landing", name, Mapping.from_request(body))

    def _upload(self, number: int, path: str, text: str) -> None:
        """Uploads a file, once however often the story is told, and notes its event."""
        with self._container(self._notes) as notes:
            note = notes.get_blob_client(f"{number}/{path}")
            if note.exists():
                return
            with self._container(self.inbox) as inbox:
                etag = str(inbox.upload_blob(path, text.encode(), overwrite=True).get_blob_properties().etag).strip('"')
            event = {
                "id": str(uuid.uuid4()),
                "eventType": "Microsoft.Storage.BlobCreated",
                "subject": f"/blobServices/default/containers/{self.inbox}/blobs/{path}",
                "data": {
                    "api": "PutBlob",
                    "eTag": etag,
                    "contentLength": len(text),
                    "url": f"{self.place.endpoints.blob}/{self.inbox}/{path}",
                    "sequencer": f"{number:048d}",
                },
            }
            note.upload_blob(json.dumps(event))

    def _events(self) -> Iterator[dict[str, Any]]:
        with self._container(self._notes) as notes:
            for name in list(notes.list_blob_names()):
                yield json.loads(notes.download_blob(name).readall())

    def _work_off(self, name: str) -> None:
        """Takes messages until none is left, also none that a killed process had in its hands."""
        take = {"ingest": take_ingest_message, "export": take_export_message}[name]
        connection = self.place.endpoints.connection_string
        deadline = time.monotonic() + QUIET_WITHIN_S
        with QueueClient.from_connection_string(connection, f"{self.place.prefix}-{name}") as queue:
            while True:
                try:
                    messages = list(queue.receive_messages(visibility_timeout=HIDDEN_S))
                    if not messages and not queue.get_queue_properties().approximate_message_count:
                        return
                except ResourceNotFoundError:
                    return  # nothing was ever sent
                for message in messages:
                    take(self.services, json.loads(base64.b64decode(message.content)), message.id)
                    queue.delete_message(message.id, message.pop_receipt)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the queue {name} does not become empty")

    def _rows_in(self, table: str) -> int:
        snapshot = open_snapshot(self.services.lake, table)
        return sum(file.rows for file in snapshot.files) if snapshot else 0

    def _take_in(self) -> None:
        """The partner keeps each slot that it finds; one that it has already must be as it was."""
        with self._container(f"{self.place.prefix}-partner") as partner, self._container(self._seen) as seen:
            for path in [path for path in partner.list_blob_names() if path.endswith("data.csv")]:
                content = partner.download_blob(path).readall()
                try:
                    seen.upload_blob(path, content)
                except ResourceExistsError:
                    if seen.download_blob(path).readall() != content:
                        raise AssertionError(f"{path} was rewritten") from None

    def _replayed(self, prefix: str, key: str) -> dict[str, dict[str, Any]]:
        """What the partner makes of the slots, in their order: the last row of each key."""
        table: dict[str, dict[str, Any]] = {}
        with self._container(self._seen) as seen:
            for path in sorted(seen.list_blob_names(name_starts_with=prefix)):
                text = io.StringIO(seen.download_blob(path).readall().decode(), newline="")
                table |= {row[key]: row for row in csv.DictReader(text)}
        return table

    def _set_clock(self, moment: datetime) -> None:
        new = self.place.folder / "clock.new"
        new.write_text(moment.isoformat(), encoding="utf-8")
        new.replace(self.place.folder / "clock")

    def _container(self, name: str) -> ContainerClient:
        return ContainerClient.from_connection_string(self.place.endpoints.connection_string, name)
