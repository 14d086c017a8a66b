"""How a file seems to be written: encoding and delimiter, with the reason for each.

Ingestion guesses nothing. Here it is allowed: a person sees what is proposed, and declares it or not.
"""

import codecs
import re
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from shared.connectors.azure_blob.reader import limits_of
from shared.csv.decode import TextStream
from shared.csv.read_csv import read_csv
from shared.csv.reading_time import ReadingTime
from shared.domain.csv_dialect import CsvDialect
from shared.domain.documents.csv_format import BareQuotes, MappingFormat
from shared.domain.errors import DataError, TooManyColumnsError
from shared.ingest.source import Source
from shared.settings import Settings
from shared.suggest.read_sample import SAMPLE_BYTES

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_OLD_ENCODING = "cp1252"
_BEYOND_ASCII = re.compile("[^\x00-\x7f]+")
_LINE_END = re.compile(rb"[\r\n]")
_UNDECODABLE = re.compile("[\udc80-\udcff]")
# So much of the file is read once per delimiter and way of quoting, always all of it: else they could not be compared.
_TRIED_BYTES = 1 << 18
_TRIED_LINES = 1 << 13
# So many lines may stand before the table, and so much of the file is read to see whether they do.
_PREAMBLE_LINES = 10
_PREAMBLE_BYTES = 1 << 14
# One row that is as wide as the line before it may be chance.
_PREAMBLE_ROWS = 2
# In UTF-16 so many of the letters of a table, with its delimiters and line ends, have a NUL for their other half.
_WIDE_SHARE = 0.5
# What else quotes may mean in a file.
_OTHER_QUOTES = {"bare_quotes": BareQuotes.LITERAL, "quote_escape_character": "\\"}
# A delimiter that splits fewer of the rows into as many cells as the header is none.
_FITTING_SHARE = 0.9
_REACHED = "the search for what stands between its cells"


@dataclass(frozen=True, slots=True)
class Trial:
    """What one delimiter makes of the first rows: columns of the header, and rows that are as wide or not.

    A header that is too wide for the reader has 0 columns.
    """

    delimiter: str
    width: int
    good: int
    refused: int

    @property
    def share(self) -> float:
        """Share of the rows that are good."""
        rows = self.good + self.refused
        return self.good / rows if rows else 1.0

    @property
    def fits(self) -> bool:
        """Whether it splits the file into columns."""
        return self.width > 1 and self.share >= _FITTING_SHARE


def guess_format(
    source: Source, given: MappingFormat, settings: Settings, time: ReadingTime, *, has_header: bool
) -> tuple[MappingFormat, list[str]]:
    """The format with what was not given, and why.

    Raises:
        DataError: the file is refused as a whole. UnavailableError: `SourceTooSlow`, `ReadingHeldUp`.
    """
    known = given.model_fields_set
    data, encoding = _head(source, given.encoding if "encoding" in known else "utf-8", settings, time)
    changes: dict[str, str] = {}
    notes = []
    if encoding not in {"utf-8", "utf-8-sig"}:
        # `_head` has decoded it already: by the byte order mark, or as it was told.
        if "encoding" not in known:
            notes.append(f"encoding: {encoding}, by the byte order mark; the mapping need not declare it")
    elif "encoding" not in known:
        changes["encoding"], why = _encoding(data)
        notes.append(why)
        if changes["encoding"] != "utf-8":
            data = b"".join(TextStream([data], changes["encoding"]))
    is_given = "column_delimiter" in known
    delimiters = [given.column_delimiter] if is_given else list(DELIMITERS)
    tried = _first_lines(_whole_lines(data, _TRIED_BYTES), _TRIED_LINES)
    trials = _trials(tried, given, delimiters, settings, has_header=has_header)
    if not is_given:
        changes["column_delimiter"], why = _delimiter(trials)
        notes.append(why)
    time.check(_REACHED)
    notes += _note_on_quotes(tried, given, trials, settings, has_header=has_header)
    if not any(trial.fits for trial in trials):
        time.check(_REACHED)
        head = _whole_lines(data, _PREAMBLE_BYTES)
        notes += _note_on_preamble(head, given, trials, settings, has_header=has_header)
    return given.model_copy(update=changes), notes


