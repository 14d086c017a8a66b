"""A blob version that is to be committed, and the number of the transaction that says what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.lake.log.part import UploadedPart
from shared.together import Waiting

# The number of a transaction tells the version, which attempt at it, and whether that committed it or closed it.
_ATTEMPTS = 1 << 24


@dataclass(slots=True)
class Arrival(Waiting[bool]):
    """A blob version that is to be committed; its result is whether it was committed now.

    Attributes:
        app_id, number: the transaction that orders the versions of the blob.
        attempt: at this version.
        once_id: of the transaction that says that this version is committed, whatever comes later.
        closes: whether it brings nothing, and lets no attempt up to its own bring anything either.
    """

    uploaded: Sequence[UploadedPart]
    app_id: str
    number: int
    attempt: int
    once_id: str | None = None
    closes: bool = False

    @property
    def transaction(self) -> int:
        """The number of its transactions."""
        return self.number * _ATTEMPTS + 2 * self.attempt + (not self.closes)


def version_of(transaction: int) -> int:
    """The number of the blob version that a transaction is of."""
    return transaction // _ATTEMPTS


def committed_attempt(transaction: int) -> int | None:
    """The attempt that a transaction says has committed its version; None where it has closed it."""
    return attempt_of(transaction) if transaction % 2 else None


def attempt_of(transaction: int) -> int:
    """The attempt that a transaction is of."""
    return transaction % _ATTEMPTS // 2
