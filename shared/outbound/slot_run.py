"""The record of a slot's run: created with the first attempt, and never changed once the slot is published."""

from datetime import datetime

from shared.domain.documents.run import Run, RunError, RunKind, RunState
from shared.domain.slot import data_path
from shared.hub_records import is_still
from shared.ledger.claim import Claim, claim_run, end_run
from shared.ledger.slots import Plan, Published
from shared.ledger.stored_run import Ending, StoredRun
from shared.outbound.plan import Export

_DONE = frozenset({RunState.SUCCEEDED, RunState.SKIPPED})


def claim_slot(export: Export, plan: Plan, worker: str) -> Claim | None:
    """Claims a slot to publish it; None where another worker is at it, while it rests, and where it is done."""
    runs, clock = export.services.runs, export.services.clock

    def find() -> StoredRun | None:
        return _get_or_create(export, plan.slot, plan.run_id)

    def may_begin(stored: StoredRun) -> bool:
        return stored.run.state not in _DONE and not stored.rests(clock.machine_now())

    claimed = claim_run(runs, clock, find, worker, may_begin)
    return None if claimed is None else Claim(runs, clock, claimed)


def is_done(export: Export, plan: Plan) -> bool:
    """Whether the record of a slot will not change any more; the ledger may still have to move on."""
    stored = export.services.runs.get(export.hub, plan.run_id)
    return stored is not None and stored.run.state in _DONE


def succeed_run(export: Export, claim: Claim, plan: Plan, published: Published) -> None:
    """Records that a slot is published."""
    facts = {
        "path": data_path(export.entity.kind.value, export.entity.name, plan.slot),
        "fromVersion": plan.from_version,
        "toVersion": plan.to_version,
        "sha256": published.sha256,
        "bytes": published.size,
    }
    ending = Ending(RunState.SUCCEEDED, ingested=published.rows, duration_ms=claim.elapsed_ms(), details=facts)
    claim.end(ending, destination=export.destination.sas.place)


def fail_unclaimed_run(export: Export, slot: datetime, run_id: str, reason: RunError, worker: str | None) -> None:
    """Records why a slot waits that nobody has claimed; it is tried again with the next tick.

    Args:
        export: that it belongs to.
        slot: when it is due.
        run_id: of its run.
        reason: why it waits.
        worker: whose reason it is, and who leaves a slot alone that another one has claimed; None for whoever gives it
            up.
    """
    runs, clock = export.services.runs, export.services.clock

    def find() -> StoredRun | None:
        return _get_or_create(export, slot, run_id)

    def may_end(stored: StoredRun) -> bool:
        is_held = worker is not None and stored.is_claimed_by_another(worker, clock.machine_now())
        return stored.run.state not in _DONE and not is_held

    end_run(runs, clock, find, lambda _: Ending(RunState.FAILED, reason), may_end)


def _get_or_create(export: Export, slot: datetime, run_id: str) -> StoredRun | None:
    services, connector = export.services, export.connector
    name = connector.document.connector_name
    run = Run(
        run_id=run_id,
        kind=RunKind.EXPORT,
        connector=name,
        entity_type=export.entity.kind.value,
        entity_type_name=export.entity.name,
        slot=slot,
        queued_at=services.clock.now(),
    )
    return services.runs.get_or_create(
        StoredRun(hub=export.hub, run=run),
        lambda: is_still(lambda: services.definitions.connector(export.hub, name), connector),
    )
