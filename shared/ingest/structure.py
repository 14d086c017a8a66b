"""The structural scan: which bytes of a window are rows, how wide they are, and where the quote grammar
breaks.

It works on bit masks, one bit per byte. The prefix XOR of the quote bits says which bytes are inside quotes;
then two tests prove RFC 4180: an opening quote follows the start, a delimiter, a line end or a quote, and a
closing quote is followed by a delimiter, a line end, the end or a quote. Nothing else has to be trusted.
"""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

type Words = npt.NDArray[np.uint64]
type Offsets = npt.NDArray[np.int64]
type Flags = npt.NDArray[np.bool_]

_LF, _CR = 10, 13
_ONE = np.uint64(1)
_TOP = np.uint64(63)
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_SHIFTS = [np.uint64(1 << power) for power in range(6)]
_scratch = threading.local()


@dataclass(slots=True)
class Structure:
    """The complete rows at the start of a window; blank lines are rows whose start is their end.

    Attributes:
        starts, ends: offsets of each row's text from the start of the window, line end not included.
        widths: cells of each row.
        lines: physical lines of each row.
        used: bytes of the rows with their line ends.
        broken: whether the row that starts at `used` is known to break the grammar.
        faulty: which rows are no rows, but lines on which a row starts that breaks the grammar.
    """

    starts: Offsets
    ends: Offsets
    widths: Offsets
    lines: Offsets
    used: int
    broken: bool
    faulty: Flags

    def before(self, row: int) -> "Structure":
        """The rows before `row`, which is broken."""
        first = slice(row)
        return Structure(
            self.starts[first],
            self.ends[first],
            self.widths[first],
            self.lines[first],
            int(self.starts[row]),
            broken=True,
            faulty=self.faulty[first],
        )

    def without(self, rows: Sequence[int], window: bytes) -> list[bytes]:
        """The pieces of `window` that hold all rows but `rows`, which ascend."""
        pieces = []
        at = 0
        for row in rows:
            pieces.append(window[at : self.starts[row]])
            at = int(self.starts[row + 1]) if row + 1 < self.starts.size else self.used
        pieces.append(window[at : self.used])
        return pieces


def scan(
    data: bytes,
    start: int,
    stop: int,
    *,
    at_end: bool,
    delimiter: int,
    quote: int | None,
    max_row_lines: int,
    max_faulty: int = 0,
) -> Structure:
    """Scans `data[start:stop]`, which must begin at the start of a row.

    Args:
        data: UTF-8 text.
        start, stop: the window.
        at_end: whether the file ends at `stop`.
        delimiter, quote: byte values below 128; no quote where cells are never quoted. Quotes are escaped by
            doubling.
        max_row_lines: an open row that runs over more lines is broken.
        max_faulty: of so many rows that break the grammar the first line is passed over; the next one stops the scan.
    """
    if not at_end and stop > start and data[stop - 1] == _CR:
        stop -= 1  # it may be half a CRLF
    size = stop - start
    window = np.frombuffer(data, np.uint8, size, start)
    words = size // 64 + 1
    delimiters = _mask(window, delimiter, words)
    line_feeds = _mask(window, _LF, words)
    returns = _mask(window, _CR, words) if data.find(b"\r", start, stop) >= 0 else None
    line_ends = line_feeds if returns is None else line_feeds | (returns & ~_next(line_feeds))
    inside: Words | None = None
    limit = size
    broken = False
    lines_passed: list[int] = []
    if quote is not None and data.find(quote, start, stop) >= 0:
        quotes = _mask(window, quote, words)
        around = delimiters | line_feeds | quotes
        if returns is not None:
            around |= returns
        inside, limit, broken, lines_passed = _quoted(quotes, around, line_ends, size, max_faulty)
    ends = _positions(line_ends if inside is None else line_ends & ~inside)
    if broken:
        ends = ends[ends < limit]
    used = int(ends[-1]) + 1 if ends.size else 0
    if inside is not None and not broken and used < size and _bit(inside, size - 1):
        # A quote is open: the end of the file or too many lines settle it, else more text may close it.
        open_lines = _rank(line_ends, np.array([used, size]))
        broken = at_end or int(open_lines[1] - open_lines[0]) >= max_row_lines
    elif at_end and not broken and used < size:
        ends = np.append(ends, size)
        used = size
    widths = np.diff(_rank(delimiters if inside is None else delimiters & ~inside, ends), prepend=0) + 1
    lines = np.ones(ends.size, np.int64) if inside is None else _lines_of(ends, line_ends, size)
    starts = np.concatenate((np.zeros(1, np.int64), ends + 1))[: ends.size]
    if returns is not None and ends.size:
        ends = ends - _is_crlf(window, ends)
    faulty = np.zeros(ends.size, np.bool_)
    faulty[np.searchsorted(starts, lines_passed)] = True
    return Structure(starts, ends, widths, lines, used, broken, faulty)


def _lines_of(ends: Offsets, line_ends: Words, size: int) -> Offsets:
    """Physical lines of each row."""
    # The last row of a file may end without a line end, at the window's size.
    lines: Offsets = np.diff(_rank(line_ends, np.minimum(ends + 1, size)), prepend=0) + (ends == size)
    return lines


def _is_crlf(window: npt.NDArray[np.uint8], ends: Offsets) -> npt.NDArray[np.bool_]:
    """Which rows end with the LF of a CRLF."""
    last = np.minimum(ends, window.size - 1)
    feed, before = window[last] == _LF, window[np.maximum(last - 1, 0)] == _CR
    found: npt.NDArray[np.bool_] = feed & before & (ends < window.size)
    return found


