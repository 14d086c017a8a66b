"""Unpacking gzip, a little at a time."""

import zlib
from collections.abc import Iterable, Iterator

from shared.domain.errors import DataError

PART_BYTES = 1 << 16
"""What is packed is best taken in such parts: what one call does not unpack is copied for the next one."""
_PIECE = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
# Ratios of the first bytes say nothing: a header and one long run of equal bytes. At the end every size
# counts.
_RATIO_FROM = 1 << 18


def gunzip(parts: Iterable[bytes], max_ratio: int) -> Iterator[bytes]:
    """Unpacks gzip members one after the other, at most `_PIECE` bytes at a time.

    A part may well yield nothing: empty members, padding and names are of any length. So `parts` is where whoever
    wants an end of it looks at time and size.

    Raises:
        DataError: `NotGzip`, `BadGzip`; `TooLarge`, what comes out is more than `max_ratio` times what went in.
    """
    packed = unpacked = 0
    member: zlib._Decompress | None = None
    started = False
    rest = b""
    for part in parts:
        rest += part
        packed += len(part)
        while rest or member is not None:
            if member is None:
                rest = rest.lstrip(b"\0") if started else rest  # tape and tar tools pad with NUL
                if len(rest) < 2:
                    break
                _check_magic(rest, started)
                member, started = zlib.decompressobj(31), True
            piece = _unpack(member, rest)
            rest = member.unused_data if member.eof else member.unconsumed_tail
            unpacked += len(piece)
            if unpacked > _RATIO_FROM and unpacked > max_ratio * (packed - len(rest)):
                raise _ratio_error(max_ratio)
            if piece:
                yield piece
            if member.eof:
                member = None
            elif len(piece) < _PIECE:
                break  # all that came in is used up
    if rest:
        _check_magic(rest, started)
    if rest or member is not None:
        raise _bad_gzip("it ends in the middle")
    if unpacked > max_ratio * packed:
        raise _ratio_error(max_ratio)


def _unpack(member: "zlib._Decompress", packed: bytes) -> bytes:
    try:
        return member.decompress(packed, _PIECE)
    except zlib.error:
        raise _bad_gzip("its content does not agree with its checks") from None


def _check_magic(data: bytes, started: bool) -> None:
    if data.startswith(_GZIP_MAGIC):
        return
    if started:
        raise _bad_gzip("something that is no gzip follows its last member")
    raise DataError(
        "NotGzip",
        "The name or the content encoding of the blob says gzip, but it is none. Upload it packed, or rename it.",
    )


def _bad_gzip(what: str) -> DataError:
    return DataError("BadGzip", f"The gzip file is damaged: {what}. Upload it again.")


def _ratio_error(max_ratio: int) -> DataError:
    return DataError(
        "TooLarge",
        f"The gzip file unpacks to more than {max_ratio} times its size. Upload it unpacked, or raise MAX_GZIP_RATIO.",
    )
