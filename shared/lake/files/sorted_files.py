"""Writing sorted rows into a table's folder: a file is sent off while the next one is made."""

import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from shared.deadline import pool_of_threads
from shared.engine.workspace import Workspace
from shared.lake.container.store import Lake
from shared.lake.files.parts import Layout, PartWriter, write_rows
from shared.lake.log.part import Part, UploadedPart
from shared.lake.log.tables import Snapshot
from shared.lake.schema import KIND

if TYPE_CHECKING:
    import pyarrow as pa


class SortedFileWriter(AbstractContextManager["SortedFileWriter"]):
    """Writes the files of one commit, in the order of their keys."""

    def __init__(
        self,
        lake: Lake,
        work: Workspace,
        snapshot: Snapshot,
        columns: Sequence["pa.Field"],
        layout: Layout,
        kind: str | None = None,
    ) -> None:
        """`kind` is the value of the partition column, where the table has it."""
        import pyarrow as pa

        self._lake = lake
        self._connection = work.connection
        self._snapshot = snapshot
        self._below = f"{KIND}={kind}/" if kind else ""
        self._run = uuid.uuid4().hex
        local = work.folder / self._run
        local.mkdir()
        self._writer = PartWriter(pa.schema(list(columns)), local, layout)
        self._sender = pool_of_threads(1)
        self._sent: list[Future[UploadedPart]] = []

    def write(self, rows: str) -> None:
        """Writes the rows of a query, which come sorted by key and after those already written."""
        for finished in write_rows(self._connection, rows, self._writer):
            self._send_finished(finished)

    def close(self) -> list[UploadedPart]:
        """The files, all of them sent; none where there were no rows."""
        self._send_finished(self._writer.close())
        return [sent.result() for sent in self._sent]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sender.shutdown(cancel_futures=True)

    def _send_finished(self, parts: Sequence[Part]) -> None:
        for part in parts[len(self._sent) :]:
            if self._sent:
                self._sent[-1].result()  # one is on its way, one is written: no more lie on the disk
            self._sent.append(self._sender.submit(self._send, part, f"{self._run}-{part.path.name}"))

    def _send(self, part: Part, name: str) -> UploadedPart:
        path = f"{self._below}{name}"
        self._lake.upload(f"{self._snapshot.table}/{path}", part.path)
        part.path.unlink()
        return UploadedPart(path, part, self._snapshot.id)
