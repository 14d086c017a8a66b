"""Files through the product: the code that stages a blob in production, from bytes to typed rows and rejects."""

import gzip
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING

from honesty.draft import DirtyFile, line_ends
from honesty.table import Values
from shared.casts.type_rows import RowTyper
from shared.connectors.azure_blob.reader import read_rows
from shared.csv.read_csv import CsvReader
from shared.domain.errors import HubError
from shared.domain.reject import RAW_LIMIT_BYTES, Reject
from shared.ingest.lines_apart import LinesApart
from shared.ingest.stage import header_of, typed_rows
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.csv.rows import Rows

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOST_SECONDS = 20


@dataclass(slots=True)
class Outcome:
    """What became of a file.

    Attributes:
        rows: values of the rows ingested; none where the file was refused, since nothing of it is committed.
        refusal: code of the refusal of the whole file.
        trouble: why the accounts do not close, or how reading broke down; None where all is well.
    """

    rows: list[Values] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    refusal: str | None = None
    trouble: str | None = None
    seconds: float = 0.0


def ingest(file: DirtyFile, settings: Settings, piece_bytes: int = 4 << 20) -> Outcome:
    """Reads and types a file as staging does, in pieces of `piece_bytes`; never raises for what a file holds."""
    began = time.perf_counter()
    outcome = Outcome()
    try:
        with _at_most(MOST_SECONDS):
            _ingest(file, settings, piece_bytes, outcome)
    except HubError as error:
        outcome = Outcome(refusal=error.code)
        if error.code in {"LineCount", "RowCount", "RowFault"}:
            outcome.trouble = f"{error.code}: {error.message}"
    except Exception as error:  # a crash is a finding, not the end of the measurement
        outcome = Outcome(trouble=f"{type(error).__name__}: {error}")
    outcome.seconds = time.perf_counter() - began
    return outcome


def _ingest(file: DirtyFile, settings: Settings, piece_bytes: int, outcome: Outcome) -> None:
    pieces = (file.data[at : at + piece_bytes] for at in range(0, len(file.data), piece_bytes))
    reader = read_rows(pieces, file.mapping, settings, gzipped=file.gzipped)
    header = header_of(reader)
    names = [field.field_name for field in file.entity_type.fields]
    ledger = _Ledger()
    with (
        RowTyper(file.entity_type, file.mapping, header, "file.csv", "run", 0, NOW, settings) as typer,
        typed_rows(ledger.watch(iter(reader)), apart := LinesApart(reader, typer)) as typed,
    ):
        for table, rejects in typed:
            outcome.rows += map(_hashable, zip(*[table.column(name).to_pylist() for name in names], strict=True))
            outcome.rejects += rejects
    outcome.trouble = ledger.trouble(file, reader, header, apart.more, outcome)


def _hashable(row: Values) -> Values:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


class _Ledger:
    """The lines that rows and rejects say they cover, counted apart from the reader."""

    def __init__(self) -> None:
        self._read = 0
        self._lines = 0
        self._is_cut = False

    def watch(self, batches: "Iterator[Rows]") -> "Iterator[Rows]":
        for batch in batches:
            self._read += len(batch.lines) + len(batch.rejects)
            texts = [batch.raw(row) for row in range(len(batch.lines))] + [reject.raw for reject in batch.rejects]
            self._lines += sum(line_ends(text.encode()) + 1 for text in texts)
            # A text that is cut may hide line ends.
            self._is_cut |= any(len(text) * 4 > RAW_LIMIT_BYTES for text in texts)
            yield batch

    def trouble(
        self, file: DirtyFile, reader: CsvReader, header: list[str], apart: int, outcome: Outcome
    ) -> str | None:
        kept, refused = len(outcome.rows), len(outcome.rejects)
        if not self._read == reader.rows + reader.rejected == kept + refused - apart:
            return f"{self._read} rows were read, {kept} ingested and {refused} rejected"
        lines = self._lines + reader.blank_lines + reader.comment_lines + reader.skipped_lines
        if file.mapping.mapping_properties.has_header:
            lines += 1 + sum(line_ends(name.encode()) for name in header)
        there = physical_lines(file, reader.text.encoding)
        if lines != there and not self._is_cut:
            return f"the file has {there} lines, and {lines} are accounted for"
        return None


def physical_lines(file: DirtyFile, encoding: str) -> int:
    """Lines of the file, the last one included if it has no line end."""
    data = gzip.decompress(file.data) if file.gzipped else file.data
    if not encoding.startswith("utf-8"):
        data = data.decode(encoding, "replace").encode()
    data = data.removeprefix("\ufeff".encode())
    return line_ends(data) + (data[-1:] not in {b"", b"\n", b"\r"})


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raises TimeoutError in the main thread when the time is over."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
