"""The rejects of a run that are still open: reading their file, and writing what a correction leaves of it."""

import csv
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.app import Services
from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.reject import Reject
from shared.ingest.reject_file import HEADER
from shared.ledger.stored_run import StoredRun

# Raw text and names of columns may be longer than the module takes by default; the file is ours.
csv.field_size_limit(2**31 - 1)

type Lines = npt.NDArray[np.int64]


def fetch_rejects(services: Services, stored: StoredRun, folder: Path) -> Path:
    """Downloads the file of a run's open rejects.

    Raises:
        ConflictError: there is none.
    """
    local, path = folder / "open-rejects.csv", stored.rejects
    try:
        etag = services.run_files.properties(path).etag if path else None
    except NotFoundError:
        etag = None
    if path is None or etag is None:
        message = "the file of the run's rejects is gone, so nobody knows which rows are open"
        raise ConflictError("RejectsMissing", message)
    with local.open("wb") as file:
        for chunk in services.run_files.download(path, etag):
            file.write(chunk)
    return local


def open_lines(rejects: Path) -> Lines:
    """The physical lines of the rejected rows, in the order of the file."""
    with rejects.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows, None)
        return np.fromiter((int(row[0]) for row in rows), np.int64)


def write_what_is_left(rejects: Path, left: Path, corrected: AbstractSet[int], refused: Sequence[Reject]) -> int:
    """Writes the rejects without those that were corrected; a row that is refused again stands in its old place.

    Args:
        rejects: as they were.
        left: is written.
        corrected: lines of the rejects for which there is a corrected row.
        refused: corrected rows that are refused again, with the lines of their rejects.

    Returns:
        How many rejects are left.
    """
    again: Mapping[int, Reject] = {reject.line: reject for reject in refused}
    count = 0
    with (
        rejects.open(encoding="utf-8", newline="") as before,
        left.open("w", encoding="utf-8", newline="", errors="backslashreplace") as after,
    ):
        rows, writer = csv.reader(before), csv.writer(after, lineterminator="\n")
        next(rows, None)
        writer.writerow(HEADER)
        for row in rows:
            line = int(row[0])
            if (reject := again.get(line)) is not None:
                writer.writerow((reject.line, reject.column or "", reject.code, reject.message, reject.raw))
            elif line not in corrected:
                writer.writerow(row)
            else:
                continue
            count += 1
    return count
