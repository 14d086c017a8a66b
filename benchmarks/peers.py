"""A file of middle size, against `dlt` (local CSV -> local Delta table) and against rows in Table Storage."""

import csv
import json
import os
import subprocess
from collections.abc import Iterator
from itertools import batched
from pathlib import Path
from statistics import median as median_of
from typing import Any

from azure.data.tables import TableClient

from benchmarks.bench import Bench
from benchmarks.ingest import WARM_UP_ROWS, csv_of, ingest, upload
from benchmarks.measure import measure, median, timed
from benchmarks.report import Bar
from infra.local.stack import running_azurite

TIMES_DLT = 3
TIMES_TABLES = 100
# A transaction takes no more: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
ENTITIES = 100
REPEATS = 3
# `make bench` makes it; dlt brings dozens of packages along that nothing else here needs.
DLT_PYTHON = Path(os.environ.get("BENCH_DLT_PYTHON", ".cache/dlt/bin/python"))


def measure_peers(bench: Bench) -> Iterator[Bar]:
    """Rows a second, against both peers."""
    rows = bench.sizes.dlt_rows
    with running_azurite(bench.folder / "peers-azurite") as azurite:
        storage = azurite.connection_string
        warm_up, version = upload(storage, bench.folder, WARM_UP_ROWS), upload(storage, bench.folder, rows)
        dlt = dlt_seconds(bench)
        runs = [
            measure(ingest, storage, f"Peers{number}", warm_up, version, rows, REPEATS)
            for number in range(bench.sizes.runs)
        ]
        tables = [
            measure(table_storage, storage, f"peer{number}", csv_of(bench.folder, rows), bench.sizes.table_rows)
            for number in range(bench.sizes.runs)
        ]
    ours = rows / median(runs)
    yield Bar(
        "peers  CSV blob -> Delta / dlt",
        ours / (rows / dlt),
        TIMES_DLT,
        measured=f"{rows:,} rows; ours {ours:,.0f} rows/s, dlt {rows / dlt:,.0f} rows/s",
    )
    theirs = bench.sizes.table_rows / median(tables)
    yield Bar(
        "peers  CSV blob -> Delta / azure-data-tables",
        ours / theirs,
        TIMES_TABLES,
        measured=f"ours {ours:,.0f} rows/s, {ENTITIES} entities a transaction {theirs:,.0f} rows/s",
    )


def dlt_seconds(bench: Bench) -> float:
    """Median of the seconds that dlt takes, in a process that has done so once before.

    Raises:
        RuntimeError: it is not installed, failed, or lost rows.
    """
    if not DLT_PYTHON.exists():
        raise RuntimeError(f"{DLT_PYTHON} is missing; run: make bench, which installs dlt")
    warm_up, source = csv_of(bench.folder, WARM_UP_ROWS), csv_of(bench.folder, bench.sizes.dlt_rows)
    command = [str(DLT_PYTHON), str(Path(__file__).with_name("dlt_peer.py")), str(warm_up), str(source)]
    command += [str(bench.folder / "dlt"), str(bench.sizes.runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"dlt failed:\n{done.stderr[-2000:]}")
    runs = json.loads(done.stdout.splitlines()[-1])
    if {run["rows"] for run in runs} != {bench.sizes.dlt_rows}:
        raise RuntimeError(f"dlt lost rows: {runs}")
    return float(median_of(run["seconds"] for run in runs))


def table_storage(connection_string: str, table: str, source: Path, rows: int) -> tuple[float, dict[str, Any]]:
    """The peer that keeps rows as entities: full transactions, one after the other, the rows read beforehand."""
    with source.open(encoding="utf-8", newline="") as lines:
        entities = [
            {"PartitionKey": "bench", "RowKey": row["customer_id"], **row}
            for row, _ in zip(csv.DictReader(lines), range(rows), strict=False)
        ]
    with TableClient.from_connection_string(connection_string, table) as client:
        client.create_table()

        def work() -> None:
            for batch in batched(entities, ENTITIES, strict=False):
                client.submit_transaction([("upsert", entity) for entity in batch])

        seconds, _ = timed(work)
    return seconds, {"rows": len(entities)}
