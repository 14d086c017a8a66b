"""A blob version: container, path and ETag; the unit of exactly once."""

from dataclasses import dataclass


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


def leaves_its_container(path: str) -> bool:
    """Whether clients of HTTP would make another path of it: they resolve `.` and `..` between slashes."""
    return any(part in {".", ".."} for part in path.split("/"))
