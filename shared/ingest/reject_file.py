"""The rejects of a run: counted against what the mapping accepts, and kept as CSV."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from shared.domain.errors import DataError
from shared.domain.mappings import ErrorManagement, ErrorManagementType
from shared.domain.reject import Reject

HEADER = ("line", "column", "code", "message", "raw")


class RejectFile:
    """Writes rejects to a local file, in the order of the source file's lines as far as they arrive so.

    Attributes:
        count: rejects written so far.
    """

    def __init__(self, path: Path, rule: ErrorManagement) -> None:
        self.path = path
        self.count = 0
        self._rule = rule
        self._accepted = rule.accepted_rejects
        self._file = path.open("w", encoding="utf-8", newline="", errors="backslashreplace")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(HEADER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rejects: Iterable[Reject]) -> None:
        """Writes rejects down.

        Raises:
            DataError: `ImportStopped` or `TooManyRejects`, as soon as there are more than the mapping accepts.
        """
        for reject in sorted(rejects, key=lambda reject: reject.line):
            self._writer.writerow((reject.line, reject.column or "", reject.code, reject.message, reject.raw))
            self.count += 1
            if self._accepted is not None and self.count > self._accepted:
                raise self._refusal(reject)

    def close(self) -> None:
        """Completes the file."""
        self._file.close()

    def _refusal(self, reject: Reject) -> DataError:
        where = f"line {reject.line}, {reject.code}"
        if self._rule.error_management_type is ErrorManagementType.STOP_IMPORT:
            return DataError(
                "ImportStopped",
                f"a row was refused ({where}) and the mapping says StopImport, so nothing of the file was ingested; "
                "correct the row and upload the file again",
            )
        return DataError(
            "TooManyRejects",
            f"more than {self._accepted} rows were refused (the last: {where}), so nothing of the file was ingested; "
            "see the run's rejects, correct the file and upload it again",
        )
