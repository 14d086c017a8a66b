"""CSV blob -> Delta, against DuckDB alone doing local CSV -> local Parquet with the same types."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from benchmarks.dataset import COLUMNS, FIELDS
from benchmarks.measure import timed
from shared.domain.blob_version import BlobVersion
from shared.domain.entity_types import ProfileType
from shared.domain.mappings import Mapping
from shared.settings import Settings

CONTAINER = "bench"

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


def settings_for(connection_string: str) -> Settings:
    """Settings of a process that works on Azurite."""
    return Settings.model_validate({"hub_storage": connection_string, "azure_functions_environment": "Development"})


def ingest(
    connection_string: str, hub: str, warm_up: BlobVersion, version: BlobVersion
) -> tuple[float, dict[str, Any]]:
    """Brings a blob version into the lake, in a process that has done so once before: download to commit."""
    _ingest_one(connection_string, "WarmUp", warm_up)
    seconds, rows = timed(lambda: _ingest_one(connection_string, hub, version))
    return seconds, {"rows": rows}


def _ingest_one(connection_string: str, hub: str, version: BlobVersion) -> int:
    from shared.ingest.reject_file import RejectFile
    from shared.ingest.source import Source
    from shared.ingest.stage import stage_rows
    from shared.lake.store import Lake
    from shared.storage.accounts import hub_account
    from shared.storage.blobs import BlobContainer

    settings = settings_for(connection_string)
    account = hub_account(settings)
    changes = Lake(account, settings).changes(hub, PROFILE)
    source = Source(BlobContainer(account, CONTAINER), version)
    with TemporaryDirectory(prefix="bench-") as folder:
        rejects = RejectFile(Path(folder, "rejects.csv"), MAPPING.mapping_properties.error_management)
        staged = stage_rows(
            source,
            MAPPING,
            PROFILE,
            changes,
            rejects,
            Path(folder),
            run_id="bench",
            order=1,
            now=NOW,
            settings=settings,
        )
        changes.commit(staged.uploaded, f"bench/{version.path}", 1)
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


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
