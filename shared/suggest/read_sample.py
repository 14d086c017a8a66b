"""A sample of a file: its first rows by the reader that ingestion has, with whatever it refuses."""

from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shared.connectors.azure_blob.reader import limits_of
from shared.csv.read_csv import read_csv
from shared.csv.reading_time import ReadingTime
from shared.domain.documents.csv_format import MappingFormat
from shared.domain.errors import DataError, SkippedError
from shared.domain.reject import Reject
from shared.ingest.source import Source
from shared.settings import Settings

SAMPLE_BYTES = 16 << 20
"""How much text of a file is looked at, whatever it holds: at most that much and one row."""
_BATCH_ROWS = 1 << 12
_BATCH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file.

    Attributes:
        header: names of the columns as in the file; they may be empty or stand twice.
        cells: the good rows, columns `c0`, `c1`, ... of strings; an empty cell is null.
        rejects: the rows that were refused.
        is_whole: whether the file has no further row.
    """

    header: list[str]
    cells: pa.Table
    rejects: list[Reject]
    is_whole: bool

    @property
    def rows(self) -> int:
        """Good rows."""
        return int(self.cells.num_rows)


def take_sample(
    source: Source, form: MappingFormat, settings: Settings, time: ReadingTime, *, has_header: bool, rows: int
) -> Sample:
    """Reads the first `rows` rows, good and refused ones together, or less where these are large.

    Raises:
        SkippedError: `EmptyBlob`. DataError: `NoReadableRow`, or the file is refused as a whole.
        UnavailableError: `SourceTooSlow`, `ReadingHeldUp`.
    """
    with closing(source.chunks()) as chunks:
        reader = read_csv(
            chunks,
            form.dialect(has_header=has_header),
            limits_of(settings),
            gzipped=source.is_gzip,
            time=time,
            most_bytes=SAMPLE_BYTES,
            batch_rows=min(rows, _BATCH_ROWS),
            batch_bytes=_BATCH_BYTES,
        )
        header = reader.read_header()
        if header is None:
            if reader.is_cut:
                message = f"the first {SAMPLE_BYTES >> 20} MB of the file hold no row; correct the file or the format"
                raise DataError("NoReadableRow", message)
            raise SkippedError("EmptyBlob", "the blob holds no row, not even a header; there is nothing to go by")
        if not header:
            message = "no row of the blob can be read, so its columns are not known; correct the file or the format"
            raise DataError("NoReadableRow", message)
        names = [f"c{number}" for number in range(len(header))]
        tables = [pa.table([pa.array([], pa.string())] * len(names), names=names)]
        rejects: list[Reject] = []
        left, is_whole = rows, True
        for batch in reader:
            lines = np.sort(np.concatenate((batch.lines, batch.rejects.lines)))
            last = lines[min(left, lines.size) - 1] if lines.size else 0
            good = int((batch.lines <= last).sum())
            refused = batch.rejects.take(np.flatnonzero(batch.rejects.lines <= last))
            tables.append(batch.cells.slice(0, good).rename_columns(names))
            rejects += refused
            left -= good + len(refused)
            if lines.size > good + len(refused):
                is_whole = False
                break
            if left <= 0:
                is_whole = next(iter(reader), None) is None
                break
        is_whole = is_whole and not reader.is_cut
    return Sample(header, pa.concat_tables(tables), sorted(rejects, key=lambda reject: reject.line), is_whole)