def _mask(window: npt.NDArray[np.uint8], byte: int, words: int) -> Words:
    """One bit per byte of the window that equals `byte`."""
    equal: npt.NDArray[np.bool_] | None = getattr(_scratch, "equal", None)
    if equal is None or equal.size < window.size:
        # A fresh array costs more than the comparison; one per thread is kept.
        equal = _scratch.equal = np.empty(max(window.size, 1 << 20), np.bool_)
    packed = np.packbits(np.equal(window, byte, out=equal[: window.size]), bitorder="little")
    mask = np.empty(words, np.uint64)
    octets = mask.view(np.uint8)
    octets[: packed.size] = packed
    octets[packed.size :] = 0
    return mask


def _inside(quotes: Words) -> Words:
    """Bits from each opening quote to the byte before its closing quote: the prefix XOR of the quote bits."""
    inside = quotes.copy()
    for shift in _SHIFTS:
        inside ^= inside << shift
    parity = np.bitwise_xor.accumulate(inside >> _TOP)
    inside[1:] ^= np.uint64(0) - parity[:-1]
    return inside


def _quoted(
    quotes: Words, around: Words, line_ends: Words, size: int, max_faulty: int
) -> tuple[Words, int, bool, list[int]]:
    """What is inside of quotes, up to which offset that holds, whether a fault is there, and the lines passed over."""
    inside = _inside(quotes)
    faults = _faults(quotes, inside, around, size)
    if not faults.any():
        return inside, size, False, []
    walk = _Walk(faults, _faults(quotes, ~inside, around, size), inside, line_ends)
    limit, broken = walk.go(max_faulty, size)
    return inside ^ _inside(_mask_of(walk.flips, quotes.size)), limit, broken, walk.passed


def _faults(quotes: Words, inside: Words, around: Words, size: int) -> Words:
    """The quotes that RFC 4180 does not allow where they stand."""
    followed = _next(around)
    followed[(size - 1) >> 6] |= _ONE << np.uint64((size - 1) & 63)
    wrong: Words = quotes & ((inside & ~_previous(around)) | (~inside & ~followed))
    return wrong


class _Walk:
    """From fault to fault: the row in which one stands is given up, and reading goes on behind its first line.

    There no quote is open. So all that follows may have to be seen the other way round: what was inside of quotes is
    outside, and the quotes that are wrong are others. Both views are known beforehand; a step only looks up where it
    leads.

    Attributes:
        passed: where the rows start that were given up.
        flips: line ends behind which the view changes.
    """

    def __init__(self, faults: Words, faults_inverted: Words, inside: Words, line_ends: Words) -> None:
        self.passed: list[int] = []
        self.flips: list[int] = []
        self._inside = inside
        self._lines: list[int] = _positions(line_ends).tolist()
        self._faults: list[list[int]] = [_positions(faults).tolist(), _positions(faults_inverted).tolist()]
        self._ends: list[list[int]] = [
            _positions(line_ends & ~inside).tolist(),
            _positions(line_ends & inside).tolist(),
        ]

    def go(self, most: int, size: int) -> tuple[int, bool]:
        """Passes over `most` rows; gives the offset up to which rows are proven, and whether a fault is there."""
        at = view = 0
        while (fault := self._after(self._faults[view], at)) is not None:
            end_before = bisect_left(self._ends[view], fault) - 1
            start = max(at, self._ends[view][end_before] + 1) if end_before >= 0 else at
            end = self._after(self._lines, start)
            if len(self.passed) == most or end is None:
                return start, True
            self.passed.append(start)
            if _bit(self._inside, end) != bool(view):
                self.flips.append(end)
                view = 1 - view
            at = end + 1
        return size, False

    @staticmethod
    def _after(offsets: list[int], at: int) -> int | None:
        found = bisect_left(offsets, at)
        return offsets[found] if found < len(offsets) else None


def _mask_of(offsets: list[int], words: int) -> Words:
    """A mask with these bits set."""
    mask = np.zeros(words, np.uint64)
    where = np.array(offsets, np.int64)
    np.bitwise_or.at(mask, where >> 6, _ONE << (where & 63).astype(np.uint64))
    return mask


def _next(mask: Words) -> Words:
    """Bit i says what bit i + 1 of `mask` says."""
    shifted = mask >> _ONE
    shifted[:-1] |= mask[1:] << _TOP
    return shifted


def _previous(mask: Words) -> Words:
    """Bit i says what bit i - 1 of `mask` says; before the first byte stands a row's start, which is set."""
    shifted = mask << _ONE
    shifted[1:] |= mask[:-1] >> _TOP
    shifted[0] |= _ONE
    return shifted


def _bit(mask: Words, offset: int) -> bool:
    return bool((int(mask[offset >> 6]) >> (offset & 63)) & 1)


def _positions(mask: Words) -> Offsets:
    """Offsets of the set bits, ascending; word by word, far cheaper than unpacking where bits are sparse."""
    index = np.flatnonzero(mask)
    rest = mask[index]
    found: list[Offsets] = []
    while index.size:
        lowest = rest & (np.uint64(0) - rest)
        found.append((index << 6) + np.bitwise_count(lowest - _ONE))
        rest = rest ^ lowest
        more = np.flatnonzero(rest)
        index, rest = index[more], rest[more]
    if not found:
        return np.zeros(0, np.int64)
    return found[0] if len(found) == 1 else np.sort(np.concatenate(found), kind="stable")


def _rank(mask: Words, offsets: Offsets) -> Offsets:
    """How many bits are set before each offset."""
    before = np.zeros(mask.size + 1, np.int64)
    np.cumsum(np.bitwise_count(mask), out=before[1:])
    word = offsets >> 6
    below = (_ONE << (offsets & 63).astype(np.uint64)) - _ONE
    ranks: Offsets = before[word] + np.bitwise_count(mask[word] & below)
    return ranks
