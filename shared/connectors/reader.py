"""The seam between readers and `casts`: batches of rows with their origin, whatever system they are read from."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.csv.bit_masks import Offsets
    from shared.csv.rejects import Rejects


class Batch(Protocol):
    """Some rows of one place: a version of a blob, a page of records.

    A row's origin is its place, which whoever casts the batches is told once, and its number there.
    """

    @property
    def cells(self) -> "pa.Table":
        """String columns in the order of the header, named by it; an empty cell is null."""

    @property
    def lines(self) -> "Offsets":
        """Number of each row in its place, ascending from 1: the line of a blob, the number of a record on its page."""

    @property
    def rejects(self) -> "Rejects":
        """What the reader itself refused in this part of the place, ascending by number."""

    @property
    def weight(self) -> int:
        """Bytes of the rows as they were read; their cells have no more."""

    def raws(self, rows: "Offsets") -> "pa.Array":
        """Text of some rows as it was read, cut to what a reject holds; large strings."""

    def part(self, start: int, stop: int) -> Self:
        """Rows `start` to `stop` - 1, and what was refused behind them; the first part also has what was before it."""

    def take(self, numbers: "Offsets") -> Self:
        """The rows of these numbers, without what was refused."""


class Reader(Protocol):
    """Gives the batches of one place, once."""

    def read_header(self) -> list[str] | None:
        """Names of the columns; None where there is nothing to read."""

    def __iter__(self) -> Iterator[Batch]: ...
