"""One worker's attempt at a run: taking it, and every change to its record until it ends or is given back.

Each change is made on the record as this attempt saw it last. So a worker that was taken for dead and wakes up again
finds that its claim is lost, and writes nothing over what the other one has recorded.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from shared.app import Services
from shared.definitions.store.definition_store import Kept
from shared.domain.documents.correction import StagedCorrection
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run, RunError, RunKind, RunState
from shared.domain.errors import (
    ClaimLostError,
    DeferredError,
    FatalError,
    HubError,
    PreconditionError,
    Recovery,
    asked_to_wait_s,
    recovery,
)
from shared.ingest.outcome import STAGED, Outcome, notes_of
from shared.ledger.runs import Place
from shared.ledger.stored_run import StoredRun
from shared.telemetry.finished import log_finished

logger = logging.getLogger(__name__)

_KEPT_NOTES = 8


class Attempt:
    """A claimed run.

    Attributes:
        hub: name of the hub.
        beside: the other mappings of the hub that read the blob, as a look at the definitions found them last.

    Every method that writes raises ClaimLostError where another worker has changed the record meanwhile.
    """

    def __init__(self, services: Services, stored: StoredRun) -> None:
        self.hub = stored.hub
        self.beside: Sequence[Kept[Mapping]] = ()
        self._services = services
        self._stored = stored
        self._began_ms = services.clock.monotonic_ms()

    @property
    def run(self) -> Run:
        """The run as it is recorded."""
        return self._stored.run

    @property
    def stored(self) -> StoredRun:
        """The run with what only the server needs of it."""
        return self._stored

    @property
    def ledger_key(self) -> str:
        """Under which the versions of the blob are ordered."""
        if self._stored.ledger_key is None:
            raise FatalError("RunWithoutBlob", f"the run {self.run.run_id} has no blob to ingest")
        return self._stored.ledger_key

    def place(self, order: int) -> Place:
        """Where the run's blob version is to stand among those of all blobs: at `order`, or behind those of its own."""
        return self._services.runs.place_of(self._stored, order)

    @property
    def take(self) -> int:
        """The number of this attempt among all at the run."""
        return self._stored.takes

    @property
    def has_rivals(self) -> bool:
        """Whether an earlier attempt got as far as its note: if it is not dead, it may commit at any time."""
        correction = self._stored.correction
        noted = set(map(int, notes_of(self.run))) if correction is None else set(correction.staged)
        return bool(noted - {self.take})

    def note_staged(self, outcome: Outcome, place: Place, entity_type: EntityType) -> int:
        """Notes before the commit what it will bring: after it, a crash must not need to read the blob again.

        Args:
            outcome: what was staged.
            place: as the staged rows have it.
            entity_type: that the rows are of; from now on it is the run's, whatever becomes of the mapping.

        Returns:
            The number of the run's blob version among those of its blob; it keeps the one that it has.

        Raises:
            CommitConflictError: another version was numbered meanwhile that is to stand behind; stage again.
        """
        notes = [*notes_of(self.run).items(), (str(self.take), outcome.noted())][-_KEPT_NOTES:]
        noted = self._stored.with_run(
            details={**outcome.details, STAGED: dict(notes)},
            entity_type=entity_type.kind.value,
            entity_type_name=entity_type.type_name,
        )
        try:
            self._stored = self._services.runs.number_version(replace(noted, lake_path=entity_type.lake_path), place)
        except PreconditionError as error:
            raise claim_lost(self.run) from error
        if self._stored.number is None:
            raise FatalError("RunWithoutNumber", f"the run {self.run.run_id} was not numbered")
        return self._stored.number

    def check_claim(self) -> None:
        """Looks whether the run is still this attempt's, before something is done that is not fenced."""
        present = self._services.runs.get(self.hub, self.run.run_id)
        if present is None or present.etag != self._stored.etag:
            raise claim_lost(self.run)

    def staged(self, attempt: int) -> Outcome:
        """What an attempt that has committed its rows noted before."""
        self.check_claim()
        return Outcome.of_staged(self.run, attempt)

    def note_correction(self, staged: StagedCorrection) -> None:
        """Notes the same of a correction."""
        if self._stored.correction is None:
            raise FatalError("RunWithoutCorrection", f"the run {self.run.run_id} has no correction to carry out")
        noted = {**self._stored.correction.staged, self.take: staged}
        correction = self._stored.correction.model_copy(update={"staged": noted})
        self._save(replace(self._stored, correction=correction))

    def elapsed_ms(self) -> int:
        """Milliseconds since the attempt began."""
        return self._services.clock.monotonic_ms() - self._began_ms

    def release(self, reason: RunError, asked_s: float | None = None) -> None:
        """Gives the run back for the next attempt, keeping the reason, and for how long a service asked us to wait.

        Raises:
            ClaimLostError: another worker has it.
        """
        now = self._services.clock.machine_now()
        self._give_back(lambda held: held.given_back(reason, now, asked_s))

    def put_back(self, reason: RunError) -> None:
        """Gives the run back as if it had not been tried, noting what it waits for; another message will ask for it.

        Raises:
            ClaimLostError: another worker has it.
        """
        attempts = self.run.attempts - 1
        self._give_back(lambda held: held.with_run(state=RunState.QUEUED, attempts=attempts, error=reason).released())

    def carry_out[T](self, work: Callable[[], T], refuse: Callable[[HubError], None]) -> T | None:
        """Does the work of the attempt; a run that may succeed later is given back with the reason, and raises.

        Where a service asks to be left alone for longer, that was no attempt (DeferredError `RunRests`), but for a day
        at most in all.

        Args:
            work: gives what came of it.
            refuse: records an error that another attempt would not mend.

        Returns:
            What came of the work; None where it was refused.

        Raises:
            ClaimLostError, DeferredError, TransientError, FatalError, or anything unexpected.
        """
        try:
            return work()
        except ClaimLostError:
            raise
        except DeferredError as error:
            self.put_back(RunError.of(error))
            raise
        except HubError as error:
            if recovery(error) is Recovery.RETRY:
                self.release(RunError.of(error), asked_to_wait_s(error))
                self._stored.raise_if_resting(error, self._services.clock.machine_now())
                raise
            refuse(error)
            return None
        except Exception as error:
            message = f"an unexpected {type(error).__name__} ended the attempt; the log has it under this run's id"
            logger.exception("run %s failed unexpectedly", self.run.run_id)
            self.release(RunError(code="InternalError", message=message))
            raise

    def end(self, outcome: Outcome, *, retryable: bool = False) -> None:
        """Records the end of the run and logs its one line.

        Args:
            retryable: whether the reconciler may take a Failed run up again.
        """
        end(self._services, self._stored, outcome, self.elapsed_ms(), retryable=retryable)

    def _give_back(self, change: Callable[[StoredRun], StoredRun]) -> None:
        try:
            self._save(change(self._stored))
        except ClaimLostError:
            present = self._services.runs.get(self.hub, self.run.run_id)
            if present is None or not self._holds(present):
                raise
            # What changed it was this attempt's own write, of which it got no answer.
            self._stored = present
            self._save(change(present))

    def _holds(self, present: StoredRun) -> bool:
        held = self._stored
        return present.run.state is RunState.RUNNING and present.takes == held.takes

    def _save(self, changed: StoredRun) -> None:
        try:
            self._stored = self._services.runs.save(changed)
        except PreconditionError as error:
            raise claim_lost(self.run) from error


