"""How long a file may be read, how much of that went by in waiting for its source, and what is too much of it."""

import time
from collections.abc import Iterable, Iterator

from shared.domain.errors import DataError, UnavailableError

SAMPLE_SECONDS = 30.0
"""How long a preview or a suggestion may take: somebody waits for it, and lines that are no rows have no end."""


class ReadingTime:
    """The time for one pass over a file, or for several together; it runs from the start.

    Args:
        max_seconds: without limit where it is None.
    """

    def __init__(self, max_seconds: float | None) -> None:
        self._max_seconds = max_seconds
        self._began = time.monotonic()
        self._waited = 0.0

    def waiting(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The bytes of a source; the time until each comes is the source's."""
        each = iter(chunks)
        while True:
            asked = time.monotonic()
            try:
                chunk = next(each, None)
            finally:
                self._waited += time.monotonic() - asked
            if chunk is None:
                return
            yield chunk
            del chunk  # megabytes, for as long as the next one is waited for

    def check(self, reached: str) -> None:
        """Looks whether there is time left.

        Args:
            reached: up to what the file was read.

        Raises:
            DataError: `TooSlow`. UnavailableError: `SourceTooSlow`, the file itself had time left.
        """
        seconds = self._max_seconds
        if seconds is None or self._passed < seconds:
            return
        if self._passed - self._waited >= seconds:
            raise DataError(
                "TooSlow",
                f"The file was not read within {seconds:g} seconds, but up to {reached}. Split it. "
                "A run has MAX_READ_MINUTES, below the function's timeout; a preview or a suggestion has less, and may "
                "be asked for fewer rows.",
            )
        message = (
            f"within {seconds:g} seconds the file was read up to {reached}; {self._waited:.0f} of them went by in "
            "waiting for its storage account, which is slow or throttled. A run tries it again by itself; should that "
            "not help, look at the account's latency, or upload the file in parts"
        )
        raise UnavailableError("SourceTooSlow", message)

    @property
    def _passed(self) -> float:
        return time.monotonic() - self._began


def too_large(most: int) -> DataError:
    """The error of a file that is larger than `most` bytes."""
    return DataError(
        "TooLarge",
        f"The file is larger than the {most} bytes that are allowed. Split it, or raise MAX_BLOB_BYTES.",
    )
