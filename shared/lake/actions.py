"""Actions of a Delta log: files that come to a table, and files that go."""

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.lake.parts import Part, UploadedPart
from shared.lake.schema import KEY, KIND, PROCESSING_TIME, REFRESH
from shared.lake.tables import DataFile, Snapshot

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


def _stats(part: Part) -> dict[str, Any]:
    low: dict[str, Any] = {KEY: part.low}
    high: dict[str, Any] = {KEY: part.high}
    if part.refreshes is not None:
        low[REFRESH], high[REFRESH] = part.refreshes
    if part.processed is not None:
        high[PROCESSING_TIME] = part.processed.isoformat()
    return {"numRecords": part.rows, "minValues": low, "maxValues": high}
