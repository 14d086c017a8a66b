"""What one process keeps per table that it commits to: the commit queue, and what it knows of the table."""

from functools import lru_cache, partial

from shared.batching import BatchQueue, BatchQueues
from shared.lake.changes.arrival import Arrival
from shared.lake.container.store import Lake
from shared.lake.log.known_table import KnownTable

_COMMITTED_TOGETHER = 64
_KNOWN_TABLES = 16  # each keeps the names of its files


class CommitDesk:
    """The commit queues and known tables of a process; one object, shared by all threads."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.known_table = lru_cache(_KNOWN_TABLES)(partial(KnownTable, lake))
        self._queues: BatchQueues[Arrival] = BatchQueues(most=_COMMITTED_TOGETHER)

    def queue(self, table: str) -> BatchQueue[Arrival]:
        """The commit queue of a table."""
        return self._queues.queue(table)
