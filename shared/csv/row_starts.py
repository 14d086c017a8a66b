"""On which lines rows start where some rows are broken: of those the first line is refused, and the next starts anew.

There no quote is open. So all that follows may have to be seen the other way round: what was inside of quotes is
outside, and the quotes that are wrong are others. Which view counts is known for each line beforehand, since a row that
starts there starts outside. So for all lines at once it can be said what would become of a row that starts on it, and
how far it would reach; then only the rows that reach over several lines have to be followed one by one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.csv.bit_masks import Flags, Offsets, Words, bits, inside_of, mask_at, positions, rank
from shared.csv.row_fault import FaultKind

_FAR = 1 << 62


@dataclass(frozen=True, slots=True)
class Expected:
    """What a row must be like.

    Attributes:
        width: cells.
        comment: the byte that a comment line starts with, or None.
        max_row_bytes: a row that is longer, or whose fault stands further behind, is left to the careful reader.
    """

    width: int
    comment: int | None
    max_row_bytes: int


@dataclass(frozen=True, slots=True)
class Masks:
    """A window, seen in bits.

    Attributes:
        text: its bytes.
        delimiters, line_ends: where such stand; of a CRLF the LF counts.
        inside: what is inside of quotes, if all rows are good.
        faults, faults_inverted: quotes that stand where none may, in that view and in the inverted one.
    """

    text: npt.NDArray[np.uint8]
    delimiters: Words
    line_ends: Words
    inside: Words
    faults: Words
    faults_inverted: Words


@dataclass(frozen=True, slots=True)
class Faults:
    """Why lines are refused on which a row starts; arrays of one item for each.

    Attributes:
        kinds: numbers of `FaultKind`.
        cells: numbers of the cells, from 0; of `ROW_WIDTH` how many cells there are.
        lines: physical lines from the start of the row to the fault.
    """

    kinds: Offsets
    cells: Offsets
    lines: Offsets

    def first(self, count: int) -> "Faults":
        """The first ones."""
        return Faults(self.kinds[:count], self.cells[:count], self.lines[:count])


class LineStarts:
    """What would become of a row that starts on each line of a window; arrays of one item for each line.

    Attributes:
        count: lines that end in sight; at the end of the file the last one needs no line end.
        starts, ends: offsets of the lines; `starts` has one more.
        row_end: where the row ends; far where that is not in sight.
        widths: cells of the row, where its end is in sight.
        next: number of the line on which the next row starts.
        faulty: whether the row is none, and only its first line is refused.
        is_single: whether the row, or what is refused of it, is the line.
        is_over: whether more than `max_row_bytes` are needed to tell.
        tail_is_faulty: whether the line behind the last one has a fault if a row starts on it.
    """

    def __init__(self, masks: Masks, *, at_end: bool, max_row_lines: int, expected: Expected | None) -> None:
        self._masks, self._size = masks, masks.text.size
        ends = positions(masks.line_ends)
        whole = ends.size
        if at_end and self._size > (int(ends[-1]) + 1 if whole else 0):
            ends = np.append(ends, self._size)
        self.ends, self.count = ends, ends.size
        self.starts = np.concatenate((np.zeros(1, np.int64), ends + 1))
        quoted = bits(masks.inside, np.minimum(ends, self._size - 1))
        # In which view a row may start on the line.
        self._inverted = np.concatenate((np.zeros(1, np.bool_), quoted))
        self._ranks = [rank(masks.delimiters & ~masks.inside, ends), rank(masks.delimiters & masks.inside, ends)]
        self._see(quoted)
        self._beyond = np.full(self.count, _FAR, np.int64)
        self._beyond[: max(0, whole - max_row_lines + 1)] = ends[max_row_lines - 1 : whole]
        self._judge(at_end, expected)

    def _see(self, quoted: Flags) -> None:
        """Where the rows end, and where the first quote stands that is wrong in their view."""
        count, inverted = self.count, self._inverted[:-1]
        last = np.full(count, count, np.int64)
        fault = np.full(count + 1, _FAR, np.int64)
        numbers = np.arange(count)
        for view, faults in ((False, self._masks.faults), (True, self._masks.faults_inverted)):
            mine = inverted == view
            np.copyto(last, _next_of(np.where(quoted == view, numbers, count)), where=mine)
            np.copyto(fault, _first_from(positions(faults), self.starts), where=self._inverted == view)
        self._first_fault = fault[:-1]
        self.tail_is_faulty = bool(fault[-1] != _FAR)
        self._last = last
        self.row_end = np.append(self.ends, _FAR)[last]
        before = np.where(
            inverted, *(np.concatenate((np.zeros(1, np.int64), ranks))[:-1] for ranks in self._ranks[::-1])
        )
        until = np.where(inverted, *(np.append(ranks, 0)[last] for ranks in self._ranks[::-1]))
        self._cells_before: Offsets = before
        self.widths: Offsets = until - before + 1

    def _judge(self, at_end: bool, expected: Expected | None) -> None:
        """What becomes of the rows."""
        has_end = self.row_end != _FAR
        lines = self._last - np.arange(self.count) + 1
        self._too_long = self._beyond < np.minimum(self._first_fault, self.row_end)
        if expected is None:
            self._too_long &= ~has_end
        self._wrong_quote = ~self._too_long & (self._first_fault < self.row_end)
        is_open = ~has_end & ~self._too_long & ~self._wrong_quote
        self.faulty: Flags = self._too_long | self._wrong_quote | (is_open & at_end)
        self._undecided = is_open & (not at_end)
        self.is_over = np.zeros(self.count, np.bool_)
        comments = np.zeros(self.count, np.bool_)
        if expected is not None:
            self.faulty |= has_end & (lines > 1) & (self.widths != expected.width)
            reach = np.minimum(np.minimum(self._first_fault + 1, self._beyond), self.row_end)
            reach = np.maximum(np.minimum(reach, self._size), self.ends)
            self.is_over = (reach - self.starts[:-1] > expected.max_row_bytes) & ~self._undecided
            if expected.comment is not None:
                comments = self._masks.text[np.minimum(self.starts[:-1], self._size - 1)] == expected.comment
        self.faulty &= ~comments
        self._undecided &= ~comments
        self.is_over &= ~comments
        self.is_single: Flags = self.faulty | comments
        self.next = np.where(self.is_single, np.arange(self.count), self._last) + 1

    def follow(self) -> tuple[Offsets, int]:
        """The lines on which rows start, and the first one that is not known to become one."""
        stops = self._undecided | self.is_over
        jumps = np.flatnonzero((self.next > np.arange(1, self.count + 1)) | stops)
        at, stop = 0, self.count
        froms, tos = [], []
        for line, after, stops_here in zip(
            jumps.tolist(), self.next[jumps].tolist(), stops[jumps].tolist(), strict=True
        ):
            if line < at:
                continue
            if stops_here:
                stop = line
                break
            froms.append(line + 1)
            tos.append(after)
            at = after
        passed = np.zeros(self.count + 1, np.int8)
        passed[froms] = 1
        passed[tos] -= 1
        return np.flatnonzero(np.cumsum(passed[:stop], dtype=np.int8) == 0), stop

    def explain(self, rows: Offsets) -> Faults:
        """Why these rows are faulty."""
        too_long, wrong_quote = self._too_long[rows], self._wrong_quote[rows]
        wrong_width = ~too_long & ~wrong_quote & (self.row_end[rows] != _FAR)
        where = np.where(too_long, self._beyond[rows], np.where(wrong_quote, self._first_fault[rows], self._size))
        masks, inverted = self._masks, self._inverted[rows]
        seen = rank(masks.delimiters & ~masks.inside, where)
        seen = np.where(inverted, rank(masks.delimiters & masks.inside, where), seen)
        opens = bits(masks.inside, np.minimum(where, self._size - 1)) ^ inverted
        kinds = np.where(opens, FaultKind.BARE_QUOTE, FaultKind.TEXT_AFTER_QUOTE)
        kinds = np.where(wrong_quote, kinds, FaultKind.UNCLOSED_QUOTE)
        kinds = np.where(too_long, FaultKind.QUOTED_CELL_TOO_LONG, kinds)
        kinds = np.where(wrong_width, FaultKind.ROW_WIDTH, kinds).astype(np.int64)
        lines = np.where(wrong_quote, np.searchsorted(self.ends, where), np.where(wrong_width, self._last[rows], rows))
        return Faults(
            kinds, np.where(wrong_width, self.widths[rows], seen - self._cells_before[rows]), lines - rows + 1
        )

    def view_of(self, rows: Offsets, words: int) -> Words:
        """Bits of the bytes that are to be seen the other way round."""
        inverted = self._inverted[rows]
        changes = np.flatnonzero(inverted != np.concatenate((np.zeros(1, np.bool_), inverted[:-1])))
        return inside_of(mask_at(self.starts[rows[changes]], words))


def _next_of(numbers: Offsets) -> Offsets:
    """The least number from each place on."""
    least: Offsets = np.minimum.accumulate(numbers[::-1])[::-1]
    return least


def _first_from(offsets: Offsets, starts: Offsets) -> Offsets:
    """The first of `offsets` at or behind each start, far where there is none; both ascend."""
    found: Offsets = np.append(offsets, _FAR)[np.searchsorted(offsets, starts)]
    return found
