"""Bit masks over the bytes of a window, one bit per byte, 64 of them in a word."""

import threading

import numpy as np
import numpy.typing as npt

type Words = npt.NDArray[np.uint64]
type Offsets = npt.NDArray[np.int64]
type Flags = npt.NDArray[np.bool_]

_ONE = np.uint64(1)
_TOP = np.uint64(63)
_SHIFTS = [np.uint64(1 << power) for power in range(6)]
# Bits in a word, on average, from which unpacking all of them is cheaper; some of the words tell.
_DENSE = 6
_SAMPLED = 32
_scratch = threading.local()


def mask_of(window: npt.NDArray[np.uint8], byte: int, words: int) -> Words:
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


def inside_of(quotes: Words) -> Words:
    """Bits from each opening quote to the byte before its closing quote: the prefix XOR of the quote bits."""
    inside = quotes.copy()
    for shift in _SHIFTS:
        inside ^= inside << shift
    parity = np.bitwise_xor.accumulate(inside >> _TOP)
    inside[1:] ^= np.uint64(0) - parity[:-1]
    return inside


def following(mask: Words) -> Words:
    """Bit i says what bit i + 1 of `mask` says."""
    shifted = mask >> _ONE
    shifted[:-1] |= mask[1:] << _TOP
    return shifted


def preceding(mask: Words) -> Words:
    """Bit i says what bit i - 1 of `mask` says; before the first byte stands a row's start, which is set."""
    shifted = mask << _ONE
    shifted[1:] |= mask[:-1] >> _TOP
    shifted[0] |= _ONE
    return shifted


def bits(mask: Words, offsets: Offsets) -> Flags:
    """Which of the offsets have their bit set."""
    found: Flags = ((mask[offsets >> 6] >> (offsets & 63).astype(np.uint64)) & _ONE).astype(np.bool_)
    return found


def mask_at(offsets: Offsets, words: int) -> Words:
    """A mask with these bits set."""
    flags = np.zeros(words * 64, np.bool_)
    flags[offsets] = True
    return np.packbits(flags, bitorder="little").view(np.uint64)


def positions(mask: Words) -> Offsets:
    """Offsets of the set bits, ascending; word by word, far cheaper than unpacking where bits are sparse."""
    sample = mask[::_SAMPLED]
    if int(np.bitwise_count(sample).sum()) > _DENSE * sample.size:
        return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
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


def rank(mask: Words, offsets: Offsets) -> Offsets:
    """How many bits are set before each offset."""
    before = np.zeros(mask.size + 1, np.int64)
    np.cumsum(np.bitwise_count(mask), out=before[1:])
    word = offsets >> 6
    below = (_ONE << (offsets & 63).astype(np.uint64)) - _ONE
    ranks: Offsets = before[word] + np.bitwise_count(mask[word] & below)
    return ranks
