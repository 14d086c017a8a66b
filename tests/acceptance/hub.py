"""What a user of the app has in hand: HTTP calls, storage containers, and the clock of the local stack."""

import csv
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient, ContainerClient, ContainerSasPermissions, generate_container_sas
from deltalake import DeltaTable

from infra.local.state_dir import Stack

Json = dict[str, Any]
PATIENCE_S = 60.0


class Hub:
    """One hub on a running stack."""

    def __init__(self, stack: Stack, name: str, http: httpx.Client, storage: BlobServiceClient) -> None:
        self.stack = stack
        self.name = name
        self.http = http
        self.storage = storage
        self.inbox = self.container(f"{name.lower()}-inbox")
        self.partner = self.container(f"{name.lower()}-partner")

    @classmethod
    @contextmanager
    def opened(cls, stack: Stack, name: str) -> "Iterator[Hub]":
        """An existing hub, or one still to be made."""
        with (
            httpx.Client(base_url=stack.functions_url, timeout=60) as http,
            BlobServiceClient.from_connection_string(stack.storage_connection_string) as storage,
        ):
            yield cls(stack, name, http, storage)

    @classmethod
    @contextmanager
    def created(cls, stack: Stack, name: str) -> "Iterator[Hub]":
        """A new hub with a landing connector."""
        with cls.opened(stack, name) as hub:
            hub.put("", {})
            secret = {"connectionKeyVaultUrl": stack.storage_secret_url}
            landing = hub.put("/connectors/Landing", {"connectorType": "AzureBlob", "connectorProperties": secret})
            assert landing["state"] == "Ready", landing
            yield hub

    def container(self, name: str) -> ContainerClient:
        """A container, made if it is not there."""
        client = self.storage.get_container_client(name)
        if not client.exists():
            client.create_container()
        return client

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """A request below the hub."""
        return self.http.request(method, f"/hubs/{self.name}{path}", **arguments)

    def put(self, path: str, body: Json) -> Json:
        """PUT that must succeed."""
        answer = self.request("PUT", path, json=body)
        assert answer.status_code in {200, 201}, f"{path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def get(self, path: str) -> Json:
        """GET that must succeed."""
        answer = self.request("GET", path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def values(self, path: str) -> list[Json]:
        """All items of a list, page by page."""
        url = f"/hubs/{self.name}{path}{'&' if '?' in path else '?'}$top=1000"
        found: list[Json] = []
        while url:
            answer = self.http.get(url)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["value"]
            url = page.get("nextLink", "")
        return found

    def upload(self, path: str, content: str | bytes) -> str:
        """Uploads a blob into the landing container; returns its ETag."""
        data = content.encode() if isinstance(content, str) else content
        etag = self.inbox.upload_blob(path, data, overwrite=True).get_blob_properties().etag
        return str(etag).strip('"')

    def runs(self, **filters: str) -> list[Json]:
        """Runs that fit, newest first."""
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        return self.values(f"/runs?{query}" if query else "/runs")

    def run_of(self, path: str, etag: str | None = None, mapping: str | None = None) -> Json:
        """The one run of a blob version, waited for until it has ended."""

        def found() -> list[Json]:
            return [
                run
                for run in self.runs(kind="Ingest")
                if run["blob"]["path"] == path
                and (etag is None or run["blob"]["etag"] == etag)
                and (mapping is None or run["mapping"] == mapping)
            ]

        wait_for(lambda: any("finishedAt" in run for run in found()), f"the run of {path}")
        (run,) = found()
        return run

    def backfill(self, mapping: str) -> None:
        """Asks for every blob of a mapping of the landing connector, and waits until all are ingested."""
        assert self.request("POST", f"/connectors/Landing/mappings/{mapping}/run").status_code == 202
        self.wait_for_backfill(mapping)

    def wait_for_backfill(self, mapping: str) -> None:
        """Waits until a mapping has nothing left to do."""
        path = f"/connectors/Landing/mappings/{mapping}/progress"
        wait_for(lambda: self.get(path)["state"] == "Done", f"the backfill of {mapping}")

    def rejects(self, run: Json) -> list[dict[str, str]]:
        """The rejects of a run."""
        answer = self.request("GET", f"/runs/{run['runId']}/rejects")
        assert answer.status_code == 200
        return list(csv.DictReader(io.StringIO(answer.text)))

    def data(self, type_name: str) -> list[Json]:
        """All instances of a type."""
        return self.values(f"/data/{type_name}")

    def profile_type(self, name: str = "Customer", **fields: str) -> None:
        """A profile type keyed by its first field."""
        fields = fields or {"Id": "Edm.String", "City": "Edm.String", "Points": "Edm.Int64"}
        listed = [{"fieldName": field, "fieldType": kind} for field, kind in fields.items()]
        key = {"strongIdName": "ById", "keyPropertyNames": [listed[0]["fieldName"]]}
        self.put(f"/profiles/{name}", {"fields": listed, "strongIds": [key]})

    def mapping(self, name: str, columns: dict[str, str], **options: Any) -> Json:
        """A mapping of the landing connector: {field: column}; see `mapping_body` for the options."""
        body = mapping_body(self.inbox.container_name, columns, **options)
        return self.put(f"/connectors/Landing/mappings/{name}", body)

    def partner_sas(self, rights: str = "cwdl", hours: float = 1) -> str:
        """The URI of the partner's container with a SAS."""
        sas = generate_container_sas(
            str(self.storage.account_name),
            self.partner.container_name,
            account_key=self.storage.credential.account_key,
            permission=ContainerSasPermissions.from_string(rights),
            expiry=datetime.now(UTC) + timedelta(hours=hours),
        )
        return f"{self.partner.url}?{sas}"

    def outbound(self, *entities: Json, sas: str | None = None, name: str = "Partner") -> Json:
        """An Outbound connector."""
        properties = {"outputBlobSASUri": sas or self.partner_sas(), "entityList": list(entities)}
        return self.put(f"/connectors/{name}", {"connectorType": "Outbound", "connectorProperties": properties})

    def fire(self, function: str) -> None:
        """Runs a timer's function now."""
        answer = self.http.post(f"/admin/functions/{function}", json={"input": ""})
        assert answer.status_code == 202, answer.text

    def deliver(self, *events: Any, function: str = "blob_created") -> httpx.Response:
        """Posts events to the webhook, as Event Grid does."""
        return self.http.post(
            f"/runtime/webhooks/eventgrid?functionName={function}",
            json=list(events),
            headers={"aeg-event-type": "Notification"},
        )

    def event(self, path: str, etag: str, **data: Any) -> Json:
        """The event of a blob version."""
        container = self.inbox.container_name
        return {
            "id": f"{container}/{path}/{etag}",
            "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/devstoreaccount1",
            "subject": f"/blobServices/default/containers/{container}/blobs/{path}",
            "eventType": "Microsoft.Storage.BlobCreated",
            "eventTime": "2026-11-22T10:00:00Z",
            "dataVersion": "",
            "metadataVersion": "1",
            "data": {
                "api": "PutBlob",
                "eTag": etag,
                "contentLength": 10,
                "blobType": "BlockBlob",
                "url": f"{self.inbox.url}/{path}",
                "sequencer": "0000000000000000000000000000000000000000000001",
                **data,
            },
        }

    def exported(self, prefix: str = "") -> dict[str, str]:
        """What lies in the partner's container: path -> content, in the order of the paths."""
        names = sorted(self.partner.list_blob_names(name_starts_with=prefix))
        return {name: self.partner.download_blob(name).readall().decode() for name in names}

    def table_rows(self, path: str) -> int:
        """Rows of a table in the lake, as any Delta reader counts them: a double commit would show."""
        options = {
            "azure_storage_account_name": str(self.storage.account_name),
            "azure_storage_account_key": self.storage.credential.account_key,
            "azure_storage_endpoint": self.stack.blob_endpoint,
            "allow_http": "true",
        }
        return DeltaTable(f"az://lake/{self.name.lower()}/{path}", storage_options=options).count()

    def set_clock(self, moment: datetime) -> None:
        """Sets the app's time, which then stands still."""
        new = Path(f"{self.stack.clock_file}.new")
        new.write_text(moment.isoformat(), encoding="utf-8")
        new.replace(self.stack.clock_file)


def mapping_body(
    container: str,
    columns: dict[str, str],
    *,
    kind: str = "Profile",
    type_name: str = "Customer",
    folder: str = "",
    errors: Json | None = None,
    formats: dict[str, str] | None = None,
    **properties: Any,
) -> Json:
    """A mapping's body; `formats` gives a column's customFormatSpecifier."""
    structure = [
        {"propertyName": field, "columnName": column, "customFormatSpecifier": (formats or {}).get(field)}
        for field, column in columns.items()
    ]
    return {
        "entityType": kind,
        "entityTypeName": type_name,
        "mappingProperties": {
            "folderPath": f"{container}/{folder}" if folder else container,
            "hasHeader": True,
            "errorManagement": errors or {"errorManagementType": "RejectAndContinue"},
            "structure": structure,
            **properties,
        },
    }


def wait_for(is_true: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    """Waits until something comes true; asks ever more rarely, as asking takes time from what is waited for."""
    start = time.monotonic()
    while not is_true():
        waited = time.monotonic() - start
        assert waited < seconds, f"{what} did not come within {seconds} s"
        time.sleep(min(0.05 + waited / 5, 1.0))
