"""Time that passes as fast as somebody sleeps: what a retry policy waits is counted, not waited."""

import time

import pytest

import shared.deadline
import shared.storage.retries


class PassingTime:
    """The clock of deadlines, which a pause of the retry policy moves on at once.

    Attributes:
        pauses: seconds of each, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pauses: list[float] = []
        monkeypatch.setattr(shared.deadline, "monotonic", lambda: time.monotonic() + sum(self.pauses))
        monkeypatch.setattr(shared.storage.retries, "sleep", self.pauses.append)
