"""Merging small files of `changes` and of KPI values into larger ones; every row stays what it is."""

import logging
from collections.abc import Callable, Sequence

from shared.engine.sql import quoted
from shared.engine.workspace import Workspace, workspace
from shared.lake.container.store import Lake
from shared.lake.files.linked import change_rows, link_files
from shared.lake.files.parts import PART_BYTES, Layout
from shared.lake.files.ranges import ranges
from shared.lake.files.row_sizes import row_bytes
from shared.lake.files.rows_sql import between, rows_of
from shared.lake.files.sorted_files import SortedFileWriter
from shared.lake.files.widest import may_be_wide
from shared.lake.log.actions import added, commit, removed
from shared.lake.log.part import UploadedPart
from shared.lake.log.retry import until_won
from shared.lake.log.tables import DataFile, Snapshot, open_snapshot
from shared.lake.schema import KEY, ORDER

logger = logging.getLogger(__name__)

_APP = "compact"
_SMALL_BYTES = PART_BYTES // 2
_ENOUGH_FILES = 8  # fewer small files are not worth writing their rows once more
_LAYOUT = Layout(part_bytes=2 * PART_BYTES, group_rows=20_480)


def compact(lake: Lake, table: str, is_current: Callable[[DataFile], bool]) -> int:
    """Merges the small files of a table, in one commit that brings and takes no row.

    Args:
        lake: the container.
        table: path of a table of changes or of KPI values.
        is_settled: whether a file may be merged.

    Returns:
        How many files went.

    Raises:
        CommitConflictError: others merge the same table. UnavailableError: storage does not answer.
    """

    def attempt() -> int:
        snapshot = open_snapshot(lake, table)
        groups = [] if snapshot is None else _groups([file for file in snapshot.files if is_current(file)])
        if snapshot is None or not groups:
            return 0
        gone = [file for group in groups for file in group]
        written: list[UploadedPart] = []
        for group in groups:
            with workspace(lake.settings) as work:
                written += _merge(lake, work, snapshot, group)
        # The library lets two writers take the same file off; the transaction does not.
        number = (snapshot.transaction(_APP) or 0) + 1
        commit(lake, snapshot, [*added(written, snapshot, is_change=False), *removed(gone)], {_APP: number})
        logger.info("%s files of %s merged into %s", len(gone), table, len(written))
        return len(gone)

    return until_won(attempt)


def _groups(files: Sequence[DataFile]) -> list[list[DataFile]]:
    """Small files in their order, each group of about the size of a part."""
    groups: list[list[DataFile]] = []
    size = PART_BYTES
    for file in files:
        if file.size >= _SMALL_BYTES:
            continue
        if size + file.size > PART_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return [group for group in groups if len(group) >= _ENOUGH_FILES]


def _merge(lake: Lake, work: Workspace, snapshot: Snapshot, group: Sequence[DataFile]) -> list[UploadedPart]:
    columns = list(snapshot.columns.values())
    local = link_files(lake, work, snapshot.table, group)
    has_order = any(column.name == ORDER for column in columns)
    rows = change_rows(local, columns) if has_order else rows_of(local, columns)
    keys = f"SELECT {quoted(KEY)} FROM {rows}"
    with SortedFileWriter(lake, work, snapshot, columns, _LAYOUT) as writer:
        sizes = f"SELECT {quoted(KEY)}, {row_bytes(columns)} AS size FROM {rows}" if may_be_wide(local) else None
        for bounds in ranges(work.connection, lake.settings, keys, local, sizes=sizes):
            writer.write(f"SELECT * FROM {rows} WHERE {between(*bounds)} ORDER BY {quoted(KEY)}")
        return writer.close()
