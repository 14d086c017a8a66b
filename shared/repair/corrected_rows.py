"""Reading a corrected CSV: its rows, and which of the run's rejects each of them replaces.

The column `line` of the rejects names the reject, where a row carries it; else rows stand for the open rejects in their
order. A correction must be readable as a whole: of a row that cannot be read nobody knows which reject it replaces.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, islice

import numpy as np
import pyarrow as pa

from shared.casts.match_columns import columns_digest, match_columns
from shared.connectors.azure_blob.reader import limits_of
from shared.csv.read_csv import WINDOW_BYTES, CsvReader, read_csv
from shared.csv.rows import Rows
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run
from shared.domain.errors import DataError, Fault, InvalidRequestError, OutdatedMappingError
from shared.domain.reject import Reject
from shared.ingest.stage import COLUMN_COUNT, COLUMNS_DIGEST, HAS_LINE_COLUMN, LINE_COLUMN
from shared.repair.open_rejects import Lines
from shared.settings import Settings

_MOST_FAULTS = 100
_FEW_ROWS = 1000
_LAST_LINE = 2**40


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected CSV, read.

    Attributes:
        header: names of its columns without `line`.
        batches: its rows, without the column `line`; their lines are those of the correction.
        named: the cells of the column `line`; None where it has none.
    """

    header: list[str]
    batches: list[Rows]
    named: list[str | None] | None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(len(batch.lines) for batch in self.batches)

    def relined(self, lines: Lines) -> Rows:
        """All rows with the lines of the rejects that they replace, ascending."""
        rows = replace(Rows.joined(self.batches), lines=lines)
        return rows if np.all(lines[:-1] < lines[1:]) else rows.take(np.argsort(lines, kind="stable"))


def read_corrected(
    content: bytes,
    run: Run,
    mapping: Mapping,
    entity_type: EntityType,
    encoding: str | None,
    settings: Settings,
) -> Corrected:
    """Reads a corrected CSV as the mapping says.

    Args:
        content: the CSV.
        encoding: that was declared for it; without it the mapping's counts.

    Raises:
        InvalidRequestError: the header or rows cannot be read, or columns are missing or others.
        DataError: `MappingOutdated`.
    """
    properties = mapping.mapping_properties
    # Lines that a file has before its table or beside it are none of a correction's: each of its rows counts.
    dialect = replace(properties.format.dialect(has_header=properties.has_header), skip_rows=0, comment="")
    if encoding is not None:
        dialect = replace(dialect, encoding=encoding)
    # In pieces: of what is in sight the rest is copied again and again.
    pieces = (content[at : at + WINDOW_BYTES] for at in range(0, len(content), WINDOW_BYTES))
    reader = read_csv(pieces, dialect, limits_of(settings))
    try:
        header = reader.read_header()
        if header is None:
            raise DataError("EmptyCorrection", "the body holds no row, not even a header; send the corrected rows")
        at = _line_column(header, mapping, run) if properties.has_header else None
        names = header if at is None else [*header[:at], *header[at + 1 :]]
        match_columns(names, mapping, entity_type)
        if not entity_type.key_fields:
            _check_whole_rows(names, run)
        batches, refused = _all_rows(reader, run, settings.max_rejects_per_run)
    except OutdatedMappingError:
        raise
    except DataError as error:
        raise InvalidRequestError([Fault(error.code, "body", error.message)]) from error
    _refuse((Fault(reject.code, f"line {reject.line}", reject.message) for reject in refused), reader.rejected)
    if not sum(len(batch.lines) for batch in batches):
        raise InvalidRequestError([Fault("EmptyCorrection", "body", "the body holds no row; send the corrected rows")])
    if at is None:
        return Corrected(names, batches, None)
    named = [cell for batch in batches for cell in batch.cells.column(at).to_pylist()]
    return Corrected(names, [_without(batch, at) for batch in batches], named)


