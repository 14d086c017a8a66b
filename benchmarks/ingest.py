"""CSV blob -> Delta, against DuckDB alone doing local CSV -> local Parquet with the same types; and its memory."""

import statistics
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb
from azure.storage.blob import BlobServiceClient

from benchmarks.bench import Bench
from benchmarks.dataset import COLUMNS, FIELDS, write_csv
from benchmarks.measure import Measured, measure, median, timed
from benchmarks.report import Bar
from infra.local.stack import running_azurite
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.entity_types import ProfileType
from shared.domain.documents.mappings import Mapping
from shared.settings import Settings
from tests.lake.given import changes_of

if TYPE_CHECKING:
    from shared.lake.container.store import Lake

SPEED_RATIO = 0.50
PEAK_MB = 512
PEAKS_RATIO = 1.15
CONTAINER = "bench"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WARM_UP_ROWS = 1_000

PROFILE = ProfileType.from_request(
    {"fields": FIELDS, "strongIds": [{"strongIdName": "ById", "keyPropertyNames": ["customer_id"]}]}
).model_copy(update={"type_name": "Customer"})
MAPPING = Mapping.from_request(
    {
        "entityType": "Profile",
        "entityTypeName": "Customer",
        "mappingProperties": {
            "folderPath": CONTAINER,
            "errorManagement": {"errorManagementType": "RejectAndContinue"},
            "structure": [{"propertyName": name, "columnName": name} for name in COLUMNS],
        },
    }
)
_TYPES = {
    "Edm.String": "VARCHAR",
    "Edm.Int64": "BIGINT",
    "Edm.Double": "DOUBLE",
    "Edm.Boolean": "BOOLEAN",
    "Edm.Date": "DATE",
    "Edm.DateTimeOffset": "TIMESTAMPTZ",
}


def measure_ingest(bench: Bench) -> Iterator[Bar]:
    """The speed of a large file, and the peaks of memory of files of several sizes."""
    rows = bench.sizes.large_rows
    peaks: dict[int, list[float]] = {}
    with running_azurite(bench.folder / "ingest-azurite") as azurite:
        storage = azurite.connection_string
        warm_up = upload(storage, bench.folder, WARM_UP_ROWS)
        for others in bench.sizes.flat_rows:
            version = upload(storage, bench.folder, others)
            peaks[others] = [
                measure(ingest, storage, f"Flat{others}-{number}", warm_up, version, others).peak_mb
                for number in range(bench.sizes.runs)
            ]
        version = upload(storage, bench.folder, rows)
        ours, peers = [], []
        for number in range(bench.sizes.runs):
            ours.append(measure(ingest, storage, f"Large{number}", warm_up, version, rows))
            peers.append(measure(duckdb_alone, csv_of(bench.folder, rows), bench.folder / "large.parquet"))
    peaks[rows] = [run.peak_mb for run in ours]
    yield Bar(
        "ingest  CSV blob -> Delta / DuckDB CSV -> Parquet, speed",
        median(peers) / median(ours),
        SPEED_RATIO,
        measured=f"{rows:,} rows, {csv_of(bench.folder, rows).stat().st_size / 1e6:,.0f} MB; "
        f"ours {_speed(rows, ours)}, DuckDB {_speed(rows, peers)}",
    )
    found = ", ".join(f"{count:,} rows {max(of_size):.0f} MB" for count, of_size in sorted(peaks.items()))
    yield Bar("ingest  peak memory", max(map(max, peaks.values())), PEAK_MB, " MB", at_most=True, measured=found)
    # A peak depends on how threads meet: of each size the usual one is compared.
    usual = {count: statistics.median(of_size) for count, of_size in sorted(peaks.items())}
    found = ", ".join(f"{count:,} rows {peak:.0f} MB" for count, peak in usual.items())
    flat = max(usual.values()) / min(usual.values())
    yield Bar("ingest  largest median peak / smallest", flat, PEAKS_RATIO, at_most=True, measured=found)


def csv_of(folder: Path, rows: int) -> Path:
    """The local file of so many rows; written at its first use."""
    path = folder / f"rows-{rows}.csv"
    if not path.exists():
        write_csv(path, rows)
    return path


