"""One worker's attempt at an Ingest run: what it notes before its commit, and the number of its blob version.

How it is claimed, released and ended is that of every run (`ledger/claim.py`).
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from shared.app import Services
from shared.definitions.store.definition_store import Kept
from shared.domain.documents.correction import StagedCorrection
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import RunKind
from shared.domain.errors import FatalError
from shared.ingest.outcome import Outcome
from shared.ledger.claim import Claim, claim_run
from shared.ledger.runs import Position
from shared.ledger.stored_run import Ending, StoredRun

logger = logging.getLogger(__name__)


class Attempt(Claim):
    """A claimed Ingest run, or the correction that it waits with.

    Attributes:
        beside: the other mappings of the hub that read the blob, as the definitions were last read.
    """

    def __init__(self, services: Services, stored: StoredRun) -> None:
        super().__init__(services.runs, services.clock, stored)
        self.beside: Sequence[Kept[Mapping]] = ()

    @property
    def ledger_key(self) -> str:
        """Under which the versions of the blob are ordered."""
        if self.stored.ledger_key is None:
            raise FatalError("RunWithoutBlob", f"the run {self.run.run_id} has no blob to ingest")
        return self.stored.ledger_key

    def position(self, order: int) -> Position:
        """Where the run's blob version is to stand among those of all blobs: at `order`, or behind those of its own."""
        return self._runs.position_of(self.stored, order)

    @property
    def number(self) -> int:
        """The number of this attempt among all at the run."""
        return self.stored.claims

    @property
    def has_rivals(self) -> bool:
        """Whether an earlier attempt got as far as its note: if it is not dead, it may commit at any time."""
        correction = self.stored.correction
        noted = set(self.stored.notes if correction is None else correction.staged)
        return bool(noted - {self.number})

    def note_staged(self, outcome: Outcome, position: Position, entity_type: EntityType) -> int:
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
        noted = self.stored.noted(outcome.note()).with_run(
            details=outcome.details,
            entity_type=entity_type.kind.value,
            entity_type_name=entity_type.type_name,
        )
        noted = replace(noted, lake_path=entity_type.lake_path)
        self.save(noted, lambda noted: self._runs.number_version(noted, position))
        if self.stored.number is None:
            raise FatalError("RunWithoutNumber", f"the run {self.run.run_id} was not numbered")
        return self.stored.number

    def staged(self, attempt: int) -> Outcome:
        """What an attempt that has committed its rows noted before."""
        self.check()
        return Outcome.of_staged(self.stored, attempt)

    def note_correction(self, staged: StagedCorrection) -> None:
        """Notes the same of a correction."""
        if self.stored.correction is None:
            raise FatalError("RunWithoutCorrection", f"the run {self.run.run_id} has no correction to carry out")
        noted = {**self.stored.correction.staged, self.number: staged}
        correction = self.stored.correction.model_copy(update={"staged": noted})
        self.save(replace(self.stored, correction=correction))


def take(services: Services, hub: str, run_id: str, worker: str) -> Attempt | None:
    """Claims the run for `worker`, the id of the queue message that is being worked on.

    Should another worker still live (it was paused), it loses its claim, and the fence of the commit lets the rows
    through once.

    Returns:
        The attempt, or None where there is nothing to do: finished, or another message's worker has it.
    """

    def find() -> StoredRun | None:
        stored = services.runs.get(hub, run_id)
        if stored is None or stored.run.kind is not RunKind.INGEST:
            logger.warning("message for a run that is not recorded, or was with its hub: hub %s run %s", hub, run_id)
            return None
        return stored

    claimed = claim_run(services.runs, services.clock, find, worker, lambda stored: not stored.run.state.is_final)
    return None if claimed is None else Attempt(services, claimed)


def end(claim: Claim, outcome: Outcome, duration_ms: int, *, retryable: bool = False) -> None:
    """Records the end of a run.

    Args:
        claim: on the run.
        outcome: how it ends.
        duration_ms: milliseconds of the attempt.
        retryable: whether the reconciler may take a Failed run up again.
    """
    claim.end(
        Ending(
            outcome.state,
            outcome.error,
            ingested=outcome.ingested,
            rejected=outcome.rejected,
            bytes_read=outcome.bytes_read,
            duration_ms=duration_ms,
            details=outcome.details,
        ),
        is_retryable=retryable,
        rejects=outcome.rejects,
        owes=outcome.owes,
        notes={},
    )
