"""How far the structural scan and the careful reader go at a time, before the other one may take over.

Rows that the scan cannot prove come in company. So after each of them the careful reader reads a stretch: short at
first, longer as long as the scan does not get far in between. And what lies behind the next such row is scanned twice,
so the scan starts again with a small window.
"""

LONG_STRETCH = 1 << 12
_SHORT_STRETCH = 2
_SMALL_WINDOW = 1 << 14
# The careful reader reads so many rows in the time of one small window.
_WORTH_SCANNING = 16


class Pace:
    """The pace of one reader.

    Attributes:
        window: bytes that the scan gets next.
        careful_rows: rows that the careful reader is still to read before the scan goes on.
    """

    def __init__(self, window: int) -> None:
        """
        Args:
            window: bytes of a whole window.
        """
        self.window = self._whole = window
        self.careful_rows = 0
        self._stretch = _SHORT_STRETCH
        self._scanned = 0

    def widen(self) -> None:
        """Doubles the window, which held not one whole row."""
        self.window *= 2

    def scanned(self, good: int) -> None:
        """Counts good rows of a window that the scan read to its end."""
        self._scanned += good
        self.window = min(2 * self.window, self._whole)

    def stopped(self, good: int) -> None:
        """Hands over to the careful reader, after so many good rows of a window, at one that the scan cannot prove."""
        few = self._scanned + good < _WORTH_SCANNING
        self._stretch = min(2 * self._stretch, LONG_STRETCH) if few else _SHORT_STRETCH
        self.careful_rows = self._stretch
        self._scanned = 0
        self.window = min(_SMALL_WINDOW, self._whole)

    def read_carefully(self) -> bool:
        """Counts a row of the careful reader; returns whether the scan may go on."""
        self.careful_rows = max(0, self.careful_rows - 1)
        return not self.careful_rows
