"""Merging small files of `changes` and of KPI values into larger ones; every row stays what it is."""

import json
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shared.lake.engine import Workspace, workspace
from shared.lake.faults import translated
from shared.lake.linked import FILE_ORDER, link_files
from shared.lake.parts import PART_BYTES
from shared.lake.retry import until_won
from shared.lake.schema import KEY, ORDER, REFRESH
from shared.lake.sql import literal, quoted, quoted_list, rows_of
from shared.lake.store import Lake
from shared.lake.tables import DataFile, Snapshot, open_snapshot

if TYPE_CHECKING:
    from deltalake.transaction import AddAction, RemoveAction

logger = logging.getLogger(__name__)

_APP = "compact"
_SMALL_BYTES = PART_BYTES // 2
_ENOUGH_FILES = 8  # fewer small files are not worth writing their rows once more
_ROW_GROUP_ROWS = 20_480


def compact(lake: Lake, table: str, is_settled: Callable[[DataFile], bool]) -> int:
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
        groups = [] if snapshot is None else _groups([file for file in snapshot.files if is_settled(file)])
        if snapshot is None or not groups:
            return 0
        actions: list[AddAction | RemoveAction] = []
        for group in groups:
            with workspace(lake.settings) as work:
                actions.append(_merge(lake, work, snapshot, group))
            actions += [removal(file) for file in group]
        _commit(snapshot, actions)
        merged = sum(len(group) for group in groups)
        logger.info("%s files of %s merged into %s", merged, table, len(groups))
        return merged

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


def _merge(lake: Lake, work: Workspace, snapshot: Snapshot, group: Sequence[DataFile]) -> "AddAction":
    from deltalake.transaction import AddAction

    columns = list(snapshot.columns.values())
    rows = rows_of(link_files(lake, work, snapshot.table, group), columns)
    names = quoted_list(column.name for column in columns)
    if ORDER.casefold() in snapshot.columns:
        names = f"* EXCLUDE (filename) REPLACE (coalesce({quoted(ORDER)}, {FILE_ORDER}) AS {quoted(ORDER)})"
    name = f"merged-{uuid.uuid4().hex}.parquet"
    local = work.folder / name
    found = work.connection.execute(
        f"""
        COPY (SELECT {names} FROM {rows} ORDER BY {quoted(KEY)}) TO {literal(str(local))}
        (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP_ROWS})
        """
    ).fetchone()
    lake.upload(f"{snapshot.table}/{name}", local)
    return AddAction(
        path=name,
        size=local.stat().st_size,
        partition_values={},
        modification_time=max(file.order for file in group),
        data_change=False,
        stats=json.dumps(_stats(group, found[0] if found else 0)),
    )


def _stats(group: Sequence[DataFile], rows: int) -> dict[str, object]:
    low: dict[str, object] = {}
    high: dict[str, object] = {}
    if all(file.low is not None and file.high is not None for file in group):
        low[KEY] = min(file.low for file in group if file.low is not None)
        high[KEY] = max(file.high for file in group if file.high is not None)
    if all(file.refreshes for file in group):
        low[REFRESH] = min(file.refreshes[0] for file in group if file.refreshes)
        high[REFRESH] = max(file.refreshes[1] for file in group if file.refreshes)
    return {"numRecords": rows, "minValues": low, "maxValues": high}


def removal(file: DataFile) -> "RemoveAction":
    """The action that takes a file off the table without taking rows: others have them."""
    from deltalake.transaction import RemoveAction

    values: dict[str, str | None] = {} if file.kind is None else {"kind": file.kind}
    return RemoveAction(file.path, False, time.time_ns() // 1_000_000, file.size, values)


def _commit(snapshot: Snapshot, actions: "list[AddAction | RemoveAction]") -> None:
    from deltalake.transaction import CommitProperties, Transaction

    # The library lets two writers take the same file off; the transaction does not.
    number = (snapshot.transaction(_APP) or 0) + 1
    with translated(snapshot.table):
        snapshot.handle.create_write_transaction(
            actions,
            mode="append",
            schema=snapshot.handle.schema(),
            commit_properties=CommitProperties(app_transactions=[Transaction(_APP, number)]),
        )
