"""Bytes that are no text: NUL, and what is no UTF-8."""

import numpy as np
import pyarrow as pa

from shared.csv.bit_masks import Offsets

_NONE = np.zeros(0, np.int64)


def bad_bytes(text: bytes) -> Offsets:
    """Offsets of bytes that are no text, ascending: every NUL, and on each line with invalid UTF-8 at least one."""
    return np.union1d(nul_bytes(text), invalid_utf8(text))


def nul_bytes(text: bytes) -> Offsets:
    """Offsets of NUL bytes, ascending."""
    return np.flatnonzero(np.frombuffer(text, np.uint8) == 0) if b"\0" in text else _NONE


def invalid_utf8(text: bytes) -> Offsets:
    """Offsets at which UTF-8 breaks, ascending.

    The first one of a line stands on its first bad byte, or behind a character that is cut short: there in the same
    cell, since that may be the delimiter or the line end that follows the cell, and no further.
    """
    return _NONE if _is_utf8(text) else _breaks(np.frombuffer(text, np.uint8))


def _is_utf8(text: bytes) -> bool:
    """pyarrow's check of one value that is the whole text; no copy, and thrice as fast as decoding."""
    if text.isascii():
        return True
    offsets = pa.array([0, len(text)], pa.int64()).buffers()[1]
    value = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(text)])
    try:
        value.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _breaks(octets: "np.typing.NDArray[np.uint8]") -> Offsets:
    """Where a byte is no part of a character, or another one should stand (RFC 3629, section 4)."""
    size = octets.size
    text = np.concatenate((octets, np.zeros(1, np.uint8)))  # a character may be cut short by the end
    follows = (text & 0xC0) == 0x80
    # Which bytes must follow: one behind each lead byte, and more as long as those before them are there.
    wanted = np.zeros(text.size, np.bool_)
    wanted[1:] = text[:-1] >= 0xC2
    for before, least in ((2, 0xE0), (3, 0xF0)):
        longer = text[:-before] >= least
        for step in range(1, before):
            longer &= follows[step : step - before]
        wanted[before:] |= longer
    wrong = follows != wanted
    wrong |= (text == 0xC0) | (text == 0xC1) | (text >= 0xF5)
    # Overlong forms, surrogates, and what is beyond U+10FFFF show in the second byte.
    lead, second = text[:-1], text[1:]
    for value, low, high in ((0xE0, 0xA0, 0xBF), (0xED, 0x80, 0x9F), (0xF0, 0x90, 0xBF), (0xF4, 0x80, 0x8F)):
        wrong[1:] |= (lead == value) & follows[1:] & ((second < low) | (second > high))
    return np.minimum(np.flatnonzero(wrong), size - 1)
