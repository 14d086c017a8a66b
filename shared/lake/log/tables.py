"""Delta tables: making them, giving them the columns of a type, and reading what their log says."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.deadline import pool_of_threads
from shared.domain.errors import CommitConflictError, ConflictError, FatalError
from shared.lake.container.faults import translated
from shared.lake.container.store import Lake
from shared.lake.log.retry import until_won
from shared.lake.schema import KEY, PROCESSING_TIME, REFRESH, SYSTEM_COLUMNS
from shared.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

logger = logging.getLogger(__name__)

_LOOKUPS_AT_ONCE = 4
_CHECKPOINT_INTERVAL = 10  # commits get slower with each that came after the last checkpoint


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file of a table.

    Attributes:
        path: below the table.
        order: when it was committed, in ms since 1970. No two files that one process commits have the same; where
            several commit in the same millisecond, the path decides.
        low, high: bounds of its keys; None where the log has none.
        kind: value of the partition column `kind`, of states.
        refreshes: lowest and highest `refresh` in it, of states and kpis.
        processed: latest `System_ProcessingTime` in it, of states.
    """

    path: str
    size: int
    rows: int
    order: int
    low: str | None
    high: str | None
    kind: str | None
    refreshes: tuple[int, int] | None
    processed: datetime | None

    def may_hold(self, low: str | None, high: str | None) -> bool:
        """Whether it can have keys above `low` and not above `high`; None is no bound."""
        is_below = low is not None and self.high is not None and self.high <= low
        is_above = high is not None and self.low is not None and self.low > high
        return not (is_below or is_above)


class Snapshot:
    """A table at one version; what is written through `handle` is checked against it."""

    def __init__(self, table: str, handle: "DeltaTable") -> None:
        self.table = table
        self.handle = handle
        self.version = handle.version()

    def read_on(self) -> "Snapshot":
        """The newest version of the same table, from here on."""
        with translated(self.table):
            self.handle.update_incremental()
        return Snapshot(self.table, self.handle)

    @cached_property
    def id(self) -> str:
        """Tells the table from an earlier or later one of its name."""
        return str(self.handle.metadata().id)

    def transaction(self, app_id: str) -> int | None:
        """The newest number that an application committed."""
        with translated(self.table):
            return self.handle.transaction_version(app_id)

    def transactions(self, app_ids: Sequence[str]) -> dict[str, int | None]:
        """The same for several; each has the log read anew, so they are asked for side by side."""
        if len(app_ids) == 1:
            return {app_ids[0]: self.transaction(app_ids[0])}
        with pool_of_threads(_LOOKUPS_AT_ONCE) as pool:
            return dict(zip(app_ids, pool.map(self.transaction, app_ids), strict=True))

    @cached_property
    def last_order(self) -> int:
        """The highest order of its files, 0 where it has none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        with translated(self.table):
            actions = pa.table(self.handle.get_add_actions(flatten=True))
        return pc.max(actions.column("modification_time")).as_py() or 0

    @cached_property
    def columns(self) -> dict[str, "pa.Field"]:
        """The columns, by name in lower case."""
        import pyarrow as pa

        with translated(self.table):
            schema = pa.schema(self.handle.schema().to_arrow())
        return {column.name.casefold(): column for column in schema}

    @property
    def fields(self) -> list["pa.Field"]:
        """The columns that are fields of the type, now or once."""
        return [column for column in self.columns.values() if column.name not in SYSTEM_COLUMNS]

    @cached_property
    def files(self) -> list[DataFile]:
        """The live files, in the order of their commits."""
        import pyarrow as pa

        with translated(self.table):
            rows = pa.table(self.handle.get_add_actions(flatten=True)).to_pylist()
        return sorted((_data_file(row) for row in rows), key=lambda file: (file.order, file.path))


def open_snapshot(lake: Lake, table: str, version: int | None = None) -> Snapshot | None:
    """The table at its newest version, or at one of the past; None where there is no table."""
    handle = lake.open(table, version)
    return None if handle is None else Snapshot(table, handle)


def ensure_table(
    lake: Lake, table: str, schema: "pa.Schema", partition_by: Sequence[str] = (), *, keeps_ids: bool = True
) -> Snapshot:
    """The table, created if it is missing, with every column of `schema`.

    Args:
        lake: the container.
        table: path of the table.
        schema: the columns that it needs; more that it has are left alone.
        partition_by: names of partition columns.
        keeps_ids: whether the log remembers application transactions for ever; else for the retention.

    Raises:
        ConflictError: a column is there with another type.
        FatalError: there are data files without a log.
    """
    wanted = {**_configuration(lake.settings, keeps_ids=keeps_ids), **_looked_at(schema)}

    def attempt() -> Snapshot:
        found = open_snapshot(lake, table)
        if found is None:
            _create(lake, table, schema, partition_by, wanted)
        elif missing := _missing_columns(found, schema):
            _add_columns(found, missing)
        elif not wanted.items() <= found.handle.metadata().configuration.items():
            _set_configuration(found, wanted)
        else:
            return found
        raise CommitConflictError("CommitConflict", f"{table} was just changed; it is read again", table)

    return until_won(attempt)


def _create(
    lake: Lake, table: str, schema: "pa.Schema", partition_by: Sequence[str], configuration: Mapping[str, str]
) -> None:
    from deltalake import DeltaTable
    from deltalake.transaction import CommitProperties

    _check_unused(lake, table)
    with translated(table):
        # With retries a create that lost the race would be written as version 1, over the winner's columns.
        DeltaTable.create(
            lake.uri(table),
            schema=schema,
            mode="ignore",
            partition_by=list(partition_by),
            configuration=dict(configuration),
            storage_options=lake.storage_options(),
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    logger.info("table created: %s", table)


def _check_unused(lake: Lake, table: str) -> None:
    """Raises FatalError where there are files without a log, CommitConflictError where somebody just made the table."""
    import obstore

    with translated(table):
        found = obstore.list_with_delimiter(lake.store, table)
    if not found["objects"] and not found["common_prefixes"]:
        return
    if lake.open(table) is None:
        message = f"{table} in the container lake has files but no log that can be read; restore its _delta_log"
        raise FatalError("TableDamaged", message, table)
    raise CommitConflictError("CommitConflict", f"{table} was just made; it is read again", table)


def log_retention(settings: Settings) -> timedelta:
    """How long a table's log keeps a commit, and the table a file that was taken off it."""
    return timedelta(days=settings.export_retention_days + 8)


