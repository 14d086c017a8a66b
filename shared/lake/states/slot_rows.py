"""The rows of an export slot, for the engine to write: the same rows in the same order whenever they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from shared.domain.documents.entity_types import EntityType
from shared.domain.errors import ExpiredError, FatalError
from shared.engine.sql import ALL_KEYS, Bounds, quoted
from shared.engine.workspace import Connection, Workspace, workspace
from shared.lake.container.store import Lake
from shared.lake.files.linked import link_files
from shared.lake.files.ranges import ranges
from shared.lake.files.row_sizes import row_bytes
from shared.lake.files.rows_sql import between, chosen, rows_of
from shared.lake.files.widest import may_be_wide
from shared.lake.log.tables import DataFile, Snapshot, open_snapshot
from shared.lake.paths import states_path
from shared.lake.schema import DELETED, KEY, PROCESSING_TIME, REFRESH
from shared.lake.states.state_rows import APP_EXPIRE, APP_REFRESH, SLOT, StateRows, layers
from shared.settings import Settings

_STAMPS = (KEY, DELETED, PROCESSING_TIME, REFRESH)
_KEY, _DELETED, _REFRESH, _TIME = quoted(KEY), quoted(DELETED), quoted(REFRESH), quoted(PROCESSING_TIME)


@dataclass(frozen=True, slots=True)
class Slot:
    """What a slot has, for as long as its context is open.

    Attributes:
        connection: for one thread; `COPY (SELECT ... FROM (sql)) TO 'folder/data.csv'` keeps the order of the rows.
        folder: the only folder that the connection may write to.
        within: makes a query for `_key`, the fields as the type spells them, and `System_ProcessingTime`, ordered by
            `_key`, of the keys in bounds. Each key stands there once; deleted ones do not.
        ranges: of all keys, one after the other; what is read range by range has room in memory.
    """

    connection: Connection
    folder: Path
    within: Callable[[Bounds], str]
    ranges: Sequence[Bounds]

    @property
    def sql(self) -> str:
        """A query for all rows at once."""
        return self.within(ALL_KEYS)


@contextmanager
def slot_rows(
    lake: Lake,
    profile_type: EntityType,
    from_version: int,
    to_version: int,
    table_version: int,
    *,
    is_first: bool,
) -> Iterator[Slot]:
    """The rows that the refreshes in (from_version, to_version] changed, as the last of them left them.

    Args:
        lake: the container.
        profile_type: the type.
        from_version: number of the last refresh that was exported before.
        to_version: number of the refresh that the slot was planned with.
        table_version: version of `states` that this refresh returned.
        is_first: every instance as of `to_version` instead; `from_version` does not count.

    Raises:
        FatalError: rows of the slot have expired; export the entity from the start. Or the table is damaged.
        UnavailableError: storage does not answer, or no room is left.
    """
    snapshot = _snapshot(lake, profile_type, table_version)
    with workspace(lake.settings) as work:
        if is_first:
            rows = _every_row(lake, work, snapshot, to_version)
        else:
            rows = _changed_rows(lake, work, snapshot, from_version, to_version)
        columns = f"{chosen(profile_type.fields, snapshot.fields)}, {_TIME}"
        yield Slot(
            work.connection,
            work.folder,
            lambda bounds: f"SELECT {_KEY}, {columns} FROM ({rows.within(bounds)})",
            export_ranges(work.connection, lake.settings, rows.files, rows.sizes),
        )


def export_ranges(connection: Connection, settings: Settings, files: Sequence[Path], sizes: str) -> list[Bounds]:
    """Ranges of keys to be exported one after the other: one of all, where no row is large.

    Args:
        connection: of the workspace.
        settings: say how much memory there is.
        files: where the rows are.
        sizes: a query for `_key` and `size` of them.
    """
    if not may_be_wide(files):
        return [ALL_KEYS]
    return ranges(connection, settings, sizes, files, sizes=sizes) or [ALL_KEYS]


def changed_rows(lake: Lake, profile_type: EntityType, from_version: int, to_version: int, table_version: int) -> int:
    """How many rows the refreshes in (from_version, to_version] wrote; a key counts once for each of them.

    It reads the log alone. Deleted rows are among them, so a slot may have fewer, and even none.
    """
    snapshot = _snapshot(lake, profile_type, table_version)
    return sum(file.rows for file in _files_of(snapshot, from_version, to_version))


def _snapshot(lake: Lake, profile_type: EntityType, version: int) -> Snapshot:
    table = states_path(profile_type)
    newest = open_snapshot(lake, table)
    if newest is None:
        raise FatalError("TableMissing", f"{table} in the container lake is gone; restore it from a backup", table)
    if newest.version == version:
        return newest
    try:
        found = open_snapshot(lake, table, version)
    except FatalError:
        found = None
    if found is None:  # the newest version can be read, so the log has forgotten this one
        raise _expired(table, f"version {version}")
    return found


def _expired(table: str, what: str) -> FatalError:
    return ExpiredError("SlotExpired", f"{what} of {table} has expired; export the entity from the start", table)


def _files_of(snapshot: Snapshot, from_version: int, to_version: int) -> list[DataFile]:
    expired = snapshot.transaction(APP_EXPIRE) or 0
    if from_version < min(expired, to_version):
        raise _expired(snapshot.table, f"what refreshes {from_version + 1} to {expired} changed")
    return [
        file
        for file in snapshot.files
        if file.kind == SLOT and file.refreshes and from_version < file.refreshes[1] <= to_version
    ]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows in files; `within` makes a query for those of some keys, in order, `sizes` is one for `_key` and `size`."""

    files: Sequence[Path]
    sizes: str
    within: Callable[[Bounds], str]


