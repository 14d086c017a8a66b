"""What meets text from outside, and how its cost grows: twice the text may cost twice the time, not more.

A text is a beginning, a piece that is repeated, and an end. The pieces come from the signs and words that mean
something to the reader in question, so that chance finds the ugly ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.growth import LINEAR, seconds

# What takes less cannot be told from what the app does for every request.
_FLOOR_S = 0.02
_ROUNDS = 5
_DOUBLINGS = 2**3


@dataclass(frozen=True)
class Ugly:
    """A text of any length."""

    beginning: str
    piece: str
    end: str

    def of(self, length: int) -> str:
        """The text, of about so many characters."""
        rest = length - len(self.beginning) - len(self.end)
        return self.beginning + self.piece * max(rest // len(self.piece), 1) + self.end


@dataclass(frozen=True)
class Good:
    """Texts that are taken, however long: pieces in any order between a beginning and an end."""

    beginning: str
    pieces: tuple[str, ...]
    end: str = ""


@dataclass(frozen=True)
class Target:
    """Something that reads.

    Attributes:
        name: for people.
        words: of what its texts are made.
        longest: the length up to which it reads at all.
        read: reads a text and gives what came of it; what it refuses, it refuses in words.
        good: texts that are not refused, since what is refused at once says nothing of what is read.
        takes: whether what came of a text means that it was not refused.
        beginnings, ends: what often stands at either side.
    """

    name: str
    words: tuple[str, ...]
    longest: int
    read: Callable[[str], object]
    good: tuple[Good, ...]
    takes: Callable[[Any], bool] = lambda _: True
    beginnings: tuple[str, ...] = ("",)
    ends: tuple[str, ...] = ("",)


def good_texts(target: Target) -> list[Ugly]:
    """Texts of all pieces together, which a target takes."""
    return [Ugly(good.beginning, "".join(good.pieces), good.end) for good in target.good]


def texts(target: Target) -> st.SearchStrategy[Ugly]:
    """Texts for a target; about half of them are taken."""
    some = st.lists(st.sampled_from(target.words), max_size=3).map("".join)
    piece = st.lists(st.sampled_from(target.words), min_size=1, max_size=5).map("".join)
    beginning = st.one_of(st.sampled_from(target.beginnings), some)
    any_text = st.builds(Ugly, beginning, piece, st.one_of(st.sampled_from(target.ends), some))
    return any_text | st.one_of([_of(good) for good in target.good])


def _of(good: Good) -> st.SearchStrategy[Ugly]:
    piece = st.lists(st.sampled_from(good.pieces), min_size=1, max_size=5).map("".join)
    return st.builds(Ugly, st.just(good.beginning), piece, st.just(good.end))


def worst_growth(target: Target, text: Ugly) -> float:
    """The worst that doubling a text does to the time it takes, up to the longest that is read.

    It begins with a short text: one whose cost grows with its square would take minutes at full length.
    """
    worst = 1.0
    length = max(target.longest // _DOUBLINGS, 16)
    while length <= target.longest and worst <= LINEAR:
        is_dear = seconds(target.read, text.of(length), rounds=1) >= _FLOOR_S
        # What is refused at once says nothing of what is read.
        if is_dear and target.read(text.of(length)) == target.read(text.of(length // 2)):
            worst = max(worst, growth_of(target, text, length))
        length *= 2
    return worst


def growth_of(target: Target, text: Ugly, length: int) -> float:
    """What doubling a text to this length does to its time.

    It is the least of a few tries: whatever else the machine does only ever adds, and adds to either.
    """
    ratio = float("inf")
    for rounds in (1, _ROUNDS, _ROUNDS):
        whole, half = (seconds(target.read, text.of(size), rounds) for size in (length, length // 2))
        ratio = min(ratio, whole / max(half, _FLOOR_S / 2))
        if ratio <= LINEAR:
            break
    return ratio
