"""What was read of a hub's definitions is kept for as long as nobody changes the hub.

Every change of a hub's definitions replaces the row `guard` of its partition. So one request for that row tells whether
all that was read earlier still holds. Blob versions come by the thousand, and definitions change once in a while.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import local
from typing import Any, cast

from shared.storage.tables import ETAG, Table
from shared.together import Lines, Waiting

# What was read of a partition since its guard had an ETag, by key.
type _Seen = dict[Hashable, Any]

_PARTITIONS = 256
_LOOK_TOGETHER = 64


class Looks:
    """Looks at the partitions of a table; safe for use by many threads.

    Args:
        table: that is looked at.
        guard: key of the row that every change of a partition replaces.
    """

    def __init__(self, table: Table, guard: str) -> None:
        self._table = table
        self._guard = guard
        # By partition and ETag of its guard; what an earlier ETag stood for falls out in time.
        self._kept: Callable[[str, str], _Seen] = lru_cache(_PARTITIONS)(lambda _partition, _etag: {})
        self._lines: Lines[Waiting[_Seen]] = Lines(most=_LOOK_TOGETHER)
        self._present = local()

    @property
    def is_open(self) -> bool:
        """Whether this thread is in the middle of a look."""
        return self._of_thread() is not None

    @contextmanager
    def one(self) -> Iterator[None]:
        """One look of this thread; a look within it is part of it."""
        if self._of_thread() is not None:
            yield
            return
        self._present.partitions = {}
        try:
            yield
        finally:
            self._present.partitions = None

    def seen[T](self, partition: str, key: Hashable, read: Callable[[], T]) -> T:
        """What `read` gives, now or as it was found since the partition's last change; outside of a look, now.

        Args:
            partition: that is read.
            key: tells what is read from everything else of the partition.
            read: reads it; what it gives is shared by threads and must not be changed.
        """
        partitions = self._of_thread()
        if partitions is None:
            return read()
        seen = partitions.get(partition)
        if seen is None:
            seen = partitions[partition] = self._look(partition)
        if key not in seen:
            # Read after the guard was, so it is not older than the guard says.
            seen[key] = read()
        return cast("T", seen[key])

    def _of_thread(self) -> dict[str, _Seen] | None:
        return getattr(self._present, "partitions", None)

    def _look(self, partition: str) -> _Seen:
        look: Waiting[_Seen] = Waiting()
        self._lines.line(partition).settle(look, lambda looks: self._look_for_all(partition, looks))
        return look.outcome()

    def _look_for_all(self, partition: str, looks: list[Waiting[_Seen]]) -> None:
        """One request, which begins after every one of these looks did."""
        guard = self._table.get(partition, self._guard)
        seen = {} if guard is None else self._kept(partition, guard[ETAG])
        for look in looks:
            look.result = seen
