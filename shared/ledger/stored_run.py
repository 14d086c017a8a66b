"""A run with what only the server needs of it."""

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from shared.domain.blob_version import BlobVersion
from shared.domain.documents.correction import Correction
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run, RunError, RunState
from shared.domain.errors import DeferredError, FatalError, HubError, TransientError
from shared.domain.rest import rest_for
from shared.ledger.attempt_notes import KEPT_NOTES, AttemptNote

# No invocation outlives the functionTimeout of host.json, which is as long.
CLAIM_LENGTH = timedelta(minutes=30)
FIRST_PAUSE = timedelta(minutes=7)
_LONGEST_PAUSE_AFTER = 8
# The fact of a run that says how many seconds it has rested; it is gone once the run has succeeded.
RESTED = "restedSeconds"
RUN_RESTS = "RunRests"
_BEHIND_IT = frozenset({RunState.SUCCEEDED, RunState.PARTIALLY_SUCCEEDED, RunState.SKIPPED})


class Standing(NamedTuple):
    """Where a run stands: its state, and what it owes its file (`StoredRun.owes`)."""

    state: RunState
    owes: str | None = None

    def owes_what(self, mapping: Mapping) -> bool:
        """Whether the run owes its file what a mapping asks for.

        Nothing else is done to a file: what a mapping has come to ask for since is for those that come in from then on.
        """
        return self.owes is not None and self.owes == mapping.completion.value


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends; what is None stays as it is recorded.

    Attributes:
        state: final.
        error: why it ended so, if not well.
        ingested, rejected: rows.
        bytes_read: bytes downloaded.
        duration_ms: milliseconds of the attempt.
        details: further facts.
    """

    state: RunState
    error: RunError | None = None
    ingested: int | None = None
    rejected: int | None = None
    bytes_read: int | None = None
    duration_ms: int | None = None
    details: dict[str, Any] | None = None

    def changes(self) -> dict[str, Any]:
        """The properties of the run that change."""
        rows_read = None if self.ingested is None else self.ingested + (self.rejected or 0)
        known = {
            "rows_read": rows_read,
            "rows_ingested": self.ingested,
            "rows_rejected": self.rejected,
            "bytes_read": self.bytes_read,
            "duration_ms": self.duration_ms,
            "details": self.details,
        }
        changed = {name: value for name, value in known.items() if value is not None}
        return {"state": self.state, "error": self.error, **changed}


@dataclass(frozen=True)
class StoredRun:
    """A run with what only the server needs of it.

    Attributes:
        etag: of the stored record; empty for one that is not stored yet.
        takes: how often it was begun, also where that counted for no attempt; tells one from another.
        number: the version number of the blob for the mapping; None until `Runs.number_version`.
        order: where the version stands among those of all blobs; ascends with `number`.
        ledger_key: of the blob for the mapping (`domain.run.blob_ledger_key`).
        claimed_by: who works on it, and `claimed_until`, machine time; with a time alone, it rests until then.
        changed: machine time of the last save; None for a run that is not stored yet.
        is_retryable: whether a Failed run may be taken up again by itself.
        mapping_instance: tells a mapping from an earlier one of the same name.
        hub_instance: tells its hub likewise; None where an earlier release stored the mapping.
        was_open: whether the stored record says that the run is unfinished.
        had_retry: whether the stored record has a row that has it tried again.
        correction: the corrected rows that the run is to take, or takes; None while there are none.
        rejects: path of the file of its open rejects, or None.
        destination: the container that an Export run wrote to (`ContainerSas.place`); None where it wrote to none, or
            an earlier release did not record it.
        lake_path: of the type whose rows an Ingest run has staged, which no other type ever had; None before that, and
            of earlier releases.
        owes: what its mapping asked to be done with the file and could not be (`completionOperationType`), the rows
            being in; None where nothing is left to do.
        notes: what the last attempts at an Ingest run noted before their commits, by the number of the attempt, in
            their order; none once it has ended.
    """

    hub: str
    run: Run
    etag: str = ""
    claims: int = 0
    number: int | None = None
    order: int = 0
    ledger_key: str | None = None
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    changed: datetime | None = None
    is_retryable: bool = False
    mapping_instance: str | None = None
    hub_instance: str | None = None
    was_open: bool = True
    had_retry: bool = False
    correction: Correction | None = None
    rejects: str | None = None
    destination: str | None = None
    lake_path: str | None = None
    owes: str | None = None
    notes: dict[int, AttemptNote] = field(default_factory=dict)

    @property
    def standing(self) -> Standing:
        """Where the run stands."""
        return Standing(self.run.state, self.owes)

    @property
    def retry_at(self) -> datetime | None:
        """Machine time at which a Failed run is tried again: after a quarter of an hour, then half an hour, ..."""
        if not self.is_retryable or self.changed is None or self.run.state is not RunState.FAILED:
            return None
        return self.changed + FIRST_PAUSE * (1 << min(self.run.attempts, _LONGEST_PAUSE_AFTER))

    @property
    def version(self) -> BlobVersion:
        """The blob version of an Ingest run; raises FatalError where there is none."""
        blob = self.run.blob
        if blob is None:
            raise FatalError("RunWithoutBlob", f"the run {self.run.run_id} has no blob to ingest")
        return BlobVersion(blob.container, blob.path, blob.etag, blob.size, blob.sequencer)

    def noted(self, note: AttemptNote) -> Self:
        """The record with the note of the attempt under way."""
        notes = [*self.notes.items(), (self.claims, note)]
        return replace(self, notes=dict(notes[-KEPT_NOTES:]))

    def with_run(self, **changes: Any) -> Self:
        """The same record with changed properties of its run."""
        return replace(self, run=self.run.model_copy(update=changes))

    def begun(self, now: datetime) -> Self:
        """The record with one more attempt under way; one at a correction belongs to the run that began before."""
        started_at = (self.run.started_at if self.correction else None) or now
        begun = self.with_run(state=RunState.RUNNING, attempts=self.run.attempts + 1, started_at=started_at, error=None)
        return replace(begun, claims=self.claims + 1)

    def claimed(self, worker: str, now: datetime) -> Self:
        """The record as `worker` holds it from `now` on, machine time."""
        return replace(self, claimed_by=worker, claimed_until=now + CLAIM_LENGTH)

    def is_claimed_by_another(self, worker: str, now: datetime) -> bool:
        """Whether another worker is at it."""
        return (
            self.run.state is RunState.RUNNING
            and self.claimed_by != worker
            and self.claimed_until is not None
            and self.claimed_until > now
        )

    def rests(self, now: datetime) -> bool:
        """Whether a service asked us to leave it alone for longer, and a message will ask for the run after that."""
        return self.run.state is RunState.QUEUED and self.claimed_until is not None and self.claimed_until > now

    def released(self) -> Self:
        """The record as nobody holds it; what has ended well has no rests behind it."""
        released = replace(self, claimed_by=None, claimed_until=None)
        if RESTED not in self.run.details or self.run.state not in _BEHIND_IT:
            return released
        return released.with_run(details={name: fact for name, fact in self.run.details.items() if name != RESTED})

    def given_back(self, reason: RunError, now: datetime, asked_s: float | None) -> Self:
        """The record for the next attempt.

        Args:
            reason: why this one came to nothing.
            now: machine time.
            asked_s: seconds for which a service asked to be left alone (`asked_to_wait_s`): it rests for as long and up
                to a tenth longer, a day at most, and this was no attempt. Once it has rested for a day in all, it
                rests no more, whatever message asks for it.
        """
        queued = self.with_run(state=RunState.QUEUED, error=reason).released()
        rested_s = int(self.run.details.get(RESTED, 0))
        rest_s = rest_for(asked_s, rested_s) if asked_s is not None else None
        if rest_s is None:
            return queued
        resting = self.requeued(reason, now + timedelta(seconds=rest_s))
        return resting.with_run(details={**self.run.details, RESTED: rested_s + rest_s})

    def requeued(self, reason: RunError, rests_until: datetime | None) -> Self:
        """The record as if the attempt had not been made; with a machine time, it rests until then."""
        attempts = max(self.run.attempts - 1, 0)
        queued = self.with_run(state=RunState.QUEUED, attempts=attempts, error=reason).released()
        return replace(queued, claimed_until=rests_until)

    def ended(self, ending: Ending, finished_at: datetime) -> Self:
        """The record of a run that has ended, which nobody holds."""
        return self.with_run(**ending.changes(), finished_at=finished_at).released()

    def raise_if_resting(self, error: HubError, now: datetime) -> None:
        """Tells whoever sends messages what giving the run back has decided; where it does not rest, no message does.

        Args:
            error: for which the run was given back; what was asked for is taken off it where the run does not rest.
            now: machine time.

        Raises:
            DeferredError: `RunRests`, with the seconds that are left.
        """
        if not isinstance(error, TransientError):
            return
        if self.claimed_until is None or not self.rests(now):
            error.retry_after_s = None
            return
        left_s = math.ceil((self.claimed_until - now).total_seconds())
        raise DeferredError(RUN_RESTS, error.message, rest_s=left_s) from error
