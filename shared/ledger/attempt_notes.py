"""What attempts at an Ingest run note before their commits, of which a crash must not need to read the blob again."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from shared.domain.documents.document import Document
from shared.domain.documents.mappings import CompletionOperationType

# Of many attempts the last ones.
KEPT_NOTES = 8


class AttemptNote(Document):
    """What the commit of an attempt will bring.

    Attributes:
        ingested: rows that are in the tables then.
        rejected: rows refused.
        bytes_read: bytes downloaded.
        rejects: path of the file of the rows refused, or None.
        asked: what the mapping asked to be done with the file when it was read; None for a run of an earlier release.
    """

    ingested: int
    rejected: int
    bytes_read: int
    rejects: str | None = None
    asked: CompletionOperationType | None = None


def notes_to_json(notes: Mapping[int, AttemptNote]) -> dict[str, Any]:
    """The notes as JSON values, by the number of the attempt."""
    return {str(attempt): note.to_json() for attempt, note in notes.items()}


def read_notes(notes: Any) -> dict[int, AttemptNote]:
    """The notes of a JSON value; one that was damaged is left out."""
    found: dict[int, AttemptNote] = {}
    for attempt, note in notes.items() if isinstance(notes, dict) else ():
        try:
            found[int(attempt)] = AttemptNote.from_stored(note)
        except (ValidationError, ValueError):
            continue
    return found
