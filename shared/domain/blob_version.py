"""A blob version: container, path and ETag; the unit of exactly once."""

from dataclasses import dataclass
from datetime import datetime

_SEQUENCER_BITS = 28  # and 35 for the second, in a signed integer of 64 bits


@dataclass(frozen=True, slots=True)
class BlobVersion:
    """One committed content of one blob.

    Attributes:
        etag: without quotes.
        size: bytes, as announced or listed; None where the event did not say.
        sequencer: Event Grid's order among the versions, hexadecimal; None
            where no event announced the version.
    """

    container: str
    path: str
    etag: str
    size: int | None = None
    sequencer: str | None = None


def bare_etag(etag: str) -> str:
    """An ETag without its quotes: events bring it with them or without, the services with them."""
    return etag.strip().removeprefix("W/").strip('"')


def order_among_blobs(last_modified: datetime, sequencer: str | None) -> int:
    """Where a blob version stands among the versions of all blobs: by the second of its commit, then by its sequencer.

    Storage tells the second alone, and of sequencers only the lowest digits differ within one. A version without a
    sequencer, found by listing, stands before those of its second that were announced.
    """
    return (int(last_modified.timestamp()) << _SEQUENCER_BITS) | _low_bits(sequencer)


def _low_bits(sequencer: str | None) -> int:
    try:
        return int(sequencer or "0", 16) & ((1 << _SEQUENCER_BITS) - 1)
    except ValueError:
        return 0
