"""Doing a commit again when another writer was first."""

import random
import time
from collections.abc import Callable

from shared.domain.errors import CommitConflictError
from shared.telemetry.metrics import count_commit_retry

_ATTEMPTS = 30
_FIRST_WAIT_S = 0.02
_LONGEST_WAIT_S = 1.0


def until_won[Result](attempt: Callable[[], Result]) -> Result:
    """Calls `attempt`, which must look at the table anew each time, until it loses no race.

    Raises:
        CommitConflictError: it lost thirty of them.
    """
    wait = _FIRST_WAIT_S
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt()
        except CommitConflictError:
            count_commit_retry()
            time.sleep(random.uniform(0, wait))  # noqa: S311 - it spreads writers, it hides nothing
            wait = min(wait * 2, _LONGEST_WAIT_S)
    return attempt()