def _configuration(settings: Settings, *, keeps_ids: bool) -> dict[str, str]:
    retention = f"interval {log_retention(settings).days} days"
    configuration = {
        "delta.checkpointInterval": str(_CHECKPOINT_INTERVAL),
        "delta.logRetentionDuration": retention,
        "delta.deletedFileRetentionDuration": retention,
    }
    if not keeps_ids:
        configuration["delta.setTransactionRetentionDuration"] = retention
    return configuration


def _looked_at(schema: "pa.Schema") -> dict[str, str]:
    """Has the bounds of these columns read from the log; without it they are, of the first 32 columns alone."""
    names = [name for name in (KEY, PROCESSING_TIME, REFRESH) if name in schema.names]
    return {"delta.dataSkippingStatsColumns": ",".join(names)} if REFRESH in names else {}


def _missing_columns(found: Snapshot, schema: "pa.Schema") -> list["pa.Field"]:
    missing = []
    for column in schema:
        there = found.columns.get(column.name.casefold())
        if there is None:
            missing.append(column)
        elif there.type != column.type:
            raise ConflictError(
                "SchemaConflict",
                f"{found.table} keeps {column.name!r} as {there.type}, not as {column.type}; give the field a new name",
                column.name,
            )
    return missing


def _add_columns(found: Snapshot, missing: list["pa.Field"]) -> None:
    import pyarrow as pa
    from deltalake import Schema

    with translated(found.table):
        found.handle.alter.add_columns(Schema.from_arrow(pa.schema(missing)).fields)
    logger.info("columns added to %s: %s", found.table, len(missing))


def _set_configuration(found: Snapshot, wanted: Mapping[str, str]) -> None:
    with translated(found.table):
        found.handle.alter.set_table_properties(dict(wanted))
    logger.info("retention of %s was set anew", found.table)


def _data_file(row: Mapping[str, Any]) -> DataFile:
    refreshes = (row.get(f"min.{REFRESH}"), row.get(f"max.{REFRESH}"))
    return DataFile(
        path=row["path"],
        size=row["size_bytes"],
        rows=row["num_records"] or 0,
        order=row["modification_time"],
        low=row.get(f"min.{KEY}"),
        high=row.get(f"max.{KEY}"),
        kind=row.get("partition.kind"),
        refreshes=None if None in refreshes else refreshes,  # type: ignore[arg-type]
        processed=row.get(f"max.{PROCESSING_TIME}"),
    )
