"""How a run ended, in counts and words."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

from shared.domain.documents.mappings import CompletionOperationType
from shared.domain.documents.run import RunError, RunState
from shared.domain.errors import FatalError, HubError, SkippedError, SupersededError
from shared.ledger.attempt_notes import AttemptNote
from shared.ledger.stored_run import StoredRun

COMPLETE_OPERATION = "completeOperation"


@dataclass(frozen=True, slots=True)
class Uncompleted:
    """Why a `completeOperation` was not carried out, the rows of the file being in.

    Attributes:
        operation: what is left to be done.
        is_of_all: whether it would be the same with any other file of the mapping.
        waits: whether it is to be done once another mapping has ingested the file.
    """

    message: str
    operation: CompletionOperationType
    is_of_all: bool = False
    waits: bool = False

    @property
    def owes(self) -> str | None:
        """What the run owes its file."""
        return None if self.operation is CompletionOperationType.DO_NOTHING else self.operation.value


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        ingested: rows that are in the tables.
        rejected: rows refused.
        bytes_read: bytes downloaded.
        details: further facts for the run's record.
        rejects: path of the file of the rows refused, or None.
        asked: what the mapping asked to be done with the file when it was read; None for a run of an earlier release.
        owes: what is still to be done with the file.
        waits: whether that is to be done once another mapping has ingested the file.
    """

    state: RunState
    ingested: int = 0
    rejected: int = 0
    bytes_read: int = 0
    error: RunError | None = None
    details: dict[str, Any] = field(default_factory=dict)
    rejects: str | None = None
    asked: CompletionOperationType | None = None
    owes: str | None = None
    waits: bool = False

    @classmethod
    def of_rows(cls, ingested: int, rejected: int, bytes_read: int, details: dict[str, Any]) -> Self:
        """The outcome of a file that was read to its end."""
        state = RunState.PARTIALLY_SUCCEEDED if rejected else RunState.SUCCEEDED
        return cls(state, ingested, rejected, bytes_read, details=details)

    @classmethod
    def of_staged(cls, stored: StoredRun, attempt: int) -> Self:
        """The outcome of a run whose rows an attempt has committed, from what it noted before."""
        note = stored.notes.get(attempt)
        if note is None:
            message = f"the rows of run {stored.run.run_id} are in, but its record does not say how many they are"
            raise FatalError("RunDamaged", message)
        outcome = cls.of_rows(note.ingested, note.rejected, note.bytes_read, stored.run.details)
        return replace(outcome, rejects=note.rejects, asked=note.asked)

    @classmethod
    def of_error(cls, error: HubError, rejected: int = 0, bytes_read: int = 0) -> Self:
        """The outcome of a blob version that was refused as a whole."""
        if isinstance(error, SupersededError):
            state = RunState.SUPERSEDED
        elif isinstance(error, SkippedError):
            state = RunState.SKIPPED
        else:
            state = RunState.FAILED
        reason = RunError.of(error)
        return cls(state, rejected=rejected, bytes_read=bytes_read, error=reason)

    @classmethod
    def of_reason(cls, reason: RunError) -> Self:
        """The outcome of a run whose attempts are used up."""
        return cls(RunState.FAILED, error=reason)

    def note(self) -> AttemptNote:
        """What the record keeps of it until the rows are committed."""
        return AttemptNote(
            ingested=self.ingested,
            rejected=self.rejected,
            bytes_read=self.bytes_read,
            rejects=self.rejects,
            asked=self.asked,
        )

    def but(self, failure: Uncompleted | None) -> Self:
        """The outcome with why the file stayed where it is, where it did; a file with rejects stays in any case."""
        if failure is None:
            return self
        owes = failure.owes if self.state is RunState.SUCCEEDED else None
        details = {**self.details, COMPLETE_OPERATION: failure.message}
        return replace(self, details=details, owes=owes, waits=failure.waits and owes is not None)
