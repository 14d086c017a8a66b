"""The record of a slot's run: created with the first attempt, and never changed once the slot is published."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from shared.domain.errors import HubError, PreconditionError
from shared.domain.run import Run, RunError, RunKind, RunState
from shared.domain.slot import data_path
from shared.ledger.runs import StoredRun
from shared.ledger.slots import Plan, Published
from shared.outbound.plan import Export
from shared.telemetry import log_finished

logger = logging.getLogger(__name__)

_DONE = frozenset({RunState.SUCCEEDED, RunState.SKIPPED})


def start_run(export: Export, plan: Plan) -> None:
    """Records that an attempt to publish a slot begins."""
    clock = export.services.clock
    _save(
        export,
        plan.slot,
        plan.run_id,
        lambda run: {
            "state": RunState.RUNNING,
            "attempts": run.attempts + 1,
            "started_at": clock.now(),
            "error": None,
        },
    )


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
    reason = RunError(code=error.code, message=error.message)
    _end(export, slot, run_id, {"state": RunState.FAILED, "error": reason})


def note_attempt(export: Export, slot: datetime, run_id: str, reason: RunError) -> None:
    """Records why an attempt failed that is made again at once."""
    _save(export, slot, run_id, lambda _: {"state": RunState.QUEUED, "error": reason})


def _end(export: Export, slot: datetime, run_id: str, changes: dict[str, Any]) -> None:
    finished = {**changes, "finished_at": export.services.clock.now()}
    saved = _save(export, slot, run_id, lambda _: finished)
    if saved is not None:
        log_finished(export.hub, saved.run)


def _save(export: Export, slot: datetime, run_id: str, change: Callable[[Run], dict[str, Any]]) -> StoredRun | None:
    """The changed record; None where the run is over and stays as it is."""
    runs = export.services.runs
    while True:
        stored = runs.get(export.hub, run_id)
        if stored is None:
            runs.create(StoredRun(hub=export.hub, run=_queued(export, slot, run_id)))
            continue
        if stored.run.state in _DONE:
            return None
        try:
            return runs.save(stored.with_run(**change(stored.run)))
        except PreconditionError:
            continue  # another worker changed the record: look again


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
