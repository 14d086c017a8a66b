"""A reject: a row that was refused, and why."""

from dataclasses import dataclass

RAW_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reject:
    """A refused row.

    Attributes:
        line: physical line of the file on which the row starts, from 1.
        column: the column's name as in the header; None where the whole row is meant.
        code: stable name of the fault, such as `RowWidth` or `NotAnInteger`.
        message: what is wrong and what to do; never the content of another row.
        raw: text of the row as it stood in the file, undecodable bytes as `\\xNN`, at most RAW_LIMIT_BYTES.
    """

    line: int
    column: str | None
    code: str
    message: str
    raw: str
