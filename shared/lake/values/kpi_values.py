"""The values of a KPI: one table per KPI, to which each calculation appends what it changed.

Calculations are numbered from 1; the application transaction `refresh` remembers the last one, as with `states`, so two
calculations at once cannot both land. A value that is no more is a row that is deleted and whose value is null.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.kpis import Kpi
from shared.domain.errors import FatalError, UnavailableError
from shared.engine.sql import ALL_KEYS, Bounds, quoted, quoted_list
from shared.engine.workspace import Workspace, workspace
from shared.lake.container.store import Lake
from shared.lake.files.linked import link_files
from shared.lake.files.parts import Layout
from shared.lake.files.row_sizes import row_bytes
from shared.lake.files.rows_sql import between, rows_of
from shared.lake.files.sorted_files import SortedFileWriter
from shared.lake.log.actions import added, commit
from shared.lake.log.commits import version_of
from shared.lake.log.retry import until_won
from shared.lake.log.tables import Snapshot, ensure_table, open_snapshot
from shared.lake.paths import kpi_path
from shared.lake.schema import DELETED, KEY, REFRESH, kpi_schema
from shared.lake.states.slot_rows import Slot, export_ranges
from shared.lake.states.state_rows import APP_REFRESH

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

_KEY, _DELETED, _REFRESH = quoted(KEY), quoted(DELETED), quoted(REFRESH)


@dataclass(frozen=True, slots=True)
class Calculated:
    """How far a KPI is calculated.

    Attributes:
        number: of the last calculation that changed something; 0 before the first.
        table_version: version of the table that has it; at it, no value is of a later calculation.
        rows: values that this call changed.
    """

    number: int
    table_version: int
    rows: int = 0


class KpiValues:
    """The table of one KPI.

    Args:
        entity_type: the type that the KPI reads.
    """

    def __init__(self, lake: Lake, kpi: Kpi, entity_type: EntityType) -> None:
        self.table = kpi_path(kpi)
        self._lake = lake
        self._schema = kpi_schema(kpi, entity_type)

    def newest(self) -> Calculated:
        """How far the KPI is calculated; the table is made if it is missing."""
        snapshot = ensure_table(self._lake, self.table, self._schema)
        return Calculated(snapshot.transaction(APP_REFRESH) or 0, snapshot.version)

    def write(self, work: Workspace, changes: Callable[[str], str], since: int) -> Calculated:
        """Appends what a calculation changed; nothing is committed if it changed nothing.

        Args:
            work: where the queries are good.
            changes: makes a query of what has to be written, from a query of the present values. Both have `_key`, the
                fields of `groupBy`, `Timestamp`, `Value`, `CalculationTime` and `_deleted`, each key once. It is called
                again when the table was changed otherwise meanwhile.
            since: number of the last calculation, from before the rows were read: a later one may have read newer rows.

        Raises:
            UnavailableError: another calculation has ended meanwhile (`CalculatedMeanwhile`), or storage does not
                answer.
            CommitConflictError: too many writers at once.
            ConflictError: the table keeps a field of `groupBy` with another type.
        """
        return until_won(lambda: self._write(work, changes, since))

    def _write(self, work: Workspace, changes: Callable[[str], str], before: int) -> Calculated:
        snapshot = ensure_table(self._lake, self.table, self._schema)
        if (snapshot.transaction(APP_REFRESH) or 0) != before:
            message = "another calculation of the KPI has ended since this one read its rows; it is calculated anew"
            raise UnavailableError("CalculatedMeanwhile", message)
        present = LastValues(self._lake, work, snapshot, self._columns).last()
        changed = changes(f"SELECT * EXCLUDE ({_REFRESH}) FROM ({present}) WHERE NOT {_DELETED}")
        names = quoted_list(name for name in self._schema.names if name != REFRESH)
        with SortedFileWriter(self._lake, work, snapshot, self._columns, Layout()) as writer:
            writer.write(f"SELECT {names}, {before + 1}::BIGINT AS {_REFRESH} FROM ({changed}) ORDER BY {_KEY}")
            written = writer.close()
        if not written:
            return Calculated(before, snapshot.version)
        commit(self._lake, snapshot, added(written, snapshot), {APP_REFRESH: before + 1})
        rows = sum(file.part.rows for file in written)
        logger.info("calculation %s of %s: %s values changed", before + 1, self.table, rows)
        return Calculated(before + 1, version_of(self._lake, snapshot, APP_REFRESH, before + 1), rows)

    def changed_rows(self, from_number: int, to: Calculated) -> int:
        """How many values the calculations in (from_number, to.number] wrote; it reads the log alone."""
        files = self._snapshot(to.table_version).files
        return sum(file.rows for file in files if file.refreshes and from_number < file.refreshes[1] <= to.number)

    @contextmanager
    def slot_rows(self, from_number: int, to_number: int, table_version: int, *, is_first: bool) -> Iterator[Slot]:
        """Values that the calculations in (from_number, to_number] changed, as the last of them left them.

        The columns are `_key`, the fields of `groupBy`, `Timestamp`, `Value` and `CalculationTime`. A value that is no
        more is among them, with null as its `Value`; with `is_first` only those that are, as of `to_number`.
        """
        snapshot = self._snapshot(table_version)
        wanted = f"NOT {_DELETED}" if is_first else f"{_REFRESH} > {int(from_number)}"
        with workspace(self._lake.settings) as work:
            values = LastValues(self._lake, work, snapshot, self._columns)
            yield Slot(
                work.connection,
                work.folder,
                lambda bounds: (
                    f"""
                    SELECT * EXCLUDE ({_DELETED}, {_REFRESH}) FROM ({values.last(bounds)})
                    WHERE {wanted} AND {_REFRESH} <= {int(to_number)} ORDER BY {_KEY}
                    """
                ),
                export_ranges(work.connection, self._lake.settings, values.files, values.sizes),
            )

    @property
    def _columns(self) -> list["pa.Field"]:
        return list(self._schema)

    def _snapshot(self, version: int) -> Snapshot:
        snapshot = open_snapshot(self._lake, self.table, version)
        if snapshot is None:
            raise FatalError("TableMissing", f"{self.table} in the container lake is gone; restore it", self.table)
        return snapshot


class LastValues:
    """The last row of each key, with `columns`; the files are linked into the workspace, once."""

    def __init__(self, lake: Lake, work: Workspace, snapshot: Snapshot, columns: Sequence["pa.Field"]) -> None:
        self.files = link_files(lake, work, snapshot.table, snapshot.files)
        self._rows = rows_of(self.files, columns)
        self._columns = columns

    @property
    def keys(self) -> str:
        """A query for the keys, some of them more than once."""
        return f"SELECT {_KEY} FROM {self._rows}"

    @property
    def sizes(self) -> str:
        """A query for the `size` of each row by its `_key`."""
        return f"SELECT {_KEY}, {row_bytes(self._columns)} AS size FROM {self._rows}"

    def last(self, bounds: Bounds = ALL_KEYS) -> str:
        """A query for the last row of each key in `bounds`; deleted ones are marked."""
        names = quoted_list(column.name for column in self._columns)
        return f"""
            SELECT {names} FROM {self._rows} WHERE {between(*bounds)}
            QUALIFY row_number() OVER (PARTITION BY {_KEY} ORDER BY {_REFRESH} DESC) = 1
            """
