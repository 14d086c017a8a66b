"""What is worth doing once in a while only, however often there is a reason for it."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic


class Seldom:
    """Tells for each key whether it is due again; one object for all threads of a process.

    Args:
        every_s: seconds between two times.
        most: keys that are remembered, the newest ones.
    """

    def __init__(self, every_s: float, most: int) -> None:
        self._every_s = every_s
        self._most = most
        self._lock = threading.Lock()
        self._times: OrderedDict[Hashable, float] = OrderedDict()

    def is_due(self, key: Hashable) -> bool:
        """Whether it is; whoever is told so is expected to do it now."""
        now = monotonic()
        with self._lock:
            last = self._times.get(key)
            if last is not None and now - last < self._every_s:
                return False
            self._times[key] = now
            self._times.move_to_end(key)
            if len(self._times) > self._most:
                self._times.popitem(last=False)
            return True
