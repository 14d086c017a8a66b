"""Where a blob version stands among the versions of all blobs."""

import threading
from datetime import datetime

# In a signed integer of 64 bits: 32 for the second, 26 for the sequencer, and room behind each for what has none.
_SEQUENCER_BITS = 26
_ROOM_BITS = 5


class ArrivalOrder:
    """Gives each blob version its place: by the second of its commit in storage, then by its sequencer.

    Storage tells the second alone, and of sequencers only the lowest digits differ within one. A version without a
    sequencer, found by listing, stands behind those of its second that this process has placed before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._highest = 0

    def position(self, last_modified: datetime, sequencer: str | None) -> int:
        """The place of a version; of two, the later has the higher."""
        second = int(last_modified.timestamp()) << (_SEQUENCER_BITS + _ROOM_BITS)
        number = _number(sequencer)
        with self._lock:
            if number is not None:
                order = second | ((number & ((1 << _SEQUENCER_BITS) - 1)) << _ROOM_BITS)
            elif second <= self._highest < second + (1 << (_SEQUENCER_BITS + _ROOM_BITS)):
                order = self._highest + 1
            else:
                order = second
            self._highest = max(self._highest, order)
            return order


def _number(sequencer: str | None) -> int | None:
    try:
        return int(sequencer, 16) if sequencer else None
    except ValueError:
        return None
