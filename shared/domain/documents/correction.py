"""Corrections: rows that a run refused, corrected and given to the same run again."""

import hashlib
from datetime import datetime

from pydantic import Field as Property

from shared.domain.documents.document import Document


class StagedCorrection(Document):
    """What a correction will have brought when its rows are committed.

    Attributes:
        ingested: rows that the tables get.
        refused: rows that are refused again.
        still_open: rejects of the run that are left, those refused again among them.
        rejects: path of their file in the container `runs`.
    """

    ingested: int
    refused: int
    still_open: int
    rejects: str


class Correction(Document):
    """A corrected CSV that waits for the queue.

    Attributes:
        digest: SHA-256 of its bytes, in hexadecimal; the same bytes are one correction.
        encoding: that the request declared; without it the mapping's counts.
        rows: in it.
        requested_at: when it was posted.
        staged: noted before its rows are committed, by attempt.
    """

    digest: str
    encoding: str | None = None
    rows: int
    requested_at: datetime
    staged: dict[int, StagedCorrection] = Property(default_factory=dict)


def digest_of(content: bytes) -> str:
    """What tells a correction from another one of the same run."""
    return hashlib.sha256(content).hexdigest()


def correction_ledger_key(run_id: str, digest: str) -> str:
    """The id of the application transaction that says that the rows of a correction are committed."""
    return f"correction-{run_id}-{digest}"
