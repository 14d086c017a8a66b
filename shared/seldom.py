"""What is worth doing once in a while only, however often there is a reason for it."""

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic


class Seldom:
    """Tells for each key when to do what there is a reason for; one object for all threads of a process.

    After each reason it is done once: now, or in a while together with what reasons come until then. It is done the
    more seldom the longer there are reasons for it.

    Args:
        least_s: seconds between the first two times; twice as many between the next.
        most_s: seconds between two times, at most; after so many without a reason it begins anew.
        most: keys that are remembered, the newest ones.
    """

    def __init__(self, least_s: float, most_s: float, most: int) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._most = most
        self._lock = threading.Lock()
        self._times: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # the last one, and seconds to the next

    def due_in(self, key: Hashable) -> float | None:
        """In how many seconds to do it; None where whoever was told so before will do it after this moment."""
        now = monotonic()
        with self._lock:
            last, step = self._times.get(key, (-math.inf, 0.0))
            if last > now:
                return None
            is_new = now - last >= self._most_s
            due = now if is_new else max(now, last + step)
            self._times[key] = (due, self._least_s if is_new else min(2 * step, self._most_s))
            self._times.move_to_end(key)
            if len(self._times) > self._most:
                self._times.popitem(last=False)
            return due - now

    def forget(self, key: Hashable) -> None:
        """Takes back that somebody was told to do it, who cannot."""
        with self._lock:
            self._times.pop(key, None)
