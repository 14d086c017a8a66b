"""How long work rests for a service that asked to be left alone: its record keeps count, or its message."""

import math
import random

LONGEST_REST_S = 86_400
"""That a service is busy for longer is nothing that passes."""


def rest_for(asked_s: float, rested_s: int) -> int | None:
    """Seconds to rest now; None where it rests no more, having done so for a day and more in all.

    Args:
        asked_s: seconds for which a service asked to be left alone; a day at most is rested.
        rested_s: seconds that the work has rested before.
    """
    if rested_s >= LONGEST_REST_S:
        return None
    # Never early, and many that wait for one service do not come back all at once.
    later = math.ceil(asked_s * random.uniform(1.0, 1.1))  # noqa: S311 - jitter is no secret
    return min(later, LONGEST_REST_S)
