"""Writing files of `states` and of KPI values: sorted by key, and sent off while the next one is made."""

import json
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from shared.lake.engine import Workspace
from shared.lake.schema import KEY, KIND, PROCESSING_TIME, REFRESH
from shared.lake.sql import literal
from shared.lake.store import Lake
from shared.lake.tables import Snapshot

if TYPE_CHECKING:
    from deltalake.transaction import AddAction, RemoveAction

ROW_GROUP_ROWS = 2048  # the engine's smallest: whoever looks a key up reads whole row groups


@dataclass(frozen=True, slots=True)
class SortedFile:
    """A file that lies in the table's folder and belongs to nothing yet.

    Attributes:
        path: below the table.
        low, high: bounds of its keys; None where they are not known.
        refreshes: lowest and highest `refresh` in it.
        processed: latest `System_ProcessingTime` in it, of states.
    """

    path: str
    kind: str | None
    size: int
    rows: int
    low: str | None
    high: str | None
    refreshes: tuple[int, int]
    processed: datetime | None


class SortedFileWriter(AbstractContextManager["SortedFileWriter"]):
    """Writes the files of one commit, in the order of their keys."""

    def __init__(self, lake: Lake, work: Workspace, table: str, kind: str | None = None) -> None:
        """`kind` is the value of the partition column, where the table has it."""
        self._lake = lake
        self._work = work
        self._table = table
        self._kind = kind
        self._run = uuid.uuid4().hex
        self._sender = ThreadPoolExecutor(1)
        self._sent: list[Future[SortedFile]] = []

    def write(self, rows: str) -> None:
        """Writes the rows of a query, which must come sorted by key; no rows, no file."""
        name = f"{self._run}-{len(self._sent):05d}.parquet"
        local = self._work.folder / name
        found = self._work.connection.execute(
            f"""
            COPY ({rows}) TO {literal(str(local))}
            (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, RETURN_STATS)
            """
        ).fetchone()
        if found is None or found[1] == 0:
            return
        path = f"{KIND}={self._kind}/{name}" if self._kind else name
        file = _sorted_file(path, self._kind, found)
        self._sent.append(self._sender.submit(self._send, local, file))

    def close(self) -> list[SortedFile]:
        """The files, all of them sent."""
        return [sent.result() for sent in self._sent]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sender.shutdown(cancel_futures=True)

    def _send(self, local: Path, file: SortedFile) -> SortedFile:
        self._lake.upload(f"{self._table}/{file.path}", local)
        local.unlink()
        return file


def _sorted_file(path: str, kind: str | None, stats: Sequence[Any]) -> SortedFile:
    columns = {name.strip('"'): column for name, column in stats[4].items()}
    refresh = columns[REFRESH]
    return SortedFile(
        path=path,
        kind=kind,
        size=stats[2],
        rows=stats[1],
        low=columns[KEY].get("min"),
        high=columns[KEY].get("max"),
        refreshes=(int(refresh["min"]), int(refresh["max"])),
        processed=datetime.fromisoformat(columns[PROCESSING_TIME]["max"]) if PROCESSING_TIME in columns else None,
    )


def added(files: Sequence[SortedFile], snapshot: Snapshot, *, is_change: bool) -> "list[AddAction | RemoveAction]":
    """The files as actions of the log, in their order and later than every file that the snapshot has.

    Args:
        files: the files of one commit.
        snapshot: of the table that they are added to.
        is_change: whether they bring rows, or only hold rows of others anew.
    """
    from deltalake.transaction import AddAction

    newest = max((file.order for file in snapshot.files), default=0)
    first = max(time.time_ns() // 1_000_000, newest + 1)
    return [
        AddAction(
            path=file.path,
            size=file.size,
            partition_values={KIND: file.kind} if file.kind else {},
            modification_time=first + index,
            data_change=is_change,
            stats=json.dumps(_log_stats(file)),
        )
        for index, file in enumerate(files)
    ]


def _log_stats(file: SortedFile) -> dict[str, Any]:
    low: dict[str, Any] = {REFRESH: file.refreshes[0]}
    high: dict[str, Any] = {REFRESH: file.refreshes[1]}
    if file.low is not None and file.high is not None:
        low[KEY], high[KEY] = file.low, file.high
    if file.processed is not None:
        high[PROCESSING_TIME] = file.processed.isoformat()
    return {"numRecords": file.rows, "minValues": low, "maxValues": high}
