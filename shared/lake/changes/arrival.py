"""A blob version that is to be committed, and the number of the transaction that says what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from shared.batching import Waiting
from shared.lake.log.part import UploadedPart

_ATTEMPTS = 1 << 24


class Fence(NamedTuple):
    """What the log remembers of a blob version, as the number of an application transaction.

    The numbers of one blob ascend with the version, and within it with the attempt: a later one cannot be overtaken.

    Attributes:
        version: number of the blob version among those of its blob.
        attempt: at that version, below 2**23.
        is_committed: whether the attempt committed rows; otherwise it only fences attempts up to its own.
    """

    version: int
    attempt: int
    is_committed: bool

    @classmethod
    def unpack(cls, number: int) -> Self:
        """The fence that a transaction's number stands for."""
        version, rest = divmod(number, _ATTEMPTS)
        return cls(version, rest // 2, bool(rest % 2))

    def pack(self) -> int:
        """The number that stands for this fence."""
        return self.version * _ATTEMPTS + 2 * self.attempt + self.is_committed

    @property
    def committed_attempt(self) -> int | None:
        """The attempt that committed the rows of the version, or None."""
        return self.attempt if self.is_committed else None


@dataclass(slots=True)
class Arrival(Waiting[bool]):
    """A blob version that is to be committed; its result is whether it was committed now.

    Attributes:
        app_id, number: the transaction that orders the versions of the blob.
        attempt: at this version.
        once_id: of the transaction that says that this version is committed, whatever comes later.
        fences: whether it commits no rows, and only fences attempts up to its own.
    """

    uploaded: Sequence[UploadedPart]
    app_id: str
    number: int
    attempt: int
    once_id: str | None = None
    fences: bool = False

    @property
    def fence(self) -> Fence:
        """What its transactions say."""
        return Fence(self.number, self.attempt, not self.fences)
