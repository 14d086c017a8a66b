"""The life of a run in the hands of its workers: claimed, released or requeued, ended, given up.

Who may overwrite whom, for runs of every kind:

- A worker claims a run that no other worker holds. A worker is known by the id of its queue message, and a message is
  delivered to one worker at a time: where it comes again its worker is gone, and the run is claimed anew. So it is
  after the claim has run out.
- The holder of a claim changes the record as it saw it last, by its ETag. If anybody else has changed it meanwhile, the
  claim is lost (ClaimLostError) and nothing is written. The holder's own write that got no answer does not count.
- Giving a run up, or failing it for what happened to another, needs no claim. The record is ended as it is found, also
  by its ETag, and a worker that still lives loses its claim by that.

What else stays as it is (a slot that is published, a run that rests) each kind of run says itself.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.clock import Clock
from shared.domain.documents.run import Run, RunError, RunState
from shared.domain.errors import (
    ClaimLostError,
    DeferredError,
    HubError,
    PreconditionError,
    Recovery,
    asked_to_wait_s,
    recovery,
)
from shared.ledger.runs import Runs
from shared.ledger.stored_run import Ending, StoredRun
from shared.telemetry.finished import log_finished

logger = logging.getLogger(__name__)


def claim_run(
    runs: Runs,
    clock: Clock,
    find: Callable[[], StoredRun | None],
    worker: str,
    may_begin: Callable[[StoredRun], bool] = lambda _: True,
) -> StoredRun | None:
    """Claims a run for a worker and begins an attempt at it; see the head of the module for who may.

    Args:
        runs, clock: of the process.
        find: reads the record, or makes it; returns None if there is to be none. Called again after a race.
        worker: id of the queue message that is being worked on.
        may_begin: whether the run's kind allows an attempt at what was found.

    Returns:
        The record as the worker holds it (`Claim`); None where another worker holds it, or it is to stay as it is.
    """
    while True:
        stored = find()
        now = clock.machine_now()
        if stored is None or stored.is_claimed_by_another(worker, now) or not may_begin(stored):
            return None
        try:
            return runs.save(stored.begun(clock.now()).claimed(worker, now))
        except PreconditionError:
            continue  # another worker changed the run: look again


def end_run(
    runs: Runs,
    clock: Clock,
    find: Callable[[], StoredRun | None],
    ending: Callable[[StoredRun], Ending],
    may_end: Callable[[StoredRun], bool],
) -> None:
    """Ends a run without a claim on it, as it is found after any race.

    Args:
        runs, clock: of the process.
        find: as in `claim_run`.
        ending: of the record that was found.
        may_end: whether what was found is to end; where not, it stays as it is.
    """
    while True:
        stored = find()
        if stored is None or not may_end(stored):
            return
        try:
            Claim(runs, clock, stored).end(ending(stored))
        except ClaimLostError:
            continue  # somebody else changed the run: look again
        return


def last_reason(run: Run) -> RunError:
    """Why a run is given up whose attempts are used up."""
    return run.error or RunError.worker_lost()


class Claim:
    """A run in the hands of one worker, or of whoever gives it up.

    Every method that writes raises ClaimLostError where another worker has changed the record meanwhile, or its hub is
    gone.
    """

    def __init__(self, runs: Runs, clock: Clock, stored: StoredRun) -> None:
        """Holds a record as it was read or saved last."""
        self._runs = runs
        self._clock = clock
        self._stored = stored
        self._began_ms = clock.monotonic_ms()

    @property
    def hub(self) -> str:
        """Name of the hub."""
        return self._stored.hub

    @property
    def run(self) -> Run:
        """The run as it is recorded."""
        return self._stored.run

    @property
    def stored(self) -> StoredRun:
        """The run with what only the server needs of it."""
        return self._stored

    def elapsed_ms(self) -> int:
        """Milliseconds since the attempt began."""
        return self._clock.monotonic_ms() - self._began_ms

    def check(self) -> None:
        """Looks whether the run is still claimed, before something is done that is not fenced."""
        present = self._runs.get(self.hub, self.run.run_id)
        if present is None or present.etag != self._stored.etag:
            raise self._lost()

    def save(self, changed: StoredRun, how: Callable[[StoredRun], StoredRun] | None = None) -> None:
        """Stores the changed record.

        Args:
            changed: the record.
            how: stores it together with something else; `Runs.save` without it.
        """
        try:
            self._stored = (how or self._runs.save)(changed)
        except PreconditionError as error:
            raise self._lost() from error

    def release(self, reason: RunError, asked_s: float | None = None) -> None:
        """Releases the run for its next attempt, with the reason, and for how long a service asked us to wait."""
        now = self._clock.machine_now()
        self._give_back(lambda held: held.given_back(reason, now, asked_s))

    def requeue(self, reason: RunError, rest_s: int | None = None) -> None:
        """Releases the run as if it had not been tried, noting what it waits for; another message will ask for it.

        Args:
            reason: what it waits for.
            rest_s: seconds for which it rests; None where whoever sends the message decides.
        """
        until = None if rest_s is None else self._clock.machine_now() + timedelta(seconds=rest_s)
        self._give_back(lambda held: held.requeued(reason, until))

    def end(self, ending: Ending, how: Callable[[StoredRun], StoredRun] | None = None, **kept: Any) -> None:
        """Records the end of the run and logs its one line.

        Args:
            ending: how it ends.
            how: as in `save`.
            kept: what else the record is to keep (attributes of `StoredRun`).
        """
        is_corrected = self._stored.correction is not None
        self.save(replace(self._stored.ended(ending, self._clock.now()), **kept), how)
        log_finished(self.hub, self.run, is_corrected=is_corrected)

    def carry_out[T](self, work: Callable[[], T], refuse: Callable[[HubError], None]) -> T | None:
        """Does the work of the attempt; a run that may succeed later is released with the reason, and raises.

        Where a service asks to be left alone for longer, that was no attempt (DeferredError `RunRests`), but for a day
        at most in all.

        Args:
            work: gives what came of it; where it ends the run itself, nothing that fails after that changes its record.
            refuse: records an error that another attempt would not mend.

        Returns:
            What came of the work; None where it was refused.

        Raises:
            ClaimLostError, DeferredError, TransientError, FatalError, or anything unexpected.
        """
        try:
            return work()
        except Exception as error:
            # What has ended stays as it is: the error came after that, and the message comes again for what is left.
            if isinstance(error, ClaimLostError) or self.run.state.is_final:
                raise
            if isinstance(error, HubError) and _is_refusal(error):
                refuse(error)
                return None
            self._release_for(error)
            raise

    def _release_for(self, error: Exception) -> None:
        if isinstance(error, DeferredError):
            self.requeue(RunError.of(error), error.rest_s)
        elif isinstance(error, HubError):
            self.release(RunError.of(error), asked_to_wait_s(error))
            self._stored.raise_if_resting(error, self._clock.machine_now())
        else:
            logger.exception("run %s failed unexpectedly", self.run.run_id)
            self.release(RunError.unexpected(error))

    def _give_back(self, change: Callable[[StoredRun], StoredRun]) -> None:
        try:
            self.save(change(self._stored))
        except ClaimLostError:
            present = self._runs.get(self.hub, self.run.run_id)
            if present is None or not self._holds(present):
                raise
            # What changed it was this attempt's own write, of which it got no answer.
            self._stored = present
            self.save(change(present))

    def _holds(self, present: StoredRun) -> bool:
        return present.run.state is RunState.RUNNING and present.claims == self._stored.claims

    def _lost(self) -> ClaimLostError:
        return ClaimLostError("ClaimLost", f"another worker has taken over the run {self.run.run_id}")


def _is_refusal(error: HubError) -> bool:
    return recovery(error) is Recovery.RECORD and not isinstance(error, DeferredError)