def upload(connection_string: str, folder: Path, rows: int) -> BlobVersion:
    """A blob of so many rows. Its name is not that of a CSV file, so no local Event Grid announces it."""
    with BlobServiceClient.from_connection_string(connection_string, max_block_size=8 * 1024**2) as storage:
        container = storage.get_container_client(CONTAINER)
        if not container.exists():
            container.create_container()
        with csv_of(folder, rows).open("rb") as data:
            path = f"rows-{rows}-{uuid.uuid4().hex}"
            blob = container.upload_blob(path, data, max_concurrency=2)
        return BlobVersion(CONTAINER, path, str(blob.get_blob_properties().etag).strip('"'))


def settings_for(connection_string: str) -> Settings:
    """Settings of a process that works on Azurite."""
    return Settings.model_validate({"hub_storage": connection_string, "azure_functions_environment": "Development"})


def ingest(
    connection_string: str, hub: str, warm_up: BlobVersion, version: BlobVersion, rows: int, repeats: int = 1
) -> tuple[float, dict[str, Any]]:
    """Brings a blob version into the lake, in a process of the app that has done so once before: download to commit.

    Args:
        rows: of the version; every one of them must arrive.
        repeats: how often it is brought in, each time as another blob version; the seconds are of one.
    """
    import azure_functions_runtime  # noqa: F401 - a part of the functions process, whose memory is measured

    import function_app  # noqa: F401
    from shared.lake.container.store import Lake
    from shared.storage.accounts import hub_account

    settings = settings_for(connection_string)
    lake = Lake(hub_account(settings), settings)
    _ingest_one(lake, "WarmUp", warm_up, 0)

    def work() -> None:
        for number in range(repeats):
            arrived = _ingest_one(lake, hub, version, number)
            if arrived != rows:
                raise RuntimeError(f"{arrived} rows arrived instead of {rows}")

    seconds, _ = timed(work)
    return seconds / repeats, {"rows": rows}


def _ingest_one(lake: "Lake", hub: str, version: BlobVersion, number: int) -> int:
    from shared.ingest.reject_file import RejectFile
    from shared.ingest.source import Source
    from shared.ingest.stage import stage_rows
    from shared.storage.accounts import hub_account
    from shared.storage.blob.blobs import BlobContainer

    profile = PROFILE.model_copy(update={"lake_path": f"{hub.lower()}/profiles/{PROFILE.type_name.lower()}"})
    changes = changes_of(lake, profile)
    source = Source(BlobContainer(hub_account(lake.settings), CONTAINER), version)
    with TemporaryDirectory(prefix="bench-") as folder:
        rejects = RejectFile(Path(folder, "rejects.csv"), MAPPING.mapping_properties.error_management)
        staged = stage_rows(
            source,
            MAPPING,
            profile,
            changes,
            rejects,
            Path(folder),
            run_id=f"bench{number}",
            order=number + 1,
            now=NOW,
            settings=lake.settings,
        )
        changes.commit(staged.uploaded, f"bench/{version.path}", number + 1)
        return staged.rows


def duckdb_alone(source: Path, target: Path) -> tuple[float, dict[str, Any]]:
    """The peer: what is left of the work when nothing has to be proven, kept or sent anywhere."""
    casts = []
    for field in FIELDS:
        name, kind = field["fieldName"], _TYPES[field["fieldType"]]
        if field.get("isArray"):
            casts.append(f"string_split({name}, ';') AS {name}")
        else:
            casts.append(f"TRY_CAST({name} AS {kind}) AS {name}")
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
    scan = f"read_csv('{source}', auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', "
    scan += f"columns = {{{columns}}}, store_rejects = true)"

    def work() -> int:
        with duckdb.connect(config={"threads": 2}) as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.execute(f"COPY (SELECT {', '.join(casts)} FROM {scan}) TO '{target}' (COMPRESSION zstd)")
            found = connection.execute(f"SELECT count(*) FROM '{target}'").fetchone()
            return int(found[0]) if found else 0

    seconds, rows = timed(work)
    return seconds, {"rows": rows}


def _speed(rows: int, runs: list[Measured]) -> str:
    return f"{median(runs):.2f} s ({rows / median(runs):,.0f} rows/s)"
