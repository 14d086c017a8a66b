"""The rejects of a run that are still open: reading their file, and writing what a correction leaves of it."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from io import BufferedReader, RawIOBase, TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.app import Services
from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.reject import Reject
from shared.ingest.reject_file import HEADER
from shared.ledger.stored_run import StoredRun
from shared.storage.blob.blobs import BlobEntry

# Raw text and names of columns may be longer than the module takes by default; the file is ours.
csv.field_size_limit(2**31 - 1)

type Lines = npt.NDArray[np.int64]


def size_of_rejects(services: Services, stored: StoredRun) -> int:
    """Bytes of the file of a run's open rejects; 0 where there is none."""
    found = _find(services, stored)
    return found.size if found else 0


def fetch_rejects(services: Services, stored: StoredRun, folder: Path) -> Path:
    """Downloads the file of a run's open rejects; ConflictError where there is none."""
    local = folder / "open-rejects.csv"
    with local.open("wb") as file:
        file.writelines(_downloaded(services, _require(services, stored)))
    return local


def lines_in(rejects: Iterable[str]) -> Lines:
    """The physical lines of the rejected rows, in the order of the file, which is opened with `newline=""`."""
    rows = csv.reader(rejects)
    next(rows, None)
    return np.fromiter((int(row[0]) for row in rows), np.int64)


def lines_in_pieces(rejects: Iterable[bytes]) -> Lines:
    """The same of a file that comes in pieces of any size."""
    with TextIOWrapper(BufferedReader(_Pieces(rejects)), "utf-8", newline="") as texts:
        return lines_in(texts)


def open_lines(services: Services, stored: StoredRun, most_bytes: int) -> Lines | None:
    """The same of a run's open rejects, of which nothing is kept; None where their file is larger.

    Raises:
        ConflictError: there is none.
    """
    found = _require(services, stored)
    return lines_in_pieces(_downloaded(services, found)) if found.size <= most_bytes else None


class _Pieces(RawIOBase):
    """Pieces of bytes as a file: its lines are cut where that costs little, for a cell may be thousands of lines."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _find(services: Services, stored: StoredRun) -> BlobEntry | None:
    try:
        return services.run_files.properties(stored.rejects) if stored.rejects else None
    except NotFoundError:
        return None


def _require(services: Services, stored: StoredRun) -> BlobEntry:
    found = _find(services, stored)
    if found is None:
        message = "the file of the run's rejects is gone, so nobody knows which rows are open"
        raise ConflictError("RejectsMissing", message)
    return found


def _downloaded(services: Services, rejects: BlobEntry) -> Iterator[bytes]:
    return services.run_files.download(rejects.path, rejects.etag)


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
