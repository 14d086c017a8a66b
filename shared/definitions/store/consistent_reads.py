"""Consistent reads of a hub's definitions: what was read is kept for as long as nobody changes the hub.

Every change of a hub's definitions replaces the row `guard` of its partition, so one request for that row tells whether
what was read earlier still holds. Blob versions come by the thousand, while definitions change once in a while. If
somebody changes theirs all the time, events of other hubs must not wait until all of it is read again each time: a list
is brought up to date from what was known of it.
"""

import threading
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.batching import BatchQueues, Waiting
from shared.deadline import pool_of_threads
from shared.storage.tables import ETAG, Table

_BATCH = 64
_PARALLEL_READS = 8
# Eight hubs with as much as a hub may have, all of it such as is kept; thousands of ordinary ones.
_KEPT_BYTES = 128 * 2**20
# A hub of which nothing is known yet.
_LEAST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Found[T]:
    """What was read, and about how much memory it takes."""

    value: T
    memory: int = 0


@dataclass(slots=True, eq=False)
class _Seen:
    """What was read of a partition since its guard had this ETag.

    Attributes:
        found: by key; written under the lock of the reads.
        lists: keys of what can be read on from, once the partition was changed.
        earlier: lists as they were before that.
        memory: that all of it takes.
        reads: of what several threads want at once, one reads it for all.
    """

    etag: str
    found: dict[Hashable, Found[Any]] = field(default_factory=dict)
    lists: set[Hashable] = field(default_factory=set)
    earlier: dict[Hashable, Found[Any]] = field(default_factory=dict)
    memory: int = _LEAST_BYTES
    reads: BatchQueues[Waiting[Found[Any]]] = field(default_factory=lambda: BatchQueues(most=_BATCH))


class ConsistentReads:
    """Consistent reads of the partitions of a table; safe for use by many threads.

    Only the latest state of each partition is kept, and of all of them as much as there is room for. The largest goes
    first, since that way whoever has the most costs the others the least.

    Args:
        table: that is read.
        guard: key of the row that every change of a partition replaces.
        most: bytes that are kept.
    """

    def __init__(self, table: Table, guard: str, most: int = _KEPT_BYTES) -> None:
        self._table = table
        self._guard = guard
        self._most = most
        self._kept: dict[str, _Seen] = {}
        self._memory = 0
        self._keeping = threading.Lock()
        self._queues: BatchQueues[Waiting[_Seen]] = BatchQueues(most=_BATCH)
        self._present = threading.local()

    @property
    def memory(self) -> int:
        """About how many bytes are kept."""
        return self._memory

    @property
    def is_open(self) -> bool:
        """Whether this thread is in the middle of a consistent read."""
        return self._of_thread() is not None

    @contextmanager
    def one(self) -> Iterator[None]:
        """Begins a consistent read of this thread; one within it is part of it."""
        if self._of_thread() is not None:
            yield
            return
        self._present.partitions = {}
        try:
            yield
        finally:
            self._present.partitions = None

    def ahead(self, partitions: Collection[str]) -> None:
        """Asks at once for partitions that this thread's consistent read is about to see; outside of one, for none."""
        partitions_seen = self._of_thread()
        if partitions_seen is None:
            return
        wanted = [partition for partition in partitions if partition not in partitions_seen]
        if len(wanted) > 1:
            with pool_of_threads(min(len(wanted), _PARALLEL_READS), "reads") as pool:
                partitions_seen.update(zip(wanted, pool.map(self._read_guard, wanted), strict=True))

    def seen[T](self, partition: str, key: Hashable, read: Callable[[], Found[T]]) -> T:
        """Returns what `read` finds now, or found since the partition's last change; outside of a consistent read, now.

        Args:
            partition: that is read.
            key: tells what is read from everything else of the partition.
            read: reads it; what it gives is shared by threads and must not be changed.
        """
        seen = self._seen(partition)
        return self._found(partition, seen, key, read) if seen else read().value

    def read_on[T](self, partition: str, key: Hashable, read: Callable[[T | None], Found[T]]) -> T:
        """As `seen`, where `read` is given what it gave before the change, if that is known."""
        seen = self._seen(partition)
        if seen is None:
            return read(None).value
        earlier = seen.earlier.get(key)
        return self._found(partition, seen, key, lambda: read(earlier.value if earlier else None), is_list=True)

    def _of_thread(self) -> dict[str, _Seen] | None:
        return getattr(self._present, "partitions", None)

    def _seen(self, partition: str) -> _Seen | None:
        """What this thread's consistent read has of a partition; None outside of one."""
        partitions = self._of_thread()
        if partitions is None:
            return None
        seen = partitions.get(partition)
        if seen is None:
            seen = partitions[partition] = self._read_guard(partition)
        return seen

    def _found[T](
        self, partition: str, seen: _Seen, key: Hashable, read: Callable[[], Found[T]], *, is_list: bool = False
    ) -> T:
        known: Found[T] | None = seen.found.get(key)
        if known is not None:
            return known.value

        def read_for_all(wanted: list[Waiting[Found[T]]]) -> None:
            found = seen.found.get(key)
            if found is None:
                # Read after the guard was, so it is not older than the guard says.
                found = read()
                self._keep(partition, seen, key, found, is_list=is_list)
            for one in wanted:
                one.result = found

        want: Waiting[Found[T]] = Waiting()
        seen.reads.queue(key).submit(want, read_for_all)
        return want.outcome().value

    def _read_guard(self, partition: str) -> _Seen:
        read: Waiting[_Seen] = Waiting()
        self._queues.queue(partition).submit(read, lambda reads: self._read_for_all(partition, reads))
        return read.outcome()

    def _read_for_all(self, partition: str, reads: list[Waiting[_Seen]]) -> None:
        """Sends one request for all of these reads, each of which began before it."""
        guard = self._table.get(partition, self._guard)
        seen = _Seen("") if guard is None else self._since(partition, guard[ETAG])
        for read in reads:
            read.result = seen

    def _since(self, partition: str, etag: str) -> _Seen:
        """What is known since the guard had an ETag, in the place of what was known before."""
        with self._keeping:
            known = self._kept.get(partition)
            if known is not None and known.etag == etag:
                return known
            seen = _Seen(etag)
            if known is not None:
                lists = {key: known.found[key] for key in known.lists if key in known.found}
                seen.earlier = {**known.earlier, **lists}
                seen.memory += sum(found.memory for found in seen.earlier.values())
                self._memory -= known.memory
            self._kept[partition] = seen
            self._memory += seen.memory
            return seen

    def _keep(self, partition: str, seen: _Seen, key: Hashable, found: Found[Any], *, is_list: bool) -> None:
        with self._keeping:
            if is_list:
                seen.lists.add(key)
            replaced = (seen.earlier.pop(key, None), seen.found.get(key))
            seen.found[key] = found
            more = found.memory - sum(old.memory for old in replaced if old is not None)
            seen.memory += more
            if self._kept.get(partition) is not seen:
                return  # for those alone whose read began before a change, or before it was too much
            self._memory += more
            while self._memory > self._most:
                largest = max(self._kept, key=lambda name: self._kept[name].memory)
                self._memory -= self._kept.pop(largest).memory
