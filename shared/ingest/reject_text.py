"""Rejects as lines of CSV, byte for byte what `csv.writer` makes of them."""

import re
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.csv.rejects import Reason, Rejects

_MUST_BE_QUOTED = re.compile('[",\r\n]')


def reject_text(rejects: Rejects) -> pa.Buffer | bytes:
    """The lines of these rejects in UTF-8, in their order."""
    if not len(rejects):
        return b""
    raw = rejects.raw
    quoted = pc.replace_substring(raw, '"', '""')
    quoted = pc.binary_join_element_wise(_large(""), quoted, _large(""), _large('"'))
    raw = pc.if_else(pc.match_substring_regex(raw, _MUST_BE_QUOTED.pattern), quoted, raw)
    used, numbers = np.unique(rejects.numbers, return_inverse=True)
    reasons = pa.array([_cells(rejects.reasons[number]) for number in used.tolist()], pa.large_string())
    lines = pc.cast(pa.array(rejects.lines), pa.large_string())
    cells = pc.binary_join_element_wise(lines, reasons.take(pa.array(numbers)), raw, _large(","))
    text = pc.binary_join_element_wise(cells, _large(""), _large("\n"))
    # One behind the other, the values of the array are the text.
    _, offsets, values = text.buffers()
    first, end = np.frombuffer(offsets, np.int64)[[text.offset, text.offset + len(text)]].tolist()
    return values[first:end]


def _cells(reason: Reason) -> str:
    return f"{_excerpt(reason.column, reason.code)},{_cell(reason.message)}"


@lru_cache(1024)
def _excerpt(column: str | None, code: str) -> str:
    """The cells that are the same for many reasons: a message may name a line."""
    return f"{_cell(column or '')},{_cell(code)}"


def _cell(text: str) -> str:
    return f'"{text.replace('"', '""')}"' if _MUST_BE_QUOTED.search(text) else text


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())
