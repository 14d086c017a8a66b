"""What this process knows of a table that it brings blob after blob to."""

import time
from typing import TYPE_CHECKING, NamedTuple

from shared.domain.errors import HubError
from shared.lake.container.faults import translated
from shared.lake.container.store import Lake
from shared.lake.log.tables import Snapshot, ensure_table, open_snapshot

if TYPE_CHECKING:
    import pyarrow as pa

# Whoever opens a table gives it access for an hour or more.
_KEPT_S = 600


class KnownTable:
    """A table that is there with the columns of a schema, as far as this process knows.

    To open a table costs more the longer its log is, and whoever brings a small file needs little of it. What was once
    seen stays true while it is the same table: columns are only ever added, and its log only grows. It is the same
    table while an entry of its log that was seen is the same blob.
    """

    def __init__(self, lake: Lake, table: str) -> None:
        self._lake = lake
        self._table = table
        self._seen: _Seen | None = None
        self._kept: Snapshot | None = None
        self._opened_at = 0.0

    def ensure(self, schema: "pa.Schema") -> str:
        """The id of the table; it is created or given columns where it has to be.

        Raises:
            ConflictError, FatalError, UnavailableError: as `ensure_table`.
        """
        seen = self._seen
        if seen is not None and seen.schema == schema and self._is_still(seen):
            return seen.id
        found = ensure_table(self._lake, self._table, schema, keeps_ids=False)
        entry = f"{self._table}/_delta_log/{found.version:020}.json"
        etag = self._etag(entry)
        # Opened again, since another table may have come to the place between the two looks.
        again = open_snapshot(self._lake, self._table)
        is_same = etag is not None and again is not None and again.id == found.id
        self._seen = _Seen(schema, entry, etag, found.id) if is_same else None
        return found.id

    def newest(self) -> Snapshot | None:
        """The table at its newest version, or None; for one thread at a time.

        Raises:
            UnavailableError: storage does not answer.
        """
        kept, self._kept = self._kept, None
        seen = self._seen
        is_fresh = time.monotonic() - self._opened_at < _KEPT_S
        if kept is not None and seen is not None and kept.id == seen.id and is_fresh and self._is_still(seen):
            try:
                return kept.read_on()
            except HubError:
                pass  # it is opened anew
        self._opened_at = time.monotonic()
        return open_snapshot(self._lake, self._table)

    def keep(self, snapshot: Snapshot) -> None:
        """Has the next `newest` read on from a snapshot that it gave, and that nothing went wrong with."""
        self._kept = snapshot

    def _is_still(self, seen: "_Seen") -> bool:
        return self._etag(seen.entry) == seen.etag

    def _etag(self, path: str) -> str | None:
        import obstore

        with translated(self._table):
            try:
                return obstore.head(self._lake.store, path)["e_tag"]
            except FileNotFoundError:
                return None


class _Seen(NamedTuple):
    schema: "pa.Schema"
    entry: str
    etag: str | None
    id: str
