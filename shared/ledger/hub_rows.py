"""The rows of a hub in the ledgers, which end with it: another hub of its name may be somebody else's."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import batched, groupby

from shared.domain.errors import PreconditionError
from shared.domain.names import name_key
from shared.ledger.run_rows import RUN, rows_of
from shared.permits import Permits
from shared.storage.tables import ETAG, Delete, FilterValue, Row, Table, above
from shared.storage.transactions import MOST_OPERATIONS

_MANY = 1_000_000
_KEYS = ["PartitionKey", "RowKey"]

type _Filter = tuple[str, dict[str, FilterValue]]


class HubRows:
    """The rows of all hubs in the tables `runs` and `slots`."""

    def __init__(self, runs: Table, slots: Table) -> None:
        self._runs = runs
        self._slots = slots
        self._deletions = Permits(most_of_one=1, most=_MANY, within_s=0, at_once=_MANY)

    def deletion(self, hub: str) -> AbstractContextManager[bool]:
        """Held by who deletes what is recorded of a hub; gives False where another thread does it now.

        What two delete at once takes each of them longer than it takes one.
        """
        return self._deletions.permit_now(name_key(hub))

    def delete(self, hub: str, check: Callable[[], None]) -> None:
        """Deletes every row of a hub; what an error leaves is deleted when it is called again.

        Args:
            hub: that was there, or is at its end.
            check: raises where the hub's rows are to stay. It is asked after rows were read and before these very
                versions of them are deleted, so that nothing goes which a hub has that is made meanwhile.
        """
        partition = name_key(hub)
        # Without this row nothing of a run can be written any more, so none of its other rows comes back.
        self._delete(self._runs, rows_of(hub, RUN), check)
        self._delete(self._runs, ("PartitionKey eq @hub", {"hub": partition}), check)
        prefix = f"{partition}|"
        series: _Filter = ("PartitionKey ge @from and PartitionKey lt @to", {"from": prefix, "to": above(prefix)})
        self._delete(self._slots, series, check)

    def _delete(self, table: Table, rows: _Filter, check: Callable[[], None]) -> None:
        for batch in _batches(table, rows):
            check()
            try:
                table.transact([Delete(row["PartitionKey"], row["RowKey"], row[ETAG]) for row in batch])
            except PreconditionError:
                # Somebody has changed one, or another process deletes them too: on with what is left of these.
                self._delete(table, _between(batch[0], batch[-1]), check)


def _batches(table: Table, rows: _Filter) -> Iterator[list[Row]]:
    """The rows that a filter lets through, as many at a time as a transaction deletes."""
    for _, of_partition in groupby(table.query(*rows, _KEYS), key=lambda row: str(row["PartitionKey"])):
        yield from (list(batch) for batch in batched(of_partition, MOST_OPERATIONS, strict=False))


def _between(first: Row, last: Row) -> _Filter:
    """The rows of a partition from one to another."""
    keys = {"hub": first["PartitionKey"], "first": first["RowKey"], "last": last["RowKey"]}
    return "PartitionKey eq @hub and RowKey ge @first and RowKey le @last", keys
