"""`make bench`: one line for each measurement, its ratio to the peer, and peak memory. Medians of three runs."""

import statistics
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from benchmarks import export, ingest
from benchmarks.dataset import write_csv
from benchmarks.measure import Measured, measure, median
from infra.local.stack import running_stack
from infra.local.state_dir import Stack
from shared.domain.blob_version import BlobVersion
from shared.settings import Settings

ROWS = 1_000_000
RUNS = 3
INGEST_RATIO, EXPORT_RATIO, PEAK_MB = 0.30, 0.30, 700


def main() -> int:
    """Runs every benchmark; 1 where a bar is missed."""
    with tempfile.TemporaryDirectory(prefix="connector-hub-bench-") as name:
        folder = Path(name)
        size = write_csv(folder / "million.csv", ROWS)
        write_csv(folder / "warm-up.csv", 1_000)
        print(f"{ROWS:,} rows, {size / 1e6:.0f} MB of CSV, {RUNS} runs, medians", flush=True)
        with running_stack(folder / "stack") as running:
            passed = [bench_ingest(folder, running.stack), bench_export(folder, running.stack)]
    return 0 if all(passed) else 1


def bench_ingest(folder: Path, stack: Stack) -> bool:
    """CSV blob -> Delta."""
    ours, peers = [], []
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as storage:
        container = storage.create_container(ingest.CONTAINER)

        def upload(path: str, source: Path) -> BlobVersion:
            with source.open("rb") as data:
                etag = container.upload_blob(path, data).get_blob_properties().etag
            return BlobVersion(ingest.CONTAINER, path, str(etag).strip('"'))

        # Each run has a hub of its own; the blobs have no CSV names, so no event goes out.
        for number in range(RUNS):
            warm_up = upload(f"warm-up-{number}", folder / "warm-up.csv")
            version = upload(f"million-{number}", folder / "million.csv")
            ours.append(measure(ingest.ingest, stack.storage_connection_string, hub_of(number), warm_up, version))
            peers.append(measure(ingest.duckdb_alone, folder / "million.csv", folder / "million.parquet"))
    return report("ingest  CSV blob -> Delta", ours, "DuckDB CSV -> Parquet", peers, INGEST_RATIO)


def bench_export(folder: Path, stack: Stack) -> bool:
    """Profiles -> the partner's container."""
    settings = Settings.model_validate(
        {
            "hub_storage": stack.storage_connection_string,
            "azure_functions_environment": "Development",
            "key_vault_url": stack.key_vault_url,
        }
    )
    ours, peers = [], []
    for number in range(RUNS):
        export.define(settings, hub_of(number), partner_sas(stack, f"partner-{number}"))
        ours.append(measure(export.export, settings, hub_of(number)))
        peers.append(measure(export.duckdb_alone, folder / "million.parquet", folder / "million-out.csv"))
    merging = statistics.median(run.result["merge_seconds"] for run in ours)
    return report(
        "export  states -> partner's CSV",
        ours,
        "DuckDB Parquet -> CSV",
        peers,
        EXPORT_RATIO,
        note=f"; merging before it {merging:.2f} s",
    )


def hub_of(run: int) -> str:
    """The hub of a run."""
    return f"Bench{run}"


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


def report(name: str, ours: list[Measured], peer: str, peers: list[Measured], bar: float, note: str = "") -> bool:
    """Prints one line; whether the bars are met."""
    counts = {run.result.get("rows") for run in ours}
    if counts != {ROWS}:
        raise RuntimeError(f"{name}: {counts} rows instead of {ROWS}")
    ratio = median(peers) / median(ours)
    peak_mb = max(run.peak_mb for run in ours)
    met = ratio >= bar and peak_mb < PEAK_MB
    print(
        f"{name}: {median(ours):.2f} s ({ROWS / median(ours):,.0f} rows/s), {peer} {median(peers):.2f} s, "
        f"ratio {ratio:.2f} (bar {bar:.2f}), peak {peak_mb:.0f} MB (bar {PEAK_MB}){note}: {'met' if met else 'MISSED'}",
        flush=True,
    )
    return met


if __name__ == "__main__":
    sys.exit(main())
