"""How much the definitions of a hub take in all, which is limited: a change of one of them must not delay other hubs.

The sum is noted in the guard of the hub's partition, so that it is right whoever else changes the hub. Releases that do
not know of it leave it out of the guards they write; then it is counted anew by the next PUT.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.definitions.store.rows import size_of
from shared.domain.errors import ConflictError
from shared.storage.tables import Row, Table

# A process that starts reads all of it once before its first event, which has 20 s for all hubs: so much takes a second
# of the processor where mappings have short columns by the hundred. After a change of one definition keys and revisions
# are read, with the row that was changed: a tenth of a second for the 3,500 smallest that find room.
MOST_BYTES = 16 * 2**20
_SUM = "bytes"


class Room:
    """Knows how much each change adds; safe for use by many threads."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._present = threading.local()

    @contextmanager
    def change(self) -> Iterator[None]:
        """A change that this thread makes; what it reads is noted by `saw`."""
        around = getattr(self._present, "sizes", None)
        self._present.sizes = {}
        try:
            yield
        finally:
            self._present.sizes = around

    def saw(self, partition: str, key: str, row: Row | None) -> None:
        """Notes the size of a document that was read, so that it need not be read again if the change replaces it."""
        sizes = getattr(self._present, "sizes", None)
        if sizes is not None:
            sizes[partition, key] = size_of(row or {})

    def sum_after(self, partition: str, guard: Row | None, sizes: Mapping[str, int], *, is_put: bool) -> int | None:
        """What the documents take once the change is done; None where that is not known, and need not be.

        Args:
            partition: that this thread changes.
            guard: of the partition, as it was before the change read anything.
            sizes: of the documents that it writes, by row key; 0 for those that it deletes.
            is_put: whether somebody asks for it who may put in as much as he likes; he may put no more than there is
                room for.

        Raises:
            ConflictError: it is too much.
        """
        before = self._sum_before(partition, guard, is_wanted=is_put)
        if before is None:
            return None
        growth = sum(size - self._size_before(partition, key) for key, size in sizes.items())
        if is_put and growth > 0 and before + growth > MOST_BYTES:
            message = (
                f"the definitions of the hub take {_mib(before)} MiB, {_mib(before + growth)} MiB with this one, and "
                f"{_mib(MOST_BYTES)} MiB is the most; delete those that are not needed, or put fewer or shorter ones"
            )
            raise ConflictError("TooManyDefinitions", message)
        return max(before + growth, 0)

    def _sum_before(self, partition: str, guard: Row | None, *, is_wanted: bool) -> int | None:
        if guard is None:
            return 0
        if _SUM in guard:
            return int(guard[_SUM])
        if not is_wanted:
            return None
        return sum(size_of(row) for row in self._table.query("PartitionKey eq @hub", {"hub": partition}))

    def _size_before(self, partition: str, key: str) -> int:
        sizes = self._present.sizes
        if (partition, key) not in sizes:
            self.saw(partition, key, self._table.get(partition, key))
        return int(sizes[partition, key])


def noted(total: int | None) -> Row:
    """The columns of the guard that tell the sum."""
    return {} if total is None else {_SUM: total}


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f}"
