"""The end of a run: its rejects, its counts, its state; written so that a repetition changes nothing."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any, Self

from shared.app import Services
from shared.domain.errors import HubError, PreconditionError, SkippedError, SupersededError
from shared.domain.places import rejects_path
from shared.domain.run import Run, RunError, RunState
from shared.ingest.reject_file import RejectFile
from shared.ledger.runs import StoredRun
from shared.telemetry import log_finished

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        ingested: rows that are in the tables.
        rejected: rows refused.
        bytes_read: bytes downloaded.
        details: further facts for the run's record.
    """

    state: RunState
    ingested: int = 0
    rejected: int = 0
    bytes_read: int = 0
    error: RunError | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_rows(cls, ingested: int, rejected: int, bytes_read: int, details: dict[str, Any]) -> Self:
        """The outcome of a file that was read to its end."""
        state = RunState.PARTIALLY_SUCCEEDED if rejected else RunState.SUCCEEDED
        return cls(state, ingested, rejected, bytes_read, details=details)

    @classmethod
    def of_record(cls, run: Run) -> Self:
        """The outcome of a run that was committed, from the counts that its record kept before."""
        return cls.of_rows(run.rows_ingested, run.rows_rejected, run.bytes_read, run.details)

    @classmethod
    def of_error(cls, error: HubError, rejected: int = 0, bytes_read: int = 0) -> Self:
        """The outcome of a blob version that was refused as a whole."""
        if isinstance(error, SupersededError):
            state = RunState.SUPERSEDED
        elif isinstance(error, SkippedError):
            state = RunState.SKIPPED
        else:
            state = RunState.FAILED
        reason = RunError(code=error.code, message=error.message)
        return cls(state, rejected=rejected, bytes_read=bytes_read, error=reason)

    @classmethod
    def of_reason(cls, reason: RunError) -> Self:
        """The outcome of a run whose attempts are used up."""
        return cls(RunState.FAILED, error=reason)

    def with_note(self, name: str, note: str | None) -> Self:
        """The outcome with one more fact, where there is one."""
        return self if note is None else replace(self, details={**self.details, name: note})


def keep_rejects(services: Services, stored: StoredRun, rejects: RejectFile) -> None:
    """Stores the rejects under the run; a repetition writes the same file again."""
    rejects.close()
    if rejects.count:
        services.run_files.upload_file(rejects_path(stored.hub, stored.run.run_id), rejects.path)


def keep_counts(services: Services, stored: StoredRun, outcome: Outcome) -> StoredRun:
    """Notes the counts on the record before the commit: after it, a crash must not need to read the blob again."""
    return services.runs.save(stored.with_run(**_counts(outcome)))


def finish(
    services: Services, stored: StoredRun, outcome: Outcome, duration_ms: int, *, retryable: bool = False
) -> None:
    """Records the end of the run and logs its one line.

    Args:
        retryable: whether the reconciler may take a Failed run up again.
    """
    current = services.runs.get(stored.hub, stored.run.run_id) or stored
    if current.run.state.is_final or current.claimed_by != stored.claimed_by:
        logger.info("run %s was taken over by another worker", stored.run.run_id)
        return
    ended = current.with_run(
        state=outcome.state,
        error=outcome.error,
        finished_at=services.clock.now(),
        duration_ms=duration_ms,
        **_counts(outcome),
    )
    try:
        saved = services.runs.save(replace(ended.released(), is_retryable=retryable))
    except PreconditionError:
        logger.info("run %s was taken over by another worker", stored.run.run_id)
        return
    log_finished(stored.hub, saved.run)


def _counts(outcome: Outcome) -> dict[str, Any]:
    return {
        "rows_read": outcome.ingested + outcome.rejected,
        "rows_ingested": outcome.ingested,
        "rows_rejected": outcome.rejected,
        "bytes_read": outcome.bytes_read,
        "details": outcome.details,
    }
