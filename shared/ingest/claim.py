"""Taking a run: one worker at a time, and a run that its worker left is taken over."""

import logging
from datetime import timedelta

from shared.app import Services
from shared.domain.errors import PreconditionError
from shared.domain.run import RunError, RunState
from shared.ledger.runs import StoredRun

logger = logging.getLogger(__name__)

# No invocation outlives the functionTimeout of host.json, which is as long.
CLAIM_LENGTH = timedelta(minutes=30)


def claim(services: Services, hub: str, run_id: str, worker: str) -> StoredRun | None:
    """Takes the run for `worker`, the id of the queue message that is being worked on.

    A message is delivered to one worker at a time, so one that comes again means that its worker is gone, and
    the run is taken over. Should that worker still live (it was paused), both work, and the fence of the
    commit lets one of them through.

    Returns:
        The claimed run, or None where there is nothing to do: finished, or another message's worker has it.
    """
    while True:
        stored = services.runs.get(hub, run_id)
        if stored is None:
            logger.error("message for a run that is not recorded: hub %s run %s", hub, run_id)
            return None
        if stored.run.state.is_final or _has_another_worker(services, stored, worker):
            return None
        try:
            return services.runs.save(
                stored.with_run(
                    state=RunState.RUNNING,
                    attempts=stored.run.attempts + 1,
                    started_at=services.clock.now(),
                    error=None,
                ).claimed(worker, services.clock.machine_now() + CLAIM_LENGTH)
            )
        except PreconditionError:
            continue  # another worker changed the run: look again


def release(services: Services, stored: StoredRun, error: RunError) -> None:
    """Gives the run back for the next attempt, keeping the reason."""
    try:
        services.runs.save(stored.with_run(state=RunState.QUEUED, error=error).released())
    except PreconditionError:
        logger.info("run %s was taken over by another worker", stored.run.run_id)


def _has_another_worker(services: Services, stored: StoredRun, worker: str) -> bool:
    return (
        stored.run.state is RunState.RUNNING
        and stored.claimed_by != worker
        and stored.claimed_until is not None
        and stored.claimed_until > services.clock.machine_now()
    )
