"""Many small blobs through event, queue and commit, on the real local stack: all events are let go at once."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient, ContainerClient

from benchmarks.bench import Bench
from benchmarks.dataset import COLUMNS, FIELDS, write_csv
from benchmarks.report import Bar
from infra.local.event_grid import created_event
from infra.local.event_store import BlobVersion
from infra.local.stack import running_stack
from infra.local.state_dir import Stack

BLOBS_PER_S = 25
HUB, CONTAINER = "/hubs/ManyBlobs", "many"
# The local Event Grid delivers as many at a time.
DELIVERIES_AT_ONCE = 8
UPLOADS_AT_ONCE = 4
PATIENCE_S = 300
_NEVER = "0 0 0 1 1 *"
_PROCESSES = "FUNCTIONS_WORKER_PROCESS_COUNT"
# As docs/configuration.md has it for many small blobs.
_SETTINGS = {
    _PROCESSES: "2",
    "AzureFunctionsJobHost__extensions__queues__batchSize": "24",
    # Nothing but the blobs is to be measured.
    "RECONCILE_SCHEDULE": _NEVER,
    "MAINTENANCE_SCHEDULE": _NEVER,
    "PROFILE_EXPORT_SCHEDULE": _NEVER,
    "KPI_EXPORT_SCHEDULE": _NEVER,
    "EXPORT_CLEANUP_SCHEDULE": _NEVER,
}


def measure_blobs(bench: Bench) -> Iterator[Bar]:
    """Blobs a second, from the first event to the end of the last run."""
    with running_stack(bench.folder / "blobs-stack", _SETTINGS) as running:
        bringing_in = BringingIn(running.stack, bench.folder, bench.sizes.rows_per_blob)
        bringing_in.define()
        bringing_in.measure("warm-up", bench.sizes.blobs // 20 + 1)
        seconds = bringing_in.measure("blobs", bench.sizes.blobs)
    rate = bench.sizes.blobs / seconds
    rows = bench.sizes.rows_per_blob
    how = f"in {seconds:.1f} s ({rate * rows:,.0f} rows/s) by {_SETTINGS[_PROCESSES]} worker processes"
    measured = f"{bench.sizes.blobs:,} blobs of {rows:,} rows {how}"
    yield Bar("blobs  event -> queue -> commit", rate, BLOBS_PER_S, " blobs/s", measured=measured)


class BringingIn:
    """One hub whose mapping takes every blob of one container."""

    def __init__(self, stack: Stack, folder: Path, rows: int) -> None:
        self._stack = stack
        self._rows = rows
        self._file = folder / "blob.csv"

    def define(self) -> None:
        """Defines hub, type, connector and mapping over HTTP."""
        landing = {
            "connectorType": "AzureBlob",
            "connectorProperties": {"connectionKeyVaultUrl": self._stack.storage_secret_url},
        }
        customer = {"fields": FIELDS, "strongIds": [{"strongIdName": "ById", "keyPropertyNames": ["customer_id"]}]}
        mapping = {
            "entityType": "Profile",
            "entityTypeName": "Customer",
            "mappingProperties": {
                # Names that no event of the stack's own announces: the measurement delivers them.
                "folderPath": CONTAINER,
                "fileFilter": "**/*.part",
                "errorManagement": {"errorManagementType": "RejectAndContinue"},
                "structure": [{"propertyName": name, "columnName": name} for name in COLUMNS],
            },
        }
        with self._http() as http, self._container() as container:
            container.create_container()
            for path, body in (
                ("", {}),
                ("/profiles/Customer", customer),
                ("/connectors/Landing", landing),
                ("/connectors/Landing/mappings/Customers", mapping),
            ):
                http.put(HUB + path, json=body).raise_for_status()

    def measure(self, prefix: str, blobs: int) -> float:
        """Uploads blobs, delivers their events and waits for their runs.

        Returns:
            Seconds from the first delivery to the end of the last run.

        Raises:
            RuntimeError: a run did not succeed, or lost rows.
        """
        events = self._upload(prefix, blobs)
        began = datetime.now(UTC)
        self._deliver(events)
        runs = self._finished(prefix, blobs)
        states = Counter(run["state"] for run in runs)
        rows = sum(run["rowsIngested"] for run in runs)
        if states != {"Succeeded": blobs} or rows != blobs * self._rows:
            raise RuntimeError(f"{prefix}: {dict(states)}, {rows} rows ingested")
        return (max(datetime.fromisoformat(run["finishedAt"]) for run in runs) - began).total_seconds()

    def _upload(self, prefix: str, blobs: int) -> list[dict[str, Any]]:
        write_csv(self._file, self._rows)
        content = self._file.read_bytes()
        with self._container() as container, ThreadPoolExecutor(UPLOADS_AT_ONCE) as threads:

            def upload(number: int) -> dict[str, Any]:
                path = f"{prefix}/{number:05d}.part"
                etag = container.upload_blob(path, content).get_blob_properties().etag.strip('"')
                event = created_event(
                    BlobVersion(CONTAINER, path, etag),
                    api="PutBlob",
                    length=len(content),
                    content_type="text/csv",
                    blob_type="BlockBlob",
                    url=f"{self._stack.blob_endpoint}/{CONTAINER}/{path}",
                    request_id=str(uuid.uuid4()),
                    client_request_id="",
                    time_of_event=datetime.now(UTC),
                )
                event["data"]["sequencer"] = f"{number:032X}"
                return event

            return list(threads.map(upload, range(blobs)))

    def _deliver(self, events: Sequence[dict[str, Any]]) -> None:
        with self._http() as http, ThreadPoolExecutor(DELIVERIES_AT_ONCE) as threads:

            def deliver(event: dict[str, Any]) -> None:
                http.post(
                    "/runtime/webhooks/eventgrid?functionName=blob_created",
                    content=json.dumps([event]),
                    headers={"aeg-event-type": "Notification", "Content-Type": "application/json"},
                ).raise_for_status()

            list(threads.map(deliver, events))

    def _finished(self, prefix: str, blobs: int) -> list[dict[str, Any]]:
        """All runs of a prefix, once they are over."""
        deadline = time.monotonic() + PATIENCE_S
        with self._http() as http:
            while time.monotonic() < deadline:
                # Asked for seldom and with little: whoever measures must not be what is measured.
                if not self._some_run(http, "Queued") and not self._some_run(http, "Running"):
                    runs = [run for run in self._runs(http) if run["blob"]["path"].startswith(f"{prefix}/")]
                    if len(runs) == blobs and all("finishedAt" in run for run in runs):
                        return runs
                time.sleep(1)
        raise TimeoutError(f"{prefix}: the runs of {blobs} blobs did not end within {PATIENCE_S} s")

    def _some_run(self, http: httpx.Client, state: str) -> bool:
        answer = http.get(f"{HUB}/runs", params={"state": state, "$top": 1}).raise_for_status().json()
        return bool(answer["value"])

    def _runs(self, http: httpx.Client) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        following: str | None = f"{HUB}/runs?$top=1000"
        while following:
            page = http.get(following).raise_for_status().json()
            found += page["value"]
            following = page.get("nextLink")
        return found

    def _http(self) -> httpx.Client:
        return httpx.Client(base_url=self._stack.functions_url, timeout=60, trust_env=False)

    def _container(self) -> ContainerClient:
        storage = BlobServiceClient.from_connection_string(self._stack.storage_connection_string)
        return storage.get_container_client(CONTAINER)