def replaced_lines(corrected: Corrected, opened: Lines) -> Lines:
    """The line of the reject that each row replaces.

    Args:
        corrected: the rows.
        opened: lines of the rejects that are open.

    Raises:
        InvalidRequestError: naming every row that replaces none, or the same as another.
    """
    if corrected.named is None:
        if corrected.rows > len(opened):
            message = (
                f"there are {corrected.rows} rows, but only {len(opened)} rejects are open; without a column "
                f"{LINE_COLUMN!r} rows stand for the open rejects in their order"
            )
            raise InvalidRequestError([Fault("TooManyRows", "body", message)])
        return opened[: corrected.rows]
    lines = [_line(cell) for cell in corrected.named]
    known = set(opened[np.isin(opened, np.array([line for line in lines if line is not None], np.int64))].tolist())
    times = Counter(lines)
    at = np.concatenate([batch.lines for batch in corrected.batches]).tolist()
    wrong = [line is None or line not in known or times[line] > 1 for line in lines]

    def faults() -> Iterator[Fault]:
        for line, where in compress(zip(lines, at, strict=True), wrong):
            if line is None:
                message = f"the column {LINE_COLUMN!r} must hold the line of the reject, as the run's rejects give it"
                yield Fault("NotALine", f"line {where}", message)
            elif line not in known:
                message = f"the run has no open reject of line {line}; see its rejects for the lines"
                yield Fault("UnknownLine", f"line {where}", message)
            else:
                yield Fault("RepeatedLine", f"line {where}", f"line {line} is corrected more than once")

    _refuse(faults(), sum(wrong))
    return np.array(lines, np.int64)


def _all_rows(reader: CsvReader, run: Run, most_of_any: int) -> tuple[list[Rows], list[Reject]]:
    """The batches, or the first rejects where there are some.

    Raises:
        DataError: `TooManyRows`, there are far more than the run has rejects, or more than any run has.
    """
    # Of a few too many it is told which; more are not read.
    most = min(max(run.rows_rejected, _FEW_ROWS), most_of_any)
    batches: list[Rows] = []
    refused: list[Reject] = []
    for batch in reader:
        if reader.rows + reader.rejected > most:
            message = (
                f"the body holds more than {most} rows, and of the run {run.rows_rejected} rejects are open; send one "
                "row for each reject at most"
            )
            raise DataError("TooManyRows", message)
        if not reader.rejected:
            batches.append(batch)
            continue
        batches.clear()
        refused += batch.rejects[: _MOST_FAULTS - len(refused)]
    return batches, refused


def _refuse(faults: Iterable[Fault], count: int) -> None:
    """Refuses the correction for `count` faults, of which the first are told."""
    told = list(islice(faults, _MOST_FAULTS))
    if not told:
        return
    message = f"{count} rows of the correction cannot be taken, so nothing was; the first: " if count > 1 else ""
    raise InvalidRequestError(told, f"{message}{told[0].target}: {told[0].message}")


def _line_column(header: Sequence[str], mapping: Mapping, run: Run) -> int | None:
    """Position of the column that names rejects; a column `line` of the file itself is none.

    Raises:
        DataError: `DuplicateColumn`, two columns would name them.
    """
    mapped = {column.column_name for column in mapping.mapping_properties.structure}
    if LINE_COLUMN in mapped or run.details.get(HAS_LINE_COLUMN) or LINE_COLUMN not in header:
        return None
    if header.count(LINE_COLUMN) > 1:
        message = f"there is more than one column {LINE_COLUMN!r}, and it says which reject a row replaces; keep one"
        raise DataError("DuplicateColumn", message)
    return header.index(LINE_COLUMN)


def _check_whole_rows(header: list[str], run: Run) -> None:
    """Ids that are derived from the whole row need all of it, and nothing else."""
    if run.details.get(COLUMNS_DIGEST) != columns_digest(header):
        theirs = run.details.get(COLUMN_COUNT)
        differ = f"it has {len(header)} columns, the file has {theirs}"
        if theirs == len(header):
            differ = "names or order differ"
        raise DataError(
            "OtherColumns",
            "the ids of this type are derived from whole rows, and the columns of the correction are not those of the "
            f"file: {differ}; send every column of the file and no other, in its order",
        )


def _without(batch: Rows, at: int) -> Rows:
    cells = batch.cells
    kept = [position for position in range(cells.num_columns) if position != at]
    names = [cells.column_names[position] for position in kept]
    return replace(batch, cells=pa.table([cells.column(position) for position in kept], names=names))


def _line(cell: str | None) -> int | None:
    text = (cell or "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > len(str(_LAST_LINE)):
        return None
    return int(text)
