"""The rows of a hub in the ledgers, which end with it: another hub of its name may be somebody else's."""

from collections.abc import Callable, Iterator
from itertools import batched, groupby

from shared.domain.errors import PreconditionError
from shared.domain.names import name_key
from shared.ledger.run_rows import RUN, rows_of
from shared.storage.tables import ETAG, Delete, FilterValue, Table, above
from shared.storage.transactions import MOST_OPERATIONS

type _Filter = tuple[str, dict[str, FilterValue]]


class HubRows:
    """The rows of all hubs in the tables `runs` and `slots`."""

    def __init__(self, runs: Table, slots: Table) -> None:
        self._runs = runs
        self._slots = slots

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
        is_gone = False
        while not is_gone:
            is_gone = True
            for batch in _batches(table, rows):
                check()
                try:
                    table.transact(batch)
                except PreconditionError:
                    is_gone = False  # somebody has changed one, or deletes them too: look again


def _batches(table: Table, rows: _Filter) -> Iterator[list[Delete]]:
    """The deletions of the rows that a filter lets through, each batch a transaction."""
    found = table.query(*rows, ["PartitionKey", "RowKey"])
    for partition, of_partition in groupby(found, key=lambda row: str(row["PartitionKey"])):
        for batch in batched(of_partition, MOST_OPERATIONS, strict=False):
            yield [Delete(partition, row["RowKey"], row[ETAG]) for row in batch]
