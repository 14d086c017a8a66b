"""Staging: the rows of one blob version are read, typed and brought to the lake as files that no table names yet.

Reading, typing and writing run side by side, a few batches ahead of each other, so memory holds those only. A part
leaves the local disk as soon as it is full: an instance has less disk than a blob may have rows.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.casts.match_columns import columns_digest
from shared.connectors.azure_blob.reader import limits_of, read_rows
from shared.csv.reading_time import ReadingTime
from shared.deadline import pool_of_threads
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import AccountingError, SkippedError
from shared.failpoints import FailPoint, failpoint
from shared.ingest.ahead import ahead
from shared.ingest.reject_file import RejectFile
from shared.ingest.source import Source
from shared.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.csv.read_csv import CsvReader
    from shared.csv.rejects import Rejects
    from shared.csv.rows import Rows
    from shared.ingest.lines_apart import LinesApart
    from shared.lake.changes.append import Changes
    from shared.lake.log.part import Part, UploadedPart

# What a correction of the run needs to know of its file.
LINE_COLUMN = "line"
HAS_LINE_COLUMN, COLUMN_COUNT, COLUMNS_DIGEST = "hasLineColumn", "columnCount", "columnsDigest"


@dataclass(frozen=True, slots=True)
class Staged:
    """What staging made.

    Attributes:
        uploaded: files in the table's folder, invisible until they are committed.
        rows: rows in them.
        details: facts for the run's record: columns that were ignored, and what a correction needs to know of the file.
    """

    uploaded: "list[UploadedPart]"
    rows: int
    details: dict[str, Any]


def stage_rows(
    source: Source,
    mapping: Mapping,
    entity_type: EntityType,
    changes: "Changes",
    rejects: RejectFile,
    folder: Path,
    *,
    run_id: str,
    order: int,
    now: datetime,
    settings: Settings,
) -> Staged:
    """Stages every good row of the blob version, and writes the others to `rejects`.

    Args:
        folder: local folder for parts that are being written.
        order: where the blob version stands among all.

    Raises:
        DataError: the file is refused as a whole, or has more rejects than the mapping accepts.
        SkippedError: `EmptyBlob`. SupersededError: it was overwritten while it was read.
        UnavailableError: `SourceTooSlow`, `ReadingHeldUp`.
    """
    from shared.casts.type_rows import RowTyper
    from shared.ingest.lines_apart import LinesApart
    from shared.lake.files.parts import PartWriter
    from shared.lake.schema import changes_schema

    time = ReadingTime(limits_of(settings).max_seconds)
    reader = open_rows(source, mapping, settings, time=time)
    header = header_of(reader)
    writer = PartWriter(changes_schema(entity_type), folder)
    with (
        _outgoing(changes, run_id, holds_back=not entity_type.key_fields) as outgoing,
        RowTyper(entity_type, mapping, header, source.place, run_id, order, now, settings) as typer,
    ):
        apart = LinesApart(reader, typer)
        with typed_rows(iter(reader), apart, time) as typed:
            for table, refused in time.working(typed):
                rejects.add(refused)
                writer.write(table)
                outgoing.take(writer.parts)
                failpoint(FailPoint.BATCH_STAGED)
        ignored = typer.ignored_columns
        uploaded = outgoing.finish(writer.close(), settings)
    failpoint(FailPoint.PARTS_UPLOADED)
    rows = sum(sent.part.rows for sent in uploaded)
    _check_counts(reader.rows + reader.rejected + apart.more, rows, rejects.count)
    details: dict[str, Any] = {"ignoredColumns": ignored} if ignored else {}
    if rejects.count and LINE_COLUMN in header:
        details[HAS_LINE_COLUMN] = True
    if rejects.count and not entity_type.key_fields:
        details |= {COLUMN_COUNT: len(header), COLUMNS_DIGEST: columns_digest(header)}
    return Staged(uploaded, rows, details)


class _Outgoing:
    """Sends closed parts off while the next is written.

    Those of derived keys wait, since equal rows of the whole file are numbered last.
    """

    def __init__(self, changes: "Changes", run_id: str, sender: ThreadPoolExecutor, *, holds_back: bool) -> None:
        self._changes = changes
        self._run_id = run_id
        self._sender = sender
        self._holds_back = holds_back
        self._sent: list[Future[UploadedPart]] = []

    def take(self, parts: "list[Part]") -> None:
        if not self._holds_back:
            self._send(parts)

    def finish(self, parts: "list[Part]", settings: Settings) -> "list[UploadedPart]":
        if self._holds_back and parts:
            from shared.lake.changes.number_repeats import number_repeats

            parts = number_repeats(settings, parts)
        self._send(parts)
        return [sent.result() for sent in self._sent]

    def _send(self, parts: "list[Part]") -> None:
        for part in parts[len(self._sent) :]:
            if self._sent:
                self._sent[-1].result()  # one is on its way, one is written: no more lie on the disk
            self._sent.append(self._sender.submit(self._upload, part))

    def _upload(self, part: "Part") -> "UploadedPart":
        (uploaded,) = self._changes.upload([part], self._run_id)
        part.path.unlink()
        return uploaded


@contextmanager
def _outgoing(changes: "Changes", run_id: str, *, holds_back: bool) -> Iterator[_Outgoing]:
    """Leaving it waits for the part that is on its way."""
    with pool_of_threads(1, "ingest-upload") as sender:
        yield _Outgoing(changes, run_id, sender, holds_back=holds_back)


def open_rows(
    source: Source,
    mapping: Mapping,
    settings: Settings,
    *,
    time: ReadingTime | None = None,
    most_bytes: int | None = None,
) -> "CsvReader":
    """The CSV reader over the source's bytes, as the mapping's format says; a run's time is that of the settings.

    Args:
        most_bytes: of text, after which no further row is read; None for all of the file.

    Raises:
        DataError: `TooLarge`, by the size of the blob alone.
    """
    source.check_size(settings.max_blob_bytes)
    return read_rows(source.chunks(), mapping, settings, gzipped=source.is_gzip, time=time, most_bytes=most_bytes)


def header_of(reader: "CsvReader") -> list[str]:
    """Names of the columns.

    Raises:
        DataError: they cannot be read. SkippedError: `EmptyBlob`.
    """
    header = reader.read_header()
    if header is None:
        raise SkippedError("EmptyBlob", "the blob holds no row, not even a header; nothing was ingested")
    return header


@contextmanager
def typed_rows(
    batches: "Iterator[Rows]", apart: "LinesApart", time: ReadingTime | None = None
) -> "Iterator[Iterator[tuple[pa.Table, Rejects]]]":
    """Reads and types side by side; gives the typed rows of each batch, and the rows refused in it.

    Args:
        time: that of the file, to which the work of both steps is counted.
    """
    time = time or ReadingTime(None)
    with ahead(time.working(batches)) as read, ahead(time.working(map(apart.type, read))) as typed:
        yield typed


def _check_counts(read: int, staged: int, refused: int) -> None:
    if read != staged + refused:
        raise AccountingError("RowCount", f"{read} rows were read, {staged} staged and {refused} refused")
