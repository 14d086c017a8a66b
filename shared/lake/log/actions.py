"""Actions of a Delta log: files that come to a table, and files that go; and their commit."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.domain.errors import CommitConflictError
from shared.lake.container.faults import translated
from shared.lake.container.store import Lake
from shared.lake.log.part import Part, UploadedPart
from shared.lake.log.tables import DataFile, Snapshot, open_snapshot
from shared.lake.schema import KEY, KIND, PROCESSING_TIME, REFRESH

if TYPE_CHECKING:
    from deltalake.transaction import AddAction, RemoveAction

    type Actions = list[AddAction | RemoveAction]


def added(
    uploaded: Sequence[UploadedPart], snapshot: Snapshot, *, kind: str | None = None, is_change: bool = True
) -> "Actions":
    """Adds parts, in their order and later than every file that the snapshot has.

    Args:
        uploaded: the parts of one commit.
        snapshot: of the table that they come to.
        kind: value of the partition column, where the table has it.
        is_change: whether they bring rows, or only hold rows of others anew.
    """
    from deltalake.transaction import AddAction

    first = max(time.time_ns() // 1_000_000, snapshot.last_order + 1)
    return [
        AddAction(
            path=file.path,
            size=file.part.size,
            partition_values={KIND: kind} if kind else {},
            modification_time=first + index,
            data_change=is_change,
            # deltalake reads an escaped U+10FFFF as U+FFFFF, so nothing is escaped.
            stats=json.dumps(_stats(file.part), ensure_ascii=False),
        )
        for index, file in enumerate(uploaded)
    ]


def removed(files: Sequence[DataFile]) -> "Actions":
    """Takes files off the table without taking rows: others have them."""
    from deltalake.transaction import RemoveAction

    now = time.time_ns() // 1_000_000
    return [RemoveAction(file.path, False, now, file.size, {KIND: file.kind} if file.kind else {}) for file in files]


def commit(
    lake: Lake,
    snapshot: Snapshot,
    actions: "Actions",
    transactions: Mapping[str, int],
    partition_by: Sequence[str] = (),
) -> None:
    """Commits actions with the numbers of application transactions, if there still is the table that they are for.

    Args:
        lake: the container.
        snapshot: that the actions were made from; what others commit after it counts as far as the library looks.
        actions: files that come and go.
        transactions: number by application id.
        partition_by: partition columns of the table.

    Raises:
        CommitConflictError: another writer was first, or the table was deleted; it is to be looked at anew.
    """
    # Into a log that was emptied the library would write an entry that stands alone.
    present = open_snapshot(lake, snapshot.table)
    if present is None or present.id != snapshot.id:
        raise CommitConflictError("TableGone", f"{snapshot.table} was deleted meanwhile", snapshot.table)
    write_entry(snapshot, actions, transactions, partition_by)


def write_entry(
    snapshot: Snapshot,
    actions: "Actions",
    transactions: Mapping[str, int],
    partition_by: Sequence[str] = (),
    *,
    retries: int | None = None,
    is_forgotten: bool = False,
) -> None:
    """Writes the next entry of a table's log, as `commit`, without another look whether the table is there.

    Args:
        snapshot, actions, transactions, partition_by: as those of `commit`.
        retries: how often the library takes the next version where another writer was first; its own number if None.
        is_forgotten: whether the log may forget the transactions once they are older than it keeps them.

    Raises:
        CommitConflictError: another writer was first.
    """
    from deltalake.transaction import CommitProperties, Transaction

    now = time.time_ns() // 1_000_000 if is_forgotten else None
    numbers = [Transaction(app_id, number, now) for app_id, number in transactions.items()]
    properties = CommitProperties(max_commit_retries=retries, app_transactions=numbers)
    with translated(snapshot.table):
        snapshot.handle.create_write_transaction(
            actions,
            mode="append",
            schema=snapshot.handle.schema(),
            partition_by=[*partition_by],
            commit_properties=properties,
        )


def _stats(part: Part) -> dict[str, Any]:
    low: dict[str, Any] = {KEY: part.low}
    high: dict[str, Any] = {KEY: part.high}
    if part.refreshes is not None:
        low[REFRESH], high[REFRESH] = part.refreshes
    if part.processed is not None:
        high[PROCESSING_TIME] = part.processed.isoformat()
    return {"numRecords": part.rows, "minValues": low, "maxValues": high}