def _head(source: Source, encoding: str, settings: Settings, time: ReadingTime) -> tuple[bytes, str]:
    """The first bytes, unpacked and without byte order mark, and the encoding that was taken for them."""
    with closing(source.chunks()) as chunks:
        text = TextStream(chunks, encoding, gzipped=source.is_gzip, limits=limits_of(settings), time=time)
        return _first(text, SAMPLE_BYTES), text.encoding


def _first(pieces: Iterable[bytes], size: int) -> bytes:
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) >= size:
            break
    return bytes(found[:size])


def _encoding(data: bytes) -> tuple[str, str]:
    for name, nul, other in (("utf-16-le", data[1::2], data[0::2]), ("utf-16-be", data[0::2], data[1::2])):
        if nul.count(0) > _WIDE_SHARE * len(nul) and other.count(0) < (1 - _WIDE_SHARE) * len(other):
            why = f"encoding: {name}, since every second byte is NUL, as it is in UTF-16 without a byte order mark"
            return name, why
    if data.isascii():
        return "utf-8", "encoding: utf-8; the sample is plain ASCII, which most encodings have in common"
    # The end of the sample may cut a character: the decoder waits for the rest of it.
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    text = decoder.decode(data, final=len(data) < SAMPLE_BYTES)
    beyond = "".join(_BEYOND_ASCII.findall(text))
    bad = len(_UNDECODABLE.findall(beyond))
    if not bad:
        return "utf-8", "encoding: utf-8, since all of the sample is read by it"
    if 2 * bad < len(beyond):
        return "utf-8", "encoding: utf-8, since most of the letters beyond ASCII are; rows with other bytes are refused"
    why = (
        f"encoding: {_OLD_ENCODING}, since the sample is no UTF-8; it is only the likeliest of the encodings with one "
        "byte per letter, so look at names with accents before you trust it"
    )
    return _OLD_ENCODING, why


def _whole_lines(data: bytes, size: int) -> bytes:
    """The first bytes without a last line that is cut: it would be refused."""
    if len(data) <= size:
        return data
    end = max(data.rfind(b"\n", 0, size), data.rfind(b"\r", 0, size))
    return data[: end + 1 if end >= 0 else size]


def _first_lines(data: bytes, most: int) -> bytes:
    """The text up to so many line ends, where it has more; a CRLF counts as two."""
    ends = [found.end() for found in islice(_LINE_END.finditer(data), most + 1)]
    return data[: ends[most - 1]] if len(ends) > most else data


def _trials(
    data: bytes, given: MappingFormat, delimiters: list[str], settings: Settings, *, has_header: bool
) -> list[Trial]:
    tried = (_try(data, given, delimiter, settings, has_header=has_header) for delimiter in delimiters)
    return [trial for trial in tried if trial is not None]


def _best(trials: Iterable[Trial]) -> Trial | None:
    return max((trial for trial in trials if trial.fits), key=lambda trial: (trial.width, trial.share), default=None)


