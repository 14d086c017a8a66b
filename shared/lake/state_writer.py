"""Writing files of `states`: sorted by key, one row group at a time, sent off while the next file is made."""

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
class StateFile:
    """A file that lies in the table's folder and belongs to nothing yet.

    Attributes:
        path: below the table.
        low, high: bounds of its keys; None where they are not known.
        refreshes: lowest and highest `refresh` in it.
        processed: latest `System_ProcessingTime` in it.
    """

    path: str
    kind: str
    size: int
    rows: int
    low: str | None
    high: str | None
    refreshes: tuple[int, int]
    processed: datetime


class StateWriter(AbstractContextManager["StateWriter"]):
    """Writes the files of one commit, in the order of their keys."""

    def __init__(self, lake: Lake, work: Workspace, table: str, kind: str) -> None:
        """`kind` is the value of the partition column."""
        self._lake = lake
        self._work = work
        self._table = table
        self._kind = kind
        self._run = uuid.uuid4().hex
        self._sender = ThreadPoolExecutor(1)
        self._sent: list[Future[StateFile]] = []

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
        file = _state_file(f"{KIND}={self._kind}/{name}", self._kind, found)
        self._sent.append(self._sender.submit(self._send, local, file))

    def close(self) -> list[StateFile]:
        """The files, all of them sent."""
        return [sent.result() for sent in self._sent]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sender.shutdown(cancel_futures=True)

    def _send(self, local: Path, file: StateFile) -> StateFile:
        self._lake.upload(f"{self._table}/{file.path}", local)
        local.unlink()
        return file


def _state_file(path: str, kind: str, stats: Sequence[Any]) -> StateFile:
    columns = {name.strip('"'): column for name, column in stats[4].items()}
    refresh = columns[REFRESH]
    return StateFile(
        path=path,
        kind=kind,
        size=stats[2],
        rows=stats[1],
        low=columns[KEY].get("min"),
        high=columns[KEY].get("max"),
        refreshes=(int(refresh["min"]), int(refresh["max"])),
        processed=datetime.fromisoformat(columns[PROCESSING_TIME]["max"]),
    )


def added(files: Sequence[StateFile], snapshot: Snapshot, *, is_change: bool) -> "list[AddAction | RemoveAction]":
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
            partition_values={KIND: file.kind},
            modification_time=first + index,
            data_change=is_change,
            stats=json.dumps(_log_stats(file)),
        )
        for index, file in enumerate(files)
    ]


def _log_stats(file: StateFile) -> dict[str, Any]:
    low = {KEY: file.low, REFRESH: file.refreshes[0]}
    high = {KEY: file.high, REFRESH: file.refreshes[1], PROCESSING_TIME: file.processed.isoformat()}
    return {
        "numRecords": file.rows,
        "minValues": {name: value for name, value in low.items() if value is not None},
        "maxValues": {name: value for name, value in high.items() if value is not None},
    }
