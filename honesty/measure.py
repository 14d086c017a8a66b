"""The measure: each row of the clean table is right, rejected, or vanished; each ingested row that is none is wrong."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from honesty.draft import DirtyFile, Spot
from honesty.reading import Outcome

HONESTY, YIELD, ATTRIBUTION = 0.995, 0.985, 0.98


@dataclass(frozen=True, slots=True)
class Score:
    """How one file came out.

    Attributes:
        clean: rows of the clean table.
        right: of these, ingested as they are (A).
        rejected: not ingested, and a reject names one of their lines (R).
        vanished: neither (V).
        wrong: ingested, and no row of the clean table (W).
        rejects: rejects and refusals.
        attributed: of these, those at line and column of a fault.
        missed: faults that no reject names.
        faulty: rows of the clean table on whose lines a fault stands.
        expects_refusal: whether the whole file must be refused.
        trouble: why the accounts do not close, or how reading broke down.
    """

    kind: str
    place: str
    clean: int
    right: int
    rejected: int
    vanished: int
    wrong: int
    rejects: int
    attributed: int
    missed: int
    faulty: int
    expects_refusal: bool
    trouble: str | None

    @property
    def is_honest(self) -> bool:
        """Nothing wrong, nothing vanished, and the accounts close."""
        return not self.wrong and not self.vanished and self.trouble is None


def score(file: DirtyFile, outcome: Outcome) -> Score:
    """Classifies rows (as multisets of typed values) and rejects."""
    left = Counter(outcome.rows)
    right = rejected = vanished = 0
    named = {reject.line for reject in outcome.rejects}
    for row in file.rows:
        if left[row.values] > 0:
            left[row.values] -= 1
            right += 1
        elif outcome.refusal is not None or any(line in named for line in range(row.first, row.last + 1)):
            rejected += 1
        else:
            vanished += 1
    found = Counter(Spot(reject.line, reject.column) for reject in outcome.rejects)
    attributed = (found & Counter(file.spots)).total()
    refusals = int(outcome.refusal is not None)
    return Score(
        file.kind,
        file.place,
        len(file.rows),
        right,
        rejected,
        vanished,
        left.total(),
        found.total() + refusals,
        attributed + int(refusals and outcome.refusal == file.refusal),
        len(file.spots) - attributed + int(file.refusal is not None and outcome.refusal != file.refusal),
        sum(any(row.first <= spot.line <= row.last for spot in file.spots) for row in file.rows),
        file.refusal is not None,
        outcome.trouble,
    )


@dataclass(frozen=True, slots=True)
class Total:
    """The figures of several files."""

    files: int
    honesty: float
    yield_: float | None
    attribution: float | None

    @property
    def meets_the_bars(self) -> bool:
        """Whether every figure is at its bar or above."""
        return (
            self.honesty >= HONESTY
            and (self.yield_ is None or self.yield_ >= YIELD)
            and (self.attribution is None or self.attribution >= ATTRIBUTION)
        )


def total(scores: Iterable[Score]) -> Total:
    """Honesty by files, yield by clean rows, attribution by rejects; None where there is none of them."""
    scores = list(scores)
    clean, rejects = sum(each.clean for each in scores), sum(each.rejects for each in scores)
    return Total(
        len(scores),
        sum(each.is_honest for each in scores) / len(scores) if scores else 1.0,
        sum(each.right for each in scores) / clean if clean else None,
        sum(each.attributed for each in scores) / rejects if rejects else None,
    )
