"""What the Event Grid stand-in has noted and what it has delivered, in a small SQLite file."""

import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple


class BlobVersion(NamedTuple):
    """One version of one blob; the ETag without quotes."""

    container: str
    path: str
    etag: str


class EventStore:
    """One row per blob version: its event until it is delivered, and that it was, from then on."""

    def __init__(self, database: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS events"
            " (container TEXT, path TEXT, etag TEXT, sequencer INTEGER, event TEXT,"
            " PRIMARY KEY (container, path, etag)) WITHOUT ROWID"
        )
        (last,) = self._connection.execute("SELECT max(sequencer) FROM events").fetchone()
        self._last: int = last or 0

    def next_sequencer(self) -> int:
        """A number that only grows, over restarts too."""
        with self._lock:
            self._last += 1
            return self._last

    def add(self, version: BlobVersion, sequencer: int, event: str) -> bool:
        """Keep an event until it is delivered; False when the version is known already."""
        row = (*version, sequencer, event)
        with self._lock:
            return self._connection.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)", row).rowcount == 1

    def event(self, version: BlobVersion) -> str | None:
        """The event that waits for delivery, or None."""
        with self._lock:
            row = self._connection.execute(
                "SELECT event FROM events WHERE container = ? AND path = ? AND etag = ?", version
            ).fetchone()
        return row[0] if row else None

    def knows(self, version: BlobVersion) -> bool:
        """Whether the version was noted, delivered or not."""
        with self._lock:
            found = self._connection.execute(
                "SELECT 1 FROM events WHERE container = ? AND path = ? AND etag = ?", version
            ).fetchone()
        return found is not None

    def mark_delivered(self, version: BlobVersion) -> None:
        """Remember a version as announced."""
        with self._lock:
            self._connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, 0, NULL) ON CONFLICT DO UPDATE SET event = NULL", version
            )

    def forget(self, container: str, path: str) -> None:
        """Drop what is known of a deleted blob; an event that still waits is delivered all the same."""
        with self._lock:
            self._connection.execute(
                "DELETE FROM events WHERE container = ? AND path = ? AND event IS NULL", (container, path)
            )

    def undelivered(self) -> list[tuple[int, BlobVersion]]:
        """Sequencer and version of each event that waits, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT sequencer, container, path, etag FROM events WHERE event IS NOT NULL ORDER BY sequencer"
            ).fetchall()
        return [(row[0], BlobVersion(*row[1:])) for row in rows]

    def keep_only(self, present: set[BlobVersion]) -> None:
        """Drop the delivered versions that are no longer there."""
        with self._lock:
            rows = self._connection.execute("SELECT container, path, etag FROM events WHERE event IS NULL").fetchall()
            gone = [row for row in rows if row not in present]
            self._connection.executemany("DELETE FROM events WHERE container = ? AND path = ? AND etag = ?", gone)
