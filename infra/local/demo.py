"""The demo: an empty hub becomes profiles, interactions, KPIs and exported blobs, on real parts."""

import csv
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from infra.local.settings import REPOSITORY
from infra.local.stack import RunningStack, running_stack

SAMPLES = REPOSITORY / "samples"
HUB = "/hubs/Demo"
PATIENCE_S = 60


def main() -> None:
    """Runs the demo; raises where something does not come out as it should."""
    with tempfile.TemporaryDirectory(prefix="connector-hub-demo-") as folder:
        say("starting the local stack: storage, key vault, event grid and the functions host")
        with running_stack(Path(folder)) as running, Demo.on(running) as demo:
            say(f"ready at {running.stack.functions_url}")
            demo.define()
            demo.ingest()
            demo.export()
            demo.report()
    say("done: nothing is left running")


class Demo:
    """One hub on one running stack."""

    def __init__(self, running: RunningStack, client: httpx.Client) -> None:
        self.http = client
        self.clock_file = Path(running.stack.clock_file)
        self.secret_url = running.stack.storage_secret_url
        self.storage = BlobServiceClient.from_connection_string(running.stack.storage_connection_string)
        self.partner = self.storage.create_container("partner")
        self.inbox = self.storage.create_container("inbox")

    @classmethod
    @contextmanager
    def on(cls, running: RunningStack) -> "Iterator[Demo]":
        """The demo against a running stack."""
        with httpx.Client(base_url=running.stack.functions_url, timeout=30) as client:
            demo = cls(running, client)
            try:
                yield demo
            finally:
                demo.storage.close()

    def define(self) -> None:
        """Defines the hub: a profile type, an interaction type, two KPIs, two connectors, three mappings."""
        say("defining the hub over HTTP")
        for path, body in definitions(self.secret_url, self.partner_sas()):
            answer = self.http.put(HUB + path, json=body)
            if answer.status_code != httpx.codes.CREATED:
                raise RuntimeError(f"PUT {HUB + path}: {answer.status_code} {answer.text}")
            state = answer.json().get("state", "")
            say(f"  PUT {HUB}{path} -> 201 {state}")

    def partner_sas(self) -> str:
        """The URI of the partner's container, with the rights that exports and their clean-up need."""
        account = self.storage.credential
        sas = generate_container_sas(
            str(self.storage.account_name),
            "partner",
            account_key=account.account_key,
            permission=ContainerSasPermissions(create=True, write=True, list=True, delete=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return f"{self.partner.url}?{sas}"

    def ingest(self) -> None:
        """Uploads the samples and waits until the events have brought them in."""
        say("uploading the sample files; Event Grid announces them")
        for name in ("customers", "orders"):
            self.upload(name)
        self.wait("the runs of 2 blobs", lambda: len(self.finished_runs()) == 2)

    def upload(self, name: str) -> None:
        """Uploads one sample."""
        self.inbox.upload_blob(f"{name}/{name}.csv", (SAMPLES / f"{name}.csv").read_bytes())
        say(f"  inbox/{name}/{name}.csv")

    def export(self) -> None:
        """Exports, changes some profiles, and exports the changes a quarter of an hour later."""
        now = datetime.now(UTC)
        self.tick(now, "export_profiles", "export_kpis")
        self.wait("the first export", lambda: len(self.exported("Profile/")) == 1 and len(self.exported("KPI/")) == 2)
        self.upload("customers_update")
        self.wait("the run of the update", lambda: len(self.finished_runs()) == 3)
        self.tick(now + timedelta(minutes=15), "export_profiles")
        self.wait("the export of the changes", lambda: len(self.exported("Profile/")) == 2)
        # A blob is there before the run that exported it is over.
        self.wait("the end of all runs", lambda: not under_way(self.runs()))

    def tick(self, moment: datetime, *functions: str) -> None:
        """Sets the app's clock and lets timers fire."""
        self.clock_file.write_text(moment.isoformat(), encoding="utf-8")
        for name in functions:
            say(f"at {moment:%H:%M} UTC the timer {name} fires")
            self.http.post(f"/admin/functions/{name}", json={"input": ""}).raise_for_status()

    def report(self) -> None:
        """Prints what came of it."""
        print("\nRuns")
        for run in reversed(self.runs()):
            what = (run.get("blob") or {}).get("path") or f"{run.get('entityTypeName') or run.get('connector')}"
            counts = f"{run['rowsRead']} read, {run['rowsIngested']} ingested, {run['rowsRejected']} rejected"
            print(f"  {run['kind']:8} {what:44} {run['state']:19} {counts}")
        print("\nRejected rows")
        for run in self.runs():
            if run["kind"] == "Ingest" and run["rowsRejected"]:
                text = self.http.get(f"{HUB}/runs/{run['runId']}/rejects").raise_for_status().text
                for row in csv.DictReader(io.StringIO(text)):
                    print(
                        f"  {run['blob']['path']} line {row['line']}: {row['code']} {row['column']}: {row['message']}"
                    )
        print("\nA profile, merged from two files")
        print("  " + json.dumps(self.http.get(f"{HUB}/data/Customer('C0002')").json(), ensure_ascii=False))
        print("\nExported blobs")
        for name in self.exported(""):
            lines = self.partner.download_blob(name).readall().decode().splitlines()
            print(f"  {name}")
            if name.endswith(".csv"):
                print("".join(f"    {line}\n" for line in lines[:3]), end="")
        print()

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first."""
        runs: list[dict[str, Any]] = self.http.get(f"{HUB}/runs").raise_for_status().json()["value"]
        return runs

    def finished_runs(self) -> list[dict[str, Any]]:
        """The ingest runs that are over."""
        return [run for run in self.runs() if run["kind"] == "Ingest" and "finishedAt" in run]

    def exported(self, prefix: str) -> list[str]:
        """Paths in the partner's container."""
        return [str(name) for name in self.partner.list_blob_names(name_starts_with=prefix)]

    def wait(self, what: str, is_true: Callable[[], bool]) -> None:
        """Waits for something to come true; raises after PATIENCE_S."""
        say(f"waiting for {what}")
        deadline = time.monotonic() + PATIENCE_S
        while not is_true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come within {PATIENCE_S} s; runs: {json.dumps(self.runs())}")
            time.sleep(0.2)


def under_way(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the runs that are not over."""
    return [run for run in runs if run["state"] in {"Queued", "Running"}]


def definitions(secret_url: str, partner_sas: str) -> list[tuple[str, dict[str, Any]]]:
    """Every definition of the demo: (path below the hub, body)."""
    landing = {"connectionKeyVaultUrl": secret_url}
    partner = {"outputBlobSASUri": partner_sas, "entityList": EXPORTED}
    customers = mapping("Profile", "Customer", "inbox/customers", CUSTOMER_COLUMNS)
    updates = mapping("Profile", "Customer", "inbox/customers_update", UPDATE_COLUMNS)
    german = {"columnDelimiter": ";", "acceptLanguage": "de-DE"}
    orders = mapping("Interaction", "Order", "inbox/orders", ORDER_COLUMNS, **german)
    return [
        ("", {}),
        ("/profiles/Customer", CUSTOMER),
        ("/interactions/Order", ORDER),
        ("/kpi/Revenue", kpi("Sum", "Amount", "Lifetime", ["CustomerId"])),
        ("/kpi/OrdersPerDay", kpi("Count", "*", "Day", [])),
        ("/connectors/Landing", {"connectorType": "AzureBlob", "connectorProperties": landing}),
        ("/connectors/Partner", {"connectorType": "Outbound", "connectorProperties": partner}),
        ("/connectors/Landing/mappings/Customers", customers),
        ("/connectors/Landing/mappings/Updates", updates),
        ("/connectors/Landing/mappings/Orders", orders),
    ]


CUSTOMER = {
    "fields": [
        {"fieldName": "CustomerId", "fieldType": "Edm.String", "maxLength": 20},
        {"fieldName": "City", "fieldType": "Edm.String"},
        {"fieldName": "Tier", "fieldType": "Edm.String"},
        {"fieldName": "Points", "fieldType": "Edm.Int32"},
        {"fieldName": "OptedIn", "fieldType": "Edm.Boolean"},
        {"fieldName": "Joined", "fieldType": "Edm.DateTimeOffset"},
        {"fieldName": "Tags", "fieldType": "Edm.String", "isArray": True},
    ],
    "strongIds": [{"strongIdName": "ById", "keyPropertyNames": ["CustomerId"]}],
}
ORDER = {
    "fields": [
        {"fieldName": "OrderId", "fieldType": "Edm.String"},
        {"fieldName": "CustomerId", "fieldType": "Edm.String"},
        {"fieldName": "OrderedAt", "fieldType": "Edm.DateTimeOffset"},
        {"fieldName": "Amount", "fieldType": "Edm.Decimal"},
        {"fieldName": "Paid", "fieldType": "Edm.Boolean"},
    ],
    "idPropertyNames": ["OrderId"],
    "timestampFieldName": "OrderedAt",
}
EXPORTED = [
    {"entityType": "Profile", "entityName": "Customer", "fieldNames": []},
    {"entityType": "Kpi", "entityName": "Revenue"},
    {"entityType": "Kpi", "entityName": "OrdersPerDay"},
]
CUSTOMER_COLUMNS = {
    "CustomerId": "customer_id",
    "City": "city",
    "Tier": "tier",
    "Points": "points",
    "OptedIn": "opted_in",
    "Joined": "joined",
    "Tags": "tags",
}
UPDATE_COLUMNS = {"CustomerId": "customer_id", "Tier": "tier", "Points": "points"}
ORDER_COLUMNS = {
    "OrderId": "order_id",
    "CustomerId": "customer_id",
    "OrderedAt": "ordered_at",
    "Amount": "amount",
    "Paid": "paid",
}


def kpi(function: str, expression: str, window: str, group_by: list[str]) -> dict[str, Any]:
    """A KPI over orders."""
    return {
        "entityType": "Interaction",
        "entityTypeName": "Order",
        "function": function,
        "expression": expression,
        "calculationWindow": window,
        "groupBy": group_by,
    }


def mapping(kind: str, type_name: str, folder: str, columns: dict[str, str], **dialect: str) -> dict[str, Any]:
    """A mapping that rejects bad rows and goes on."""
    return {
        "entityType": kind,
        "entityTypeName": type_name,
        "mappingProperties": {
            "folderPath": folder,
            "fileFilter": "*.csv",
            "hasHeader": True,
            "errorManagement": {"errorManagementType": "RejectAndContinue"},
            "format": {"formatType": "TextFormat", **dialect},
            "structure": [{"propertyName": field, "columnName": column} for field, column in columns.items()],
        },
    }


def say(text: str) -> None:
    """Prints one line of progress at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
