"""From the bytes of a blob to UTF-8 text: unpacking, the limit on size, byte order marks, transcoding.

What cannot be decoded stays visible: each such byte becomes a mark that is no valid UTF-8, so that the
reader refuses the row it stands in and nothing else, and `TextStream.show` writes it as `\\xNN`.
"""

import codecs
import re
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from shared.csv.bit_masks import Flags, Offsets
from shared.csv.gunzip import PART_BYTES, gunzip
from shared.csv.reading_time import ReadingTime, too_large
from shared.domain.csv_dialect import CsvLimits, check_encoding
from shared.domain.errors import DataError

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Without a mark these two are what Windows writes; Python's own would refuse the file.
_WITHOUT_MARK = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
_UTF8 = frozenset({"utf-8", "utf-8-sig"})
# A lone surrogate is no text in any encoding; U+DC00 + N stands for the undecodable byte N.
_UNDECODABLE = re.compile("[\udc00-\udcff]")


def _mark_unit(error: UnicodeError) -> tuple[str, int]:
    """Marks the whole undecodable unit; for encodings whose units are two or four bytes."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


def _mark_byte(error: UnicodeError) -> tuple[str, int]:
    """Marks one byte and decodes on behind it, so that a broken character swallows no quote or line end."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return chr(0xDC00 + error.object[error.start]), error.start + 1


codecs.register_error("connectorhub.mark_unit", _mark_unit)
codecs.register_error("connectorhub.mark_byte", _mark_byte)


class TextStream:
    """UTF-8 text of a file, in pieces, without byte order mark.

    Args:
        chunks: the blob's bytes; pieces of any size.
        encoding: encoding of a file without byte order mark.
        gzipped: whether the blob is a gzip file.
        limits: sizes that refuse the file, packed or unpacked.
        time: how long it may take, where other passes count as well; else that of the limits, from now on.

    Attributes:
        encoding: what the file is written in; where it has a byte order mark, known once reading has begun.

    Raises:
        DataError: `BadEncoding`; and while it is read `NotGzip`, `BadGzip`, `TooLarge` or `TooSlow`.
        UnavailableError: `SourceTooSlow`, `ReadingHeldUp`; the time was up, and most of it went by in waiting.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        encoding: str,
        *,
        gzipped: bool = False,
        limits: CsvLimits | None = None,
        time: ReadingTime | None = None,
    ) -> None:
        try:
            check_encoding(encoding)
        except ValueError as error:
            raise DataError("BadEncoding", str(error)) from None
        limits = limits or CsvLimits()
        time = time or ReadingTime(limits.max_seconds)
        plain = time.waiting(chunks)
        if gzipped:
            parts = _limited(_in_parts(plain), limits.max_blob_bytes, time, packed=True)
            plain = gunzip(parts, limits.max_gzip_ratio)
        self._chunks = _limited(plain, limits.max_blob_bytes, time)
        name = codecs.lookup(encoding).name
        self.encoding = _WITHOUT_MARK.get(name, name)

    @property
    def transcoded(self) -> bool:
        """Whether the text is another byte sequence than the file."""
        return self.encoding not in _UTF8

    def __iter__(self) -> Iterator[bytes]:
        pieces = self._without_mark()
        yield from filter(None, self._transcode(pieces) if self.transcoded else pieces)

    def _without_mark(self) -> Iterator[bytes]:
        """The bytes behind the byte order mark, which says what the encoding is."""
        head = b""
        for chunk in self._chunks:
            head += chunk
            if len(head) >= 4:
                break
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                self.encoding = encoding
                head = head[len(mark) :]
                break
        return _followed(head, self._chunks)

    def _transcode(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        wide = self.encoding.startswith(("utf-16", "utf-32"))
        errors = "connectorhub.mark_unit" if wide else "connectorhub.mark_byte"
        decoder = codecs.getincrementaldecoder(self.encoding)(errors)
        for piece in pieces:
            yield self._decode(decoder, piece)
        yield self._decode(decoder, b"", final=True)

    def _decode(self, decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False) -> bytes:
        try:
            return decoder.decode(piece, final).encode("utf-8", "surrogatepass")
        except UnicodeError:
            # Decoders with shift sequences give up on some input without asking the error handler.
            raise DataError(
                "BadEncoding", f"The file cannot be read as {self.encoding}. Declare the encoding it is written in."
            ) from None

    def show(self, text: bytes, limit: int) -> str:
        """The text as people may read it: bad bytes and NUL as `\\xNN`, at most `limit` bytes of UTF-8."""
        # A character cut in two would look like bad bytes: cut before it.
        cut = limit
        while cut > limit - 3 and len(text) > limit and text[cut] & 0xC0 == 0x80:
            cut -= 1
        text = text[:cut]
        if self.transcoded:
            shown = text.decode("utf-8", "surrogatepass")
            shown = _UNDECODABLE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", shown)
            shown = shown.encode("utf-8", "backslashreplace").decode()
        else:
            shown = text.decode("utf-8", "backslashreplace")
        shown = shown.replace("\0", "\\x00")
        return shown if len(shown) * 4 <= limit else shown.encode()[:limit].decode("utf-8", "ignore")

    def show_all(self, text: bytes, starts: Offsets, ends: Offsets, limit: int, bad: Flags | None = None) -> pa.Array:
        """What `show` makes of each piece of a text, as large strings.

        Args:
            starts, ends: offsets of the pieces, one behind the other.
            bad: which of them hold bad bytes or NUL; none where it is not given.
        """
        if not starts.size:
            return pa.array([], pa.large_string())
        # Every other string is one between the pieces.
        offsets = np.stack((starts, ends), axis=1).reshape(-1)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
        whole = pa.Array.from_buffers(pa.large_string(), offsets.size - 1, buffers)
        alone = ends - starts > limit
        if bad is not None:
            alone |= bad
        if not alone.any():
            return whole.take(pa.array(np.arange(0, offsets.size, 2)))
        # One byte over the limit and the four of a character: enough to cut the text where a character ends.
        cuts = zip(starts[alone].tolist(), np.minimum(ends[alone], starts[alone] + limit + 5).tolist(), strict=True)
        shown = pa.array([self.show(text[start:end], limit) for start, end in cuts], pa.large_string())
        # The bad ones are behind the others, and then each goes where it belongs.
        order = np.empty(starts.size, np.int64)
        order[~alone] = np.arange(starts.size - len(shown))
        order[alone] = np.arange(starts.size - len(shown), starts.size)
        return pa.concat_arrays([whole.take(pa.array(2 * np.flatnonzero(~alone))), shown]).take(pa.array(order))


def _followed(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    del first  # it may be large, and is not to be held for as long as the others are read
    yield from others


def _in_parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), PART_BYTES):
            yield bytes(chunk[start : start + PART_BYTES])


def _limited(chunks: Iterable[bytes], most: int, time: ReadingTime, *, packed: bool = False) -> Iterator[bytes]:
    """The chunks, as long as there is time and they are not too many, whatever is made of them."""
    size = 0
    for chunk in chunks:
        time.check(f"its byte {size} ({'packed' if packed else 'unpacked'})")
        size += len(chunk)
        if size > most:
            raise too_large(most)
        yield bytes(chunk)
