"""A profile export of every row, against DuckDB alone doing local Parquet -> local CSV with the same formats."""

import statistics
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from benchmarks import ingest
from benchmarks.bench import Bench
from benchmarks.dataset import FIELDS
from benchmarks.ingest import NOW, PROFILE
from benchmarks.measure import measure, median, timed
from benchmarks.report import Bar
from infra.local.stack import running_stack
from infra.local.state_dir import Stack
from shared.app import Services
from shared.connectors.kinds import connector_from_request
from shared.domain.documents.connectors import ExportedEntityType
from shared.domain.documents.hubs import Hub
from shared.domain.slot import slot_of
from shared.settings import Settings

CONNECTOR = "Partner"
SPEED_RATIO, PEAK_MB = 0.30, 700


def measure_export(bench: Bench) -> Iterator[Bar]:
    """The speed of publishing every profile, and its peak of memory; each run has a hub of its own."""
    rows = bench.sizes.export_rows
    ours, peers = [], []
    with running_stack(bench.folder / "export-stack") as running:
        storage = running.stack.storage_connection_string
        settings = Settings.model_validate(
            {
                "hub_storage": storage,
                "azure_functions_environment": "Development",
                "key_vault_url": running.stack.key_vault_url,
                "development_endpoints": ",".join(
                    (running.stack.blob_endpoint.rpartition("/")[0], running.stack.key_vault_url)
                ),
            }
        )
        warm_up = ingest.upload(storage, bench.folder, ingest.WARM_UP_ROWS)
        version = ingest.upload(storage, bench.folder, rows)
        parquet, written = bench.folder / "export.parquet", bench.folder / "export.csv"
        measure(ingest.duckdb_alone, ingest.csv_of(bench.folder, rows), parquet)
        for number in range(bench.sizes.runs):
            hub = f"Export{number}"
            # Before there are rows: a type that finds a table in its place gets another one.
            define(settings, hub, partner_sas(running.stack, f"partner-{number}"))
            measure(ingest.ingest, storage, hub, warm_up, version, rows)
            ours.append(measure(export, settings, hub))
            peers.append(measure(duckdb_alone, parquet, written))
    counts = {run.result["rows"] for run in ours}
    if counts != {rows}:
        raise RuntimeError(f"{counts} rows were exported instead of {rows}")
    merging = statistics.median(run.result["merge_seconds"] for run in ours)
    yield Bar(
        "export  states -> partner's CSV / DuckDB Parquet -> CSV, speed",
        median(peers) / median(ours),
        SPEED_RATIO,
        measured=f"{rows:,} rows; ours {median(ours):.2f} s, DuckDB {median(peers):.2f} s; merging before it "
        f"{merging:.2f} s",
    )
    yield Bar("export  peak memory", max(run.peak_mb for run in ours), PEAK_MB, " MB", at_most=True)


def partner_sas(stack: Stack, container: str) -> str:
    """The URI of a new container with a SAS."""
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as storage:
        client = storage.create_container(container)
        sas = generate_container_sas(
            str(storage.account_name),
            container,
            account_key=storage.credential.account_key,
            permission=ContainerSasPermissions(create=True, write=True, list=True, delete=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return f"{client.url}?{sas}"


def define(settings: Settings, hub: str, sas_uri: str) -> None:
    """Defines hub, type and the connector that exports all of it."""
    definitions = Services(settings).definitions
    definitions.put_hub(hub, Hub.from_request({}))
    definitions.put_entity_type(hub, PROFILE.type_name, PROFILE)
    properties = {
        "outputBlobSASUri": sas_uri,
        "entityList": [{"entityType": "Profile", "entityName": PROFILE.type_name}],
    }
    body = {"connectorType": "Outbound", "connectorProperties": properties}
    stored, _ = definitions.connectors.put(hub, CONNECTOR, connector_from_request(body))
    if stored.document.state != "Ready":
        raise RuntimeError(f"the connector is {stored.document.state}: {stored.document.state_detail}")


def export(settings: Settings, hub: str) -> tuple[float, dict[str, Any]]:
    """Merges and plans the first slot, then publishes it; the seconds are of publishing, the rest is beside them."""
    from shared.outbound.export_slot import SlotRequest, find_export
    from shared.outbound.plan import plan_slot
    from shared.outbound.publish import publish_slot
    from shared.outbound.slot_run import claim_slot

    request = SlotRequest(hub, CONNECTOR, ExportedEntityType.PROFILE, PROFILE.type_name, slot_of(NOW))
    found = find_export(Services(settings), request)
    if found is None:
        raise RuntimeError("the connector exports nothing")
    merging, _ = timed(lambda: plan_slot(found, request.slot))
    plan = next(found.services.slots.waiting(found.series))
    publishing, _ = timed(lambda: publish_slot(found, plan, claim_slot(found, plan, "bench")))
    run = found.services.runs.get(hub, plan.run_id)
    return publishing, {"rows": run.run.rows_read if run else 0, "merge_seconds": merging}


def duckdb_alone(source: Path, target: Path) -> tuple[float, dict[str, Any]]:
    """The peer: the same columns and formats, from a local file to a local file."""
    cells = []
    for field in FIELDS:
        name = field["fieldName"]
        if field["fieldType"] == "Edm.DateTimeOffset":
            cells.append(f"strftime({name} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS {name}")
        elif field.get("isArray"):
            cells.append(f"array_to_string({name}, ';') AS {name}")
        else:
            cells.append(name)
    query = f"SELECT {', '.join(cells)} FROM '{source}' ORDER BY customer_id"

    def work() -> None:
        with duckdb.connect(config={"threads": 2}) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            connection.execute(f"COPY ({query}) TO '{target}' (HEADER, DELIMITER ',', NULLSTR '')")

    seconds, _ = timed(work)
    return seconds, {"bytes": target.stat().st_size}
