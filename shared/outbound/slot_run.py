"""The record of a slot's run: created with the first attempt, and never changed once the slot is published."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.domain.documents.run import Run, RunError, RunKind, RunState
from shared.domain.errors import HubError
from shared.domain.slot import data_path
from shared.hub_records import is_still
from shared.ledger.slots import Plan, Published
from shared.ledger.stored_run import StoredRun
from shared.outbound.plan import Export
from shared.telemetry.finished import log_finished

logger = logging.getLogger(__name__)

_DONE = frozenset({RunState.SUCCEEDED, RunState.SKIPPED})


def start_run(export: Export, plan: Plan) -> bool:
    """Records that an attempt to publish a slot begins; False where another worker is at it, or while it rests."""
    clock = export.services.clock

    def take(stored: StoredRun) -> StoredRun | None:
        if export.worker and stored.rests(clock.machine_now()):
            return None
        taken = stored.begun(clock.now())
        return taken.claimed(export.worker, clock.machine_now()) if export.worker else taken

    if _save(export, plan.slot, plan.run_id, take):
        return True
    present = export.services.runs.get(export.hub, plan.run_id)
    return present is not None and present.run.state in _DONE


def succeed_run(export: Export, plan: Plan, published: Published, duration_ms: int) -> None:
    """Records that a slot is published."""
    facts = {
        "path": data_path(export.entity.kind.value, export.entity.name, plan.slot),
        "fromVersion": plan.from_version,
        "toVersion": plan.to_version,
        "sha256": published.sha256,
        "bytes": published.size,
    }
    _end(
        export,
        plan.slot,
        plan.run_id,
        {
            "state": RunState.SUCCEEDED,
            "rows_read": published.rows,
            "rows_ingested": published.rows,
            "duration_ms": duration_ms,
            "error": None,
            "details": facts,
        },
        export.destination.sas.place,
    )


def skip_run(export: Export, plan: Plan, code: str, message: str) -> None:
    """Records that a slot's rows go out with a later slot."""
    _end(
        export,
        plan.slot,
        plan.run_id,
        {"state": RunState.SKIPPED, "error": RunError(code=code, message=message)},
    )


def fail_run(export: Export, slot: datetime, run_id: str, error: HubError) -> None:
    """Records why a slot waits; it is tried again with the next tick."""
    reason = RunError.of(error)
    _end(export, slot, run_id, {"state": RunState.FAILED, "error": reason})


def note_attempt(export: Export, plan: Plan, reason: RunError, asked_s: float | None = None) -> StoredRun | None:
    """Records why an attempt failed that is made again soon, or once the run has rested for what a service asked for.

    Returns:
        The record; None where it stays as it is.
    """
    now = export.services.clock.machine_now()
    return _save(export, plan.slot, plan.run_id, lambda stored: stored.given_back(reason, now, asked_s))


def note_wait(export: Export, plan: Plan, reason: RunError, rest_s: int) -> None:
    """Records that a slot waits for its turn at the destination, which was no attempt; no tick disturbs it before."""
    now = export.services.clock.machine_now()
    _save(export, plan.slot, plan.run_id, lambda stored: stored.resting(reason, now, rest_s))


def _end(export: Export, slot: datetime, run_id: str, changes: dict[str, Any], destination: str | None = None) -> None:
    finished = {**changes, "finished_at": export.services.clock.now()}

    def end(stored: StoredRun) -> StoredRun:
        return replace(stored.with_run(**finished).released(), destination=destination)

    _save(export, slot, run_id, end)


def _save(
    export: Export, slot: datetime, run_id: str, change: Callable[[StoredRun], StoredRun | None]
) -> StoredRun | None:
    """Changes the record of a slot; None where it stays as it is: it is done, or another's, or `change` says so."""
    connector_name = export.connector.document.connector_name
    first = StoredRun(hub=export.hub, run=_queued(export, slot, run_id))
    saved = export.services.runs.change(
        first,
        export.worker,
        lambda stored: None if stored.run.state in _DONE else change(stored),
        lambda: is_still(lambda: export.services.definitions.connector(export.hub, connector_name), export.connector),
    )
    if saved is not None and saved.run.state.is_final:
        log_finished(export.hub, saved.run)
    return saved


def _queued(export: Export, slot: datetime, run_id: str) -> Run:
    return Run(
        run_id=run_id,
        kind=RunKind.EXPORT,
        connector=export.connector.document.connector_name,
        entity_type=export.entity.kind.value,
        entity_type_name=export.entity.name,
        slot=slot,
        queued_at=export.services.clock.now(),
    )