def take(services: Services, hub: str, run_id: str, worker: str) -> Attempt | None:
    """Takes the run for `worker`, the id of the queue message that is being worked on.

    A message is delivered to one worker at a time, so one that comes again means that its worker is gone, and
    the run is taken over. Should that worker still live (it was paused), it loses its claim, and the fence of the
    commit lets the rows through once.

    Returns:
        The attempt, or None where there is nothing to do: finished, or another message's worker has it.
    """
    while True:
        stored = services.runs.get(hub, run_id)
        if stored is None or stored.run.kind is not RunKind.INGEST:
            logger.warning("message for a run that is not recorded, or was with its hub: hub %s run %s", hub, run_id)
            return None
        now = services.clock.machine_now()
        if stored.run.state.is_final or stored.is_claimed_by_another(worker, now):
            return None
        # A correction belongs to the run that began then.
        began_at = stored.run.started_at if stored.correction else None
        taken = stored.begun(began_at or services.clock.now())
        try:
            return Attempt(services, services.runs.save(taken.claimed(worker, now)))
        except PreconditionError:
            continue  # another worker changed the run: look again


def end(services: Services, stored: StoredRun, outcome: Outcome, duration_ms: int, *, retryable: bool = False) -> None:
    """Records the end of a run, of an attempt or of one whose attempts are used up."""
    ended = stored.with_run(
        state=outcome.state,
        error=outcome.error,
        finished_at=services.clock.now(),
        duration_ms=duration_ms,
        rows_read=outcome.ingested + outcome.rejected,
        rows_ingested=outcome.ingested,
        rows_rejected=outcome.rejected,
        bytes_read=outcome.bytes_read,
        details=outcome.details,
    )
    try:
        saved = services.runs.save(
            replace(ended.released(), is_retryable=retryable, rejects=outcome.rejects, owes=outcome.owes)
        )
    except PreconditionError as error:
        raise claim_lost(stored.run) from error
    log_finished(stored.hub, saved.run)


def last_reason(run: Run) -> RunError:
    """Why a run is given up whose attempts are used up."""
    lost = "the worker ended in the middle of every attempt; see the log of its instance"
    return run.error or RunError(code="WorkerLost", message=lost)


def claim_lost(run: Run) -> ClaimLostError:
    """The error of a worker that finds its claim gone."""
    return ClaimLostError("ClaimLost", f"another worker has taken over the run {run.run_id}")