def _changed_rows(lake: Lake, work: Workspace, snapshot: Snapshot, from_version: int, to_version: int) -> _Rows:
    files = _files_of(snapshot, from_version, to_version)
    columns = [*(snapshot.columns[name.casefold()] for name in _STAMPS), *snapshot.fields]
    local = link_files(lake, work, snapshot.table, files)
    linked = rows_of(local, columns)
    has_several = len({file.refreshes for file in files}) > 1

    def within(bounds: Bounds) -> str:
        rows = f"SELECT * FROM {linked} WHERE {between(*bounds)}"
        if has_several:
            rows += f" QUALIFY row_number() OVER (PARTITION BY {_KEY} ORDER BY {_REFRESH} DESC) = 1"
            return f"SELECT * FROM ({rows}) WHERE NOT {_DELETED} ORDER BY {_KEY}"
        return _in_order(f"{rows} AND NOT {_DELETED}", files)

    return _Rows(local, f"SELECT {_KEY}, {row_bytes(columns)} AS size FROM {linked}", within)


def _every_row(lake: Lake, work: Workspace, snapshot: Snapshot, to_version: int) -> _Rows:
    if (snapshot.transaction(APP_REFRESH) or 0) != to_version:
        raise FatalError(
            "SlotMismatch",
            f"version {snapshot.version} of {snapshot.table} is not the one that refresh {to_version} made",
            snapshot.table,
        )
    found = layers(snapshot)
    states = StateRows(lake, work, snapshot, snapshot.fields)

    def within(bounds: Bounds) -> str:
        rows = f"SELECT * FROM ({states.last(bounds)}) WHERE NOT {_DELETED}"
        return f"{rows} ORDER BY {_KEY}" if found.above else _in_order(rows, found.bottom)

    return _Rows(states.files, states.sizes, within)


def _in_order(rows: str, files: Sequence[DataFile]) -> str:
    """Rows of files that are each sorted by key; they are sorted again only if the files' bounds overlap."""
    is_sorted = all(left.high and right.low and left.high < right.low for left, right in pairwise(files))
    return rows if is_sorted else f"{rows} ORDER BY {_KEY}"
