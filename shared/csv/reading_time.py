"""How long a file may be read, what of that was its own work and what was waiting, and what is too much of it."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from shared.domain.errors import DataError, UnavailableError

SAMPLE_SECONDS = 30.0
"""How long a preview or a suggestion may take: somebody waits for it, and lines that are no rows have no end."""
# Of the time that a file takes where nothing holds it up, three quarters or more are the work of the threads that are
# looked at here: the rest is that of the engine's own threads.
_OWN_SHARE = 0.6


class Advice(NamedTuple):
    """What to do where time is up: about a file that takes too long itself, and about one that was held up."""

    too_slow: str
    held_up: str


_OF_RUN = Advice(
    "Split it and upload the parts, or raise MAX_READ_MINUTES, which stays below the function's timeout.",
    "The run is tried again by itself; should that not help, {owner}, or upload the file in parts",
)
OF_SAMPLE = Advice(
    "Ask for fewer rows, or for those of a smaller file.",
    "Ask again later; should that not help, {owner}, or ask for a smaller file",
)


class ReadingTime:
    """The time for one pass over a file, or for several together; it runs from the start.

    A file is not to blame for what it waits for: its source, the lake that takes its rows, a processor that others
    use. So when time is up, the work of the threads that were at it decides: the one that has made this, and all that
    took items of `working`.

    Args:
        max_seconds: without limit where it is None.
        advice: what the errors say.
    """

    def __init__(self, max_seconds: float | None, advice: Advice = _OF_RUN) -> None:
        self._max_seconds = max_seconds
        self._advice = advice
        self._began = time.monotonic()
        self._waited = 0.0
        self._worked = 0.0
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._meter()

    def working[Item](self, items: Iterable[Item]) -> Iterator[Item]:
        """The items of a step; whatever the thread that takes them works from now on is work at the file."""
        self._meter()
        for item in items:
            self._meter()
            yield item
            del item  # it may be large, and the next one takes a while

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
        """Checks whether there is time left.

        Args:
            reached: up to what the file was read.

        Raises:
            DataError: `TooSlow`, the work at the file took too long. UnavailableError: it was held up most of the time,
                `SourceTooSlow` by its source, `ReadingHeldUp` by others.
        """
        seconds = self._max_seconds
        self._meter()
        passed = time.monotonic() - self._began
        if seconds is None or passed < seconds:
            return
        worked = f"the work at it took {self._worked:.1f} of them"
        if self._worked >= _OWN_SHARE * seconds:
            message = f"The file was not read within {seconds:g} seconds, but up to {reached}; {worked}. "
            raise DataError("TooSlow", message + self._advice.too_slow)
        message = f"within {seconds:g} seconds the file was read up to {reached}, and {worked}; "
        if 2 * self._waited >= passed - self._worked:
            message += (
                f"{self._waited:.1f} went by in waiting for its storage account, which is slow or throttled. "
                + self._advice.held_up.format(owner="look at the account's latency")
            )
            raise UnavailableError("SourceTooSlow", message)
        message += "most others went by in waiting for the lake's storage or for a processor. "
        owner = "see whether the app's storage is throttled and how many files come at once"
        raise UnavailableError("ReadingHeldUp", message + self._advice.held_up.format(owner=owner))

    def _meter(self) -> None:
        """Adds what this thread has worked since it was last here."""
        now = time.thread_time()
        with self._lock:
            self._worked += now - getattr(self._thread, "seen", now)
        self._thread.seen = now


def too_large(most: int) -> DataError:
    """The error of a file that is larger than `most` bytes."""
    return DataError(
        "TooLarge",
        f"The file is larger than the {most} bytes that are allowed. Split it, or raise MAX_BLOB_BYTES.",
    )
