"""A place in a stream of text: the bytes in sight, the physical line, and a second count of the lines."""

import re
from collections.abc import Iterable

import numpy as np

from shared.csv.explain_row import LINE_END
from shared.domain.errors import AccountingError

_LINE_ENDS = re.compile(rb"[\r\n]+")


class TextCursor:
    """Where reading stands.

    Args:
        pieces: the text in pieces of any size; read once.
        comment: what a line that is no row starts with; empty where there is none.
        most: bytes after which no further line is begun; None for all of the text.

    Attributes:
        data: bytes in sight.
        at: offset in `data` that is read next.
        at_end: whether the text is known to end with `data`.
        line: physical line on which `at` stands, from 1.
        bytes_read: bytes taken from `pieces`.
        blank_lines: blank lines skipped.
        comment_lines: lines skipped because they are comments.
    """

    def __init__(self, pieces: Iterable[bytes], comment: bytes = b"", most: int | None = None) -> None:
        self._pieces = iter(pieces)
        self._most = most
        self._comment = comment
        self._count = LineCount()
        self.data = b""
        self.at = 0
        self.at_end = False
        self.line = 1
        self.bytes_read = 0
        self.blank_lines = 0
        self.comment_lines = 0

    @property
    def left(self) -> int:
        """Bytes in sight that are not read."""
        return len(self.data) - self.at

    @property
    def is_cut(self) -> bool:
        """Whether reading ends here, though the text may go on."""
        if self._most is None or self.bytes_read - self.left < self._most:
            return False
        return bool(self.left) or not self.at_end

    def fill(self, want: int) -> None:
        """Takes pieces until `want` bytes are in sight, or the text ends."""
        have = self.left
        if have >= want or self.at_end:
            return
        parts = [self.data[self.at :]]
        while have < want:
            piece = next(self._pieces, None)
            if piece is None:
                self.at_end = True
                break
            self._count.add(piece)
            self.bytes_read += len(piece)
            have += len(piece)
            parts.append(piece)
        self.data, self.at = b"".join(parts), 0

    def fill_more(self) -> None:
        """Brings about twice as much in sight."""
        self.fill(2 * self.left + 1)

    def move(self, after: int, lines: int) -> None:
        """Goes on to offset `after`, which is `lines` physical lines further down."""
        self.at = after
        self.line += lines

    def skip_lines(self, count: int) -> int:
        """Goes on by `count` lines, whatever they hold; returns how many there were."""
        for skipped in range(count):
            self.fill(1)
            if not self.left or self.is_cut:
                return skipped
            self.skip_rest_of_line()
            self.line += 1
        return count

    def skip_to_row(self) -> bool:
        """Goes on to the next line that is neither blank nor a comment; False at the end, of what is read or of all."""
        while True:
            self.fill(max(2, len(self._comment)))  # a CR may be half a CRLF
            if not self.left or self.is_cut:
                return False
            blank = self._blank_lines()
            if blank:
                ends = blank.count(b"\n") + blank.count(b"\r") - blank.count(b"\r\n")
                self.move(self.at + len(blank), ends)
                self.blank_lines += ends
            elif self._comment and self.data.startswith(self._comment, self.at):
                self.skip_lines(1)
                self.comment_lines += 1
            else:
                return True

    def _blank_lines(self) -> bytes:
        """The line ends that stand here, as far as they are in sight and whole: there may be millions."""
        found = _LINE_ENDS.match(self.data, self.at)
        if found is None:
            return b""
        half = found.end() == len(self.data) and not self.at_end and found.group().endswith(b"\r")
        return found.group()[:-1] if half else found.group()

    def skip_rest_of_line(self) -> None:
        """Goes on behind the next line end, however far, and keeps nothing; the line is counted already."""
        while True:
            found = LINE_END.search(self.data, self.at)
            if found and (self.at_end or found.end() < len(self.data) or found.group() == b"\n"):
                self.at = found.end()
                return
            self.at = found.start() if found else len(self.data)
            if self.at_end or self.is_cut:
                return
            self.fill(self.left + 1)

    def check_lines(self) -> None:
        """Compares the line reached with the lines that went by.

        Raises:
            AccountingError: a line was passed twice, or not at all.
        """
        if self.line - 1 != self._count.total:
            raise AccountingError(
                "LineCount", f"{self.line - 1} lines were read where the file has {self._count.total}"
            )


class LineCount:
    """Counts the physical lines of a text; LF, CRLF and CR end a line."""

    def __init__(self) -> None:
        self._ends = 0
        self._last = b"\n"

    def add(self, piece: bytes) -> None:
        """Counts on with the next piece, which is not empty."""
        octets = np.frombuffer(piece, np.uint8)
        feeds = octets == 10
        self._ends += int(np.count_nonzero(feeds))
        if b"\r" in piece:
            returns = octets == 13
            self._ends += int(np.count_nonzero(returns)) - int(np.count_nonzero(returns[:-1] & feeds[1:]))
        if self._last == b"\r" and piece[:1] == b"\n":
            self._ends -= 1
        self._last = piece[-1:]

    @property
    def total(self) -> int:
        """Lines so far, the last one included if it has no line end."""
        return self._ends + (self._last not in b"\r\n")
