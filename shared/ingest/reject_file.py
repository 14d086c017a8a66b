"""The rejects of a run: counted against what the mapping accepts, and kept as CSV."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from shared.domain.documents.mappings import ErrorManagement, ErrorManagementType
from shared.domain.errors import DataError
from shared.domain.reject import Reject

HEADER = ("line", "column", "code", "message", "raw")
# So many rejects are turned into text at once: a text is built in several steps, and each holds it once more.
_AT_ONCE = 1 << 14


class RejectFile:
    """Writes rejects to a local file, in the order of the source file's lines as far as they arrive so.

    Args:
        path: of the file, which is made.
        rule: of the mapping.
        most: rejects that no mapping may exceed; None where any number is taken.

    Attributes:
        count: rejects written so far.
    """

    def __init__(self, path: Path, rule: ErrorManagement, most: int | None = None) -> None:
        self.path = path
        self.count = 0
        self._rule = rule
        self._most = most
        self._accepted = min((limit for limit in (rule.accepted_rejects, most) if limit is not None), default=None)
        self._file = path.open("wb")
        self._file.write(f"{','.join(HEADER)}\n".encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rejects: "Iterable[Reject]") -> None:
        """Writes rejects down.

        Raises:
            DataError: `ImportStopped` or `TooManyRejects`, as soon as there are more than the mapping or a run accepts.
        """
        from shared.csv.rejects import Rejects
        from shared.ingest.reject_text import reject_text

        found = (rejects if isinstance(rejects, Rejects) else Rejects.of(rejects)).by_line()
        accepted = len(found) if self._accepted is None else self._accepted - self.count
        # The one that is too many is kept as well.
        kept = found[: accepted + 1]
        for at in range(0, len(kept), _AT_ONCE):
            self._file.write(reject_text(kept[at : at + _AT_ONCE]))
        self.count += len(kept)
        if len(kept) > accepted:
            raise self._refusal(kept[accepted])

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
        if self._accepted != self._rule.accepted_rejects:
            return DataError(
                "TooManyRejects",
                f"more than {self._most} rows were refused (the last: {where}), and no run takes more "
                "(MAX_REJECTS_PER_RUN), so nothing of the file was ingested; see in the run's rejects whether format "
                "and columns are those of the file, correct it or split it, and upload it again",
            )
        return DataError(
            "TooManyRejects",
            f"more than {self._accepted} rows were refused (the last: {where}), so nothing of the file was ingested; "
            "see the run's rejects, correct the file and upload it again",
        )
