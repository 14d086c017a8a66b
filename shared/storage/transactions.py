"""Transactions of several threads on one partition share a request to Table Storage, and fail alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.batching import BatchQueue, BatchQueues, Waiting
from shared.domain.errors import DeniedError, TransientError

MOST_OPERATIONS = 100
# The service takes 4 MiB at once; texts grow on their way.
_MOST_CHARACTERS = 1_000_000


@dataclass(slots=True)
class Transaction(Waiting[list[str]]):
    """Operations that are carried out all or none; the result is the ETag of each row written.

    Attributes:
        batch: the operations as the SDK takes them.
        keys: row key of each.
        characters: of all texts together.
    """

    batch: list[Any]
    keys: frozenset[str]
    characters: int


class Transactions:
    """What is carried out on one table. Safe for use by many threads.

    Args:
        send: sends a batch to the service, which carries it out all or none; returns the ETag of each row.
    """

    def __init__(self, send: Callable[[list[Any]], list[str]]) -> None:
        self._send = send
        self._queues: BatchQueues[Transaction] = BatchQueues(most=MOST_OPERATIONS)

    def queue(self, partition: str) -> BatchQueue[Transaction]:
        """Where transactions on a partition wait while one is on its way, to go together in the next request."""
        return self._queues.queue(partition)

    def carry_out(self, partition: str, transaction: Transaction) -> list[str]:
        """Carries a transaction out, with those of other threads on the same partition.

        Returns:
            The ETag of each row written, in order.

        Raises:
            HubError: as `send` does about this transaction, or about a request that it was part of.
        """
        self.queue(partition).submit(transaction, self._carry_out_all)
        return transaction.outcome()

    def _carry_out_all(self, transactions: list[Transaction]) -> None:
        for group in _groups(transactions):
            self._carry_out_group(group)

    def _carry_out_group(self, group: Sequence[Transaction]) -> None:
        error = self._submitted(group)
        if error is None:
            return
        if len(group) > 1 and _is_of_one(error):
            self._take_apart(group)
            return
        for transaction in group:
            transaction.error = error

    def _take_apart(self, group: Sequence[Transaction]) -> None:
        """Tries each by itself: nothing of their request was carried out, because of one of them."""
        for at, transaction in enumerate(group, 1):
            self._carry_out_group([transaction])
            if transaction.error is not None and not _is_of_one(transaction.error):
                # A service that falters takes its time over each request, so those that are left share one again.
                if rest := group[at:]:
                    self._carry_out_group(rest)
                return

    def _submitted(self, group: Sequence[Transaction]) -> Exception | None:
        """Settles all of a group if their shared request succeeds; else what became of it."""
        try:
            etags = self._send([operation for transaction in group for operation in transaction.batch])
        except Exception as error:
            return error
        for transaction in group:
            of_this = len(transaction.batch)
            transaction.result, etags = etags[:of_this], etags[of_this:]
        return None


def _is_of_one(error: Exception) -> bool:
    """Whether a single transaction may have caused it; the SDK's own errors are about a value of a row."""
    return not isinstance(error, TransientError | DeniedError)


def _groups(transactions: Sequence[Transaction]) -> Iterator[list[Transaction]]:
    """Transactions that can be one request, in their order: none with a row of another."""
    group: list[Transaction] = []
    for transaction in transactions:
        if group and not _fits(transaction, group):
            yield group
            group = []
        group.append(transaction)
    if group:
        yield group


def _fits(transaction: Transaction, group: Sequence[Transaction]) -> bool:
    batch = [*group, transaction]
    return (
        all(transaction.keys.isdisjoint(other.keys) for other in group)
        and sum(len(each.batch) for each in batch) <= MOST_OPERATIONS
        and sum(each.characters for each in batch) <= _MOST_CHARACTERS
    )