def _delimiter(trials: list[Trial]) -> tuple[str, str]:
    best = _best(trials)
    if best is not None:
        others = [DELIMITERS[trial.delimiter] for trial in trials if trial.fits and trial is not best]
        or_else = f" ({' and '.join(others)} would do as well, with fewer columns)" if others else ""
        refused = f" but {best.refused}" if best.refused else ""
        rows = best.good + best.refused
        splits = f"all of the first {rows} rows{refused} into {best.width} cells like the header"
        if not rows:
            splits = f"the header into {best.width} cells; there are no rows to compare"
        why = f"columnDelimiter: {DELIMITERS[best.delimiter]}, which splits {splits}{or_else}"
        return best.delimiter, why
    # Where one of them makes too many columns, the reader is to say so.
    best = max(trials, key=lambda trial: (trial.width == 0, trial.width > 1, trial.share, trial.width), default=None)
    chosen = best.delimiter if best is not None else ","
    if best is not None and best.width > 1:
        rows = best.good + best.refused
        why = f"columnDelimiter: {DELIMITERS[chosen]}, which splits the header into {best.width} cells"
        return (
            chosen,
            f"{why}, but of the first {rows} rows {best.refused} are refused; see the rejects for the reasons",
        )
    why = (
        f"columnDelimiter: {DELIMITERS[chosen]}; none of {', '.join(DELIMITERS.values())} splits the rows into more "
        "than one cell each, so the file has one column, or another delimiter that you must declare"
    )
    return chosen, why


def _note_on_quotes(
    data: bytes, given: MappingFormat, trials: list[Trial], settings: Settings, *, has_header: bool
) -> list[str]:
    """Says so where more rows were read if quotes meant something else."""
    before = max((trial for trial in trials if trial.width > 1), key=lambda trial: trial.good, default=None)
    if before is None or not before.refused:
        return []
    found = []
    for name, value in _OTHER_QUOTES.items():
        if name in given.model_fields_set:
            continue
        form = given.model_copy(update={name: value})
        best = _best(_trials(data, form, [trial.delimiter for trial in trials], settings, has_header=has_header))
        if best is not None and best.good > before.good:
            found.append((best.good, name, value, best))
    if not found:
        return []
    _, name, value, best = max(found, key=lambda way: way[0])
    alias = MappingFormat.model_fields[name].alias
    delimiter = DELIMITERS.get(best.delimiter, repr(best.delimiter))
    why = (
        f"{alias}: quotes seem to be written in another way: with format.{alias} {value} and {delimiter} "
        f"{best.good} of the first {best.good + best.refused} rows are read, not {before.good}; try it"
    )
    return [why]


def _note_on_preamble(
    data: bytes, given: MappingFormat, trials: list[Trial], settings: Settings, *, has_header: bool
) -> list[str]:
    """Says so where the lines after the first ones are split evenly, and into more cells than these."""
    widths = {trial.delimiter: trial.width for trial in trials}
    for skipped in range(given.skip_rows + 1, given.skip_rows + 1 + _PREAMBLE_LINES):
        form = given.model_copy(update={"skip_rows": skipped})
        best = _best(
            trial
            for trial in _trials(data, form, list(widths), settings, has_header=has_header)
            if trial.good >= _PREAMBLE_ROWS and trial.width > widths[trial.delimiter]
        )
        if best is not None:
            name = DELIMITERS.get(best.delimiter, repr(best.delimiter))
            why = (
                f"skipRows: the first lines may be no part of the table: try format.skipRows {skipped}, "
                f"with which {name} splits the rows into {best.width} cells each"
            )
            return [why]
    return []


def _try(data: bytes, given: MappingFormat, delimiter: str, settings: Settings, *, has_header: bool) -> Trial | None:
    try:
        dialect = _dialect(given, delimiter, has_header=has_header)
        reader = read_csv([data], dialect, limits_of(settings))
        header = reader.read_header()
        if not header:
            return None
        for _ in reader:
            pass
    except TooManyColumnsError:
        return Trial(delimiter, 0, 0, 0)
    except (DataError, ValueError):
        return None
    return Trial(delimiter, len(header), reader.rows, reader.rejected)


def _dialect(given: MappingFormat, delimiter: str, *, has_header: bool) -> CsvDialect:
    """The dialect of text that is UTF-8 by now; ValueError where quote or escape is the delimiter."""
    changes = {"column_delimiter": delimiter, "encoding": "utf-8"}
    return given.model_copy(update=changes).dialect(has_header=has_header)
