"""What was read of a hub's definitions is kept for as long as nobody changes the hub.

Every change of a hub's definitions replaces the row `guard` of its partition. So one request for that row tells whether
all that was read earlier still holds. Blob versions come by the thousand, and definitions change once in a while.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import local
from typing import Any, cast

from shared.storage.tables import ETAG, Table
from shared.together import Line, Waiting

_PARTITIONS = 256
_LOOK_TOGETHER = 64


class _Seen:
    """What was read of a partition since its guard had an ETag; None where it has no guard."""

    def __init__(self, etag: str | None) -> None:
        self.etag = etag
        self.found: dict[str, Any] = {}


@dataclass(slots=True)
class _Look(Waiting[_Seen]):
    partition: str


class Looks:
    """Looks at the partitions of a table; safe for use by many threads.

    Args:
        table: that is looked at.
        guard: key of the row that every change of a partition replaces.
    """

    def __init__(self, table: Table, guard: str) -> None:
        self._table = table
        self._guard = guard
        self._kept: OrderedDict[str, _Seen] = OrderedDict()
        self._line: Line[_Look] = Line(most=_LOOK_TOGETHER)
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

    def seen[T](self, partition: str, key: str, read: Callable[[], T]) -> T:
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
        if key not in seen.found:
            # Read after the guard was, so it is not older than the guard says.
            seen.found[key] = read()
        return cast("T", seen.found[key])

    def _of_thread(self) -> dict[str, _Seen] | None:
        return getattr(self._present, "partitions", None)

    def _look(self, partition: str) -> _Seen:
        look = _Look(partition)
        self._line.settle(look, self._look_for_all)
        return look.outcome()

    def _look_for_all(self, looks: list[_Look]) -> None:
        """One request for each partition: it begins after every one of these looks did."""
        found: dict[str, _Seen] = {}
        for look in looks:
            if look.partition not in found:
                found[look.partition] = self._seen_at(look.partition)
            look.result = found[look.partition]

    def _seen_at(self, partition: str) -> _Seen:
        guard = self._table.get(partition, self._guard)
        if guard is None:
            return _Seen(None)
        kept = self._kept.get(partition)
        if kept is None or kept.etag != guard[ETAG]:
            kept = self._kept[partition] = _Seen(guard[ETAG])
        self._kept.move_to_end(partition)
        if len(self._kept) > _PARTITIONS:
            self._kept.popitem(last=False)
        return kept
