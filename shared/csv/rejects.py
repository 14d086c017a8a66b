"""Rejects in columns: a file may have a million of them, and as objects each would cost more than a good row does."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.domain.reject import Reject

type Numbers = npt.NDArray[np.int64]

_NO_NUMBERS: Numbers = np.zeros(0, np.int64)


class Reason(NamedTuple):
    """Why rows are refused, as in a `Reject`."""

    column: str | None
    code: str
    message: str


class Rejects(Sequence[Reject]):
    """Some refused rows, in order.

    Args:
        lines: physical line on which each row starts, from 1.
        numbers: the reason of each, a number in `reasons`.
        reasons: those that occur, and maybe others.
        raw: the rows' texts, large strings.
    """

    def __init__(self, lines: Numbers, numbers: Numbers, reasons: Sequence[Reason], raw: pa.Array) -> None:
        self.lines = lines
        self.numbers = numbers
        self.reasons = reasons
        self.raw = raw

    @classmethod
    def of(cls, rejects: Iterable[Reject]) -> Self:
        """The same rejects in columns."""
        known: dict[Reason, int] = {}
        lines, numbers, raw = [], [], []
        for reject in rejects:
            reason = Reason(reject.column, reject.code, reject.message)
            lines.append(reject.line)
            numbers.append(known.setdefault(reason, len(known)))
            raw.append(reject.raw)
        return cls(_numbers(lines), _numbers(numbers), list(known), pa.array(raw, pa.large_string()))

    @classmethod
    def joined(cls, parts: Sequence["Rejects"]) -> Self:
        """One after the other."""
        some = [part for part in parts if len(part)]
        if not some:
            return cls(_NO_NUMBERS, _NO_NUMBERS, (), pa.array([], pa.large_string()))
        reasons: list[Reason] = []
        numbers = []
        for part in some:
            numbers.append(part.numbers + len(reasons))
            reasons.extend(part.reasons)
        lines = np.concatenate([part.lines for part in some])
        return cls(lines, np.concatenate(numbers), reasons, pa.concat_arrays([part.raw for part in some]))

    def by_line(self) -> Self:
        """Ascending by line; those of one line keep their order."""
        if np.all(self.lines[:-1] <= self.lines[1:]):
            return self
        return self.take(np.argsort(self.lines, kind="stable"))

    def moved(self, lines: int) -> Self:
        """The same rejects so many lines further down."""
        return type(self)(self.lines + lines, self.numbers, self.reasons, self.raw)

    def take(self, which: Numbers | slice) -> Self:
        """Those with these numbers."""
        raw = self.raw[which] if isinstance(which, slice) else self.raw.take(pa.array(which))
        return type(self)(self.lines[which], self.numbers[which], self.reasons, raw)

    def __len__(self) -> int:
        return int(self.lines.size)

    @overload
    def __getitem__(self, index: int) -> Reject: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Reject | Self:
        if isinstance(index, slice):
            return self.take(index)
        column, code, message = self.reasons[self.numbers[index]]
        return Reject(int(self.lines[index]), column, code, message, self.raw[index].as_py())

    def __iter__(self) -> Iterator[Reject]:
        for line, number, raw in zip(self.lines.tolist(), self.numbers.tolist(), self.raw.to_pylist(), strict=True):
            column, code, message = self.reasons[number]
            yield Reject(line, column, code, message, raw)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def no_rejects() -> Rejects:
    """None at all."""
    return Rejects.joined([])


def _numbers(values: list[int]) -> Numbers:
    return np.array(values, np.int64)
