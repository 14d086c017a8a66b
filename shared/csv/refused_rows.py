"""Which rows of a window are refused, and why: for all of them at once, in the words of the careful reader."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.csv.bad_bytes import invalid_utf8, nul_bytes
from shared.csv.bit_masks import Flags, Offsets
from shared.csv.explain_row import RowRead
from shared.csv.row_fault import FaultKind, RowFault, fault_of
from shared.csv.structure import Structure
from shared.domain.csv_dialect import CsvLimits
from shared.domain.errors import AccountingError

_LINES_BITS, _KIND_BITS = 20, 4
_GOOD = -1


@dataclass(frozen=True, slots=True)
class Refused:
    """Arrays of one item for each refused row, ascending.

    Attributes:
        rows: numbers of the rows.
        ends: where the text ends that is shown of them.
        numbers: the fault of each, a number in `faults`.
        is_bad: whether the text holds, or may hold, bytes that are no text.
    """

    rows: Offsets
    ends: Offsets
    numbers: Offsets
    is_bad: Flags
    faults: list[RowFault]


def refused_rows(
    rows: Structure,
    source: bytes,
    skipped: Flags,
    width: int,
    limits: CsvLimits,
    read: Callable[[int], RowRead | None],
) -> Refused:
    """Says which rows are refused.

    Args:
        source: the bytes of the rows.
        skipped: lines that are no rows.
        width: columns of the file.
        read: reads the row at an offset of `source` with the careful reader.
    """
    count = rows.starts.size
    kinds, cells, lines = np.full(count, _GOOD), rows.widths.copy(), np.ones(count, np.int64)
    kinds[(rows.widths != width) & ~skipped] = FaultKind.ROW_WIDTH
    kinds[rows.faulty], cells[rows.faulty] = rows.faults.kinds, rows.faults.cells
    lines[rows.faulty] = rows.faults.lines
    # Whether a cell of them is too long, nothing but reading can tell; they are few.
    long = ~skipped & ~rows.faulty & (rows.ends - rows.starts > min(limits.max_field_bytes, limits.max_row_bytes))
    is_bad = np.zeros(count, np.bool_)
    for kind, offsets in ((FaultKind.NUL_BYTE, nul_bytes(source)), (FaultKind.BAD_BYTES, invalid_utf8(source))):
        if offsets.size:
            hit, first = np.unique(np.searchsorted(rows.starts, offsets, "right") - 1, return_index=True)
            is_bad[hit] = True
            told = (kinds[hit] == _GOOD) & ~skipped[hit]
            kinds[hit[told]] = kind
            cells[hit[told]] = rows.cell_of(hit[told], offsets[first[told]])
    kinds[long] = _GOOD
    which = np.flatnonzero(kinds != _GOOD)
    keys = (cells[which] << (_LINES_BITS + _KIND_BITS)) | (lines[which] << _KIND_BITS) | kinds[which]
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    faults = [
        fault_of(FaultKind(int(kinds[row])), int(cells[row]), int(lines[row]), width, limits)
        for row in which[first].tolist()
    ]
    refused = Refused(which, rows.ends[which], numbers, is_bad[which], faults)
    return _with_long(refused, rows, np.flatnonzero(long), width, read) if long.any() else refused


def _with_long(
    refused: Refused,
    rows: Structure,
    long: Offsets,
    width: int,
    read: Callable[[int], RowRead | None],
) -> Refused:
    """Adds those of the long rows that the careful reader refuses."""
    faults, ends, more = list(refused.faults), [], []
    for row in long.tolist():
        found = read(int(rows.starts[row]))
        if found is not None and found.fault is not None:
            faults.append(found.fault)
            ends.append(found.end)
            more.append(row)
        elif rows.widths[row] != width:
            raise AccountingError("RowFault", "a row is refused without a reason")
    numbers = np.arange(len(refused.faults), len(faults))
    joined = np.concatenate((refused.rows, np.array(more, np.int64)))
    order = np.argsort(joined)
    return Refused(
        joined[order],
        np.concatenate((refused.ends, np.array(ends, np.int64)))[order],
        np.concatenate((refused.numbers, numbers))[order],
        # What is shown may end within a character.
        np.concatenate((refused.is_bad, np.ones(len(more), np.bool_)))[order],
        faults,
    )
