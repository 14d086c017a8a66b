"""The structural scan: which bytes of a window are rows, how wide they are, and where the quote grammar
breaks.

It works on bit masks, one bit per byte. The prefix XOR of the quote bits says which bytes are inside quotes;
then two tests prove RFC 4180: an opening quote follows the start, a delimiter, a line end or a quote, and a
closing quote is followed by a delimiter, a line end, the end or a quote. Nothing else has to be trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.csv.bit_masks import (
    Flags,
    Offsets,
    Words,
    bits,
    following,
    inside_of,
    mask_of,
    positions,
    preceding,
    rank,
)
from shared.csv.row_starts import Expected, Faults, LineStarts, Masks

_LF, _CR = 10, 13
_ONE = np.uint64(1)
_NO_FAULTS = Faults(*[np.zeros(0, np.int64)] * 3)


@dataclass(slots=True)
class Structure:
    """The complete rows at the start of a window; blank lines are rows whose start is their end.

    Attributes:
        starts, ends: offsets of each row's text from the start of the window, line end not included.
        widths: cells of each row.
        lines: physical lines of each row.
        used: bytes of the rows with their line ends.
        broken: whether the row that starts at `used` is known to break the grammar.
        faulty: which rows are no rows, but lines on which a row starts that is refused.
        faults: why, in the order of those rows.
        cells: the delimiters between cells.
    """

    starts: Offsets
    ends: Offsets
    widths: Offsets
    lines: Offsets
    used: int
    broken: bool
    faulty: Flags
    faults: Faults
    cells: Words

    def before(self, row: int) -> "Structure":
        """The rows before `row`, which is broken."""
        first = slice(row)
        faulty = self.faulty[first]
        return Structure(
            self.starts[first],
            self.ends[first],
            self.widths[first],
            self.lines[first],
            int(self.starts[row]),
            broken=True,
            faulty=faulty,
            faults=self.faults.first(int(np.count_nonzero(faulty))),
            cells=self.cells,
        )

    def without(self, rows: Sequence[int] | Offsets, window: bytes) -> list[bytes]:
        """The pieces of `window` that hold all rows but `rows`, which ascend."""
        left_out = np.asarray(rows, np.int64)
        froms = np.concatenate((np.zeros(1, np.int64), np.append(self.starts, self.used)[left_out + 1]))
        tos = np.append(self.starts[left_out], self.used)
        there = froms < tos
        return [window[at:end] for at, end in zip(froms[there].tolist(), tos[there].tolist(), strict=True)]

    def cell_of(self, rows: Offsets, offsets: Offsets) -> Offsets:
        """The number of the cell, from 0, in which each offset stands; `rows` says in which row."""
        cells: Offsets = rank(self.cells, offsets) - rank(self.cells, self.starts[rows])
        return cells


def scan(
    data: bytes,
    start: int,
    stop: int,
    *,
    at_end: bool,
    delimiter: int,
    quote: int | None,
    max_row_lines: int,
    max_lines: int | None = None,
    max_faulty: int = 0,
    expected: Expected | None = None,
) -> Structure:
    """Scans `data[start:stop]`, which must begin at the start of a row.

    Args:
        data: UTF-8 text.
        start, stop: the window.
        at_end: whether the file ends at `stop`.
        delimiter, quote: byte values below 128; no quote where cells are never quoted. Quotes are escaped by
            doubling.
        max_row_lines: an open row that runs over more lines is broken.
        max_lines: the window ends with so many physical lines: a structure has dozens of bytes for each.
        max_faulty: of so many rows that break the grammar the first line is passed over; the next one stops the scan.
        expected: rows over several lines that are others are faulty as well, and longer ones stop the scan.
    """
    if not at_end and stop > start and data[stop - 1] == _CR:
        stop -= 1  # it may be half a CRLF
    size = stop - start
    window = np.frombuffer(data, np.uint8, size, start)
    words = size // 64 + 1
    delimiters = mask_of(window, delimiter, words)
    line_feeds = mask_of(window, _LF, words)
    returns = mask_of(window, _CR, words) if data.find(b"\r", start, stop) >= 0 else None
    line_ends = line_feeds if returns is None else line_feeds | (returns & ~following(line_feeds))
    if max_lines is not None and int(np.bitwise_count(line_ends).sum()) > max_lines:
        return scan(
            data,
            start,
            start + int(positions(line_ends)[max_lines - 1]) + 1,
            at_end=False,
            delimiter=delimiter,
            quote=quote,
            max_row_lines=max_row_lines,
            max_faulty=max_faulty,
            expected=expected,
        )
    if quote is None or data.find(quote, start, stop) < 0:
        found = _rows_as_they_end(delimiters, line_ends, None, size, at_end=at_end)
    else:
        quotes = mask_of(window, quote, words)
        ends_of_cells = delimiters | line_feeds if returns is None else delimiters | line_feeds | returns
        limits = _Limits(at_end, max_row_lines, max_faulty, expected)
        found = _rows_with_quotes(window, quotes, ends_of_cells | quotes, delimiters, line_ends, limits)
    if returns is not None and found.ends.size:
        found.ends = found.ends - _is_crlf(window, found.ends)
    return found


class _Limits(NamedTuple):
    at_end: bool
    max_row_lines: int
    max_faulty: int
    expected: Expected | None


def _rows_with_quotes(
    window: npt.NDArray[np.uint8], quotes: Words, around: Words, delimiters: Words, line_ends: Words, limits: _Limits
) -> Structure:
    """The rows of a window that has quotes; `around` are the bytes that a quote may stand beside."""
    at_end, max_row_lines, max_faulty, expected = limits
    size = window.size
    inside = inside_of(quotes)
    faults = _faults(quotes, inside, around, size)
    found = _rows_as_they_end(delimiters, line_ends, inside, size, at_end=at_end)
    if not faults.any() and not _is_doubtful(found, window, line_ends, inside, limits):
        return found
    masks = Masks(window, delimiters, line_ends, inside, faults, _faults(quotes, ~inside, around, size))
    lines = LineStarts(masks, at_end=at_end, max_row_lines=max_row_lines, expected=expected)
    return _rows_by_line(masks, lines, max_faulty)


def _rows_as_they_end(
    delimiters: Words, line_ends: Words, inside: Words | None, size: int, *, at_end: bool
) -> Structure:
    """The rows of a window in which no quote is wrong."""
    cells = delimiters if inside is None else delimiters & ~inside
    ends = positions(line_ends if inside is None else line_ends & ~inside)
    used = int(ends[-1]) + 1 if ends.size else 0
    if at_end and used < size and (inside is None or not _is_open(inside, size)):
        ends = np.append(ends, size)
        used = size
    widths = np.diff(rank(cells, ends), prepend=0) + 1
    lines = np.ones(ends.size, np.int64) if inside is None else _lines_of(ends, line_ends, size)
    starts = np.concatenate((np.zeros(1, np.int64), ends + 1))[: ends.size]
    none = np.zeros(ends.size, np.bool_)
    return Structure(starts, ends, widths, lines, used, broken=False, faulty=none, faults=_NO_FAULTS, cells=cells)


def _is_doubtful(
    found: Structure, window: npt.NDArray[np.uint8], line_ends: Words, inside: Words, limits: _Limits
) -> bool:
    """Whether a row is broken, or none, although no quote is wrong.

    In a comment quotes mean nothing: where one seems to lead to the next line, the scan was led astray.
    """
    at_end, max_row_lines, _, expected = limits
    used, size = found.used, window.size
    if used < size and _is_open(inside, size):
        # A quote is open: the end of the file or too many lines settle it, else more text may close it.
        lines = rank(line_ends, np.array([used, size]))
        if at_end or int(lines[1] - lines[0]) >= max_row_lines:
            return True
        if expected is not None and window[used] == expected.comment:
            return True
    return expected is not None and _has_others(found, window, max_row_lines, expected)


def _has_others(found: Structure, window: npt.NDArray[np.uint8], max_row_lines: int, expected: Expected) -> bool:
    """Whether some row over several lines is not as expected."""
    several = np.flatnonzero(found.lines > 1)
    if not several.size:
        return False
    starts, ends = found.starts[several], found.ends[several]
    others = (found.widths[several] != expected.width) | (found.lines[several] > max_row_lines)
    others |= ends - starts > expected.max_row_bytes
    if expected.comment is not None:
        others |= window[starts] == expected.comment
    return bool(others.any())


def _rows_by_line(masks: Masks, lines: LineStarts, max_faulty: int) -> Structure:
    """The rows of a window in which some are broken."""
    rows, stop = lines.follow()
    faulty = lines.faulty[rows]
    refused = np.flatnonzero(faulty)
    # A row that is longer than allowed is known to be broken; one whose end is not in sight is not, but for a fault.
    broken = bool(lines.is_over[stop]) if stop < lines.count else lines.tail_is_faulty
    if refused.size > max_faulty:
        next_one = int(refused[max_faulty])
        rows, faulty, stop, broken = rows[:next_one], faulty[:next_one], int(rows[next_one]), True
    return Structure(
        starts=lines.starts[rows],
        ends=np.where(lines.is_single[rows], lines.ends[rows], lines.row_end[rows]),
        widths=lines.widths[rows],
        lines=lines.next[rows] - rows,
        used=min(int(lines.starts[stop]), masks.text.size),
        broken=broken,
        faulty=faulty,
        faults=lines.explain(rows[faulty]),
        cells=masks.delimiters & ~(masks.inside ^ lines.view_of(rows, masks.inside.size)),
    )


def _is_open(inside: Words, size: int) -> bool:
    """Whether a quote is open at the end of the window."""
    return bool(bits(inside, np.array([size - 1]))[0])


def _faults(quotes: Words, inside: Words, around: Words, size: int) -> Words:
    """The quotes that RFC 4180 does not allow where they stand."""
    followed = following(around)
    followed[(size - 1) >> 6] |= _ONE << np.uint64((size - 1) & 63)
    wrong: Words = quotes & ((inside & ~preceding(around)) | (~inside & ~followed))
    return wrong


def _lines_of(ends: Offsets, line_ends: Words, size: int) -> Offsets:
    """Physical lines of each row."""
    # The last row of a file may end without a line end, at the window's size.
    lines: Offsets = np.diff(rank(line_ends, np.minimum(ends + 1, size)), prepend=0) + (ends == size)
    return lines


def _is_crlf(window: npt.NDArray[np.uint8], ends: Offsets) -> Flags:
    """Which rows end with the LF of a CRLF."""
    last = np.minimum(ends, window.size - 1)
    feed, before = window[last] == _LF, window[np.maximum(last - 1, 0)] == _CR
    found: Flags = feed & before & (ends < window.size)
    return found
