"""The one source of the present time."""

import time
from datetime import UTC, datetime

from shared.settings import Settings

_READS, _PAUSE_S = 20, 0.01


class Clock:
    """Present time in UTC; in Development the clock file decides where it exists and holds an ISO time."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.clock_file if settings.is_development else None

    def now(self) -> datetime:
        """Aware UTC time: what is recorded, and what decides which slot or retention is due."""
        if self._file is not None:
            for _ in range(_READS):
                try:
                    return _read_iso(self._file.read_text(encoding="utf-8"))
                except OSError:
                    break  # no file: the real time counts
                except ValueError:
                    time.sleep(_PAUSE_S)  # it is just being written, or holds no time
        return self.machine_now()

    def machine_now(self) -> datetime:
        """Aware UTC time of the machine: for claims between processes, which must not stand still."""
        return datetime.now(UTC)

    def monotonic_ms(self) -> int:
        """Milliseconds of the monotonic clock, for durations."""
        return time.monotonic_ns() // 1_000_000


def _read_iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def iso(moment: datetime) -> str:
    """A time as answers give it: UTC, microseconds only where there are any, ending in `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
