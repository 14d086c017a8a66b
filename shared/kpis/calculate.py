"""The story of a KPI: look, calculate over the present instances, store what changed, record."""

import logging
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any

from shared.app import Services
from shared.clock import iso
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.kpis import CalculationWindow, Kpi
from shared.domain.documents.run import Run, RunError, RunKind, RunState, kpi_run_id
from shared.domain.errors import GoneError, HubError, NotFoundError, Recovery, asked_to_wait_s, recovery
from shared.engine.sql import quoted, temporary
from shared.failpoints import FailPoint, failpoint
from shared.hub_records import is_still
from shared.kpis.value_sql import changes_sql, values_sql
from shared.kpis.windows import time_column
from shared.ledger.stored_run import StoredRun
from shared.telemetry.finished import log_finished
from shared.telemetry.logs import at_run
from shared.telemetry.spans import span

logger = logging.getLogger(__name__)


class Calculation(Enum):
    """What became of a calculation."""

    DONE = "the values are up to date"
    FAILED = "the KPI is gone, or could not be calculated"
    BUSY = "another worker calculates it, and may not see what came since it began"


def calculate_kpi(services: Services, hub: str, name: str, due: datetime, worker: str) -> Calculation:
    """Calculates a KPI over what is there now; repeated, it finds nothing new.

    Args:
        services: of the process.
        hub: name of the hub.
        name: of the KPI.
        due: the slot in which it was due; one run is kept for each.
        worker: the id of the queue message that is being worked on.

    Raises:
        TransientError, FatalError: the message is to be delivered again.
        DeferredError: `RunRests`; the message is to come again after its `rest_s`.
    """
    try:
        stored = services.definitions.kpi(hub, name)
        kpi = stored.document
        read_type = services.definitions.entity_type(hub, kpi.entity_type, kpi.entity_type_name)
    except NotFoundError:
        logger.info("nothing to calculate: the KPI is gone")
        return Calculation.FAILED
    with at_run(kpi_run_id(hub, name, stored.instance_id, due)), span("calculate"):
        return _calculate_due(services, stored, read_type, hub, due, worker)


def _calculate_due(
    services: Services,
    stored: Stored[Kpi],
    read_type: Stored[EntityType],
    hub: str,
    due: datetime,
    worker: str,
) -> Calculation:
    kpi = stored.document
    began_ms = services.clock.monotonic_ms()
    now = services.clock.now()
    if not _start(services, stored, _queued(stored, hub, due, now), worker):
        return Calculation.BUSY
    try:
        with services.definitions.while_there(hub, stored, read_type):
            counts = _calculate(services, kpi, read_type.document, now)
    except GoneError as error:
        reason = RunError.of(error)
        _end(services, stored, _queued(stored, hub, due, now), {"state": RunState.SKIPPED, "error": reason}, worker)
        return Calculation.FAILED
    except HubError as error:
        if recovery(error) is Recovery.RETRY:
            _give_back(services, stored, _queued(stored, hub, due, now), error, worker)
            raise
        reason = RunError.of(error)
        _end(services, stored, _queued(stored, hub, due, now), {"state": RunState.FAILED, "error": reason}, worker)
        return Calculation.FAILED
    took_ms = services.clock.monotonic_ms() - began_ms
    changes = {"state": RunState.SUCCEEDED, "error": None, "duration_ms": took_ms, **counts}
    _end(services, stored, _queued(stored, hub, due, now), changes, worker)
    return Calculation.DONE


def give_up_kpi(services: Services, hub: str, name: str, due: datetime) -> None:
    """Records that a KPI was tried in vain, with the reason of the last attempt where there is one."""
    try:
        kpi = services.definitions.kpi(hub, name)
    except NotFoundError:
        return
    known = services.runs.get(hub, kpi_run_id(hub, name, kpi.instance_id, due))
    if known is not None and known.run.state.is_final:
        return
    reason = (known.run.error if known else None) or RunError(
        code="WorkerLost", message="the worker ended in the middle of every attempt; see the log of its instance"
    )
    run = known.run if known else _queued(kpi, hub, due, services.clock.now())
    _end(services, kpi, run, {"state": RunState.FAILED, "error": reason}, worker=None)


def _calculate(services: Services, kpi: Kpi, entity_type: EntityType, now: datetime) -> dict[str, Any]:
    from shared.kpis.rows import kpi_rows
    from shared.lake.values.kpi_values import KpiValues

    table = KpiValues(services.lake, kpi, entity_type)
    with kpi_rows(services.lake, entity_type, now) as (work, rows):
        time = quoted(time_column(kpi, entity_type))
        counted = work.connection.execute(f"SELECT count(*), count({time}) FROM {rows}").fetchone() or (0, 0)
        values = temporary(work.connection, "TABLE", values_sql(kpi, entity_type, rows))
        failpoint(FailPoint.KPI_CALCULATED)
        written = table.write(work, lambda present: changes_sql(kpi, entity_type, values, present, now))
    failpoint(FailPoint.KPI_COMMITTED)
    is_lifetime = kpi.calculation_window is CalculationWindow.LIFETIME
    used = counted[0] if is_lifetime else counted[1]
    return {
        "rows_read": used,
        "rows_ingested": used,
        "details": {
            "changedValues": written.rows,
            "rowsWithoutTime": counted[0] - used,
            "calculation": written.number,
            "calculatedAt": iso(now),
        },
    }


def _queued(kpi: Stored[Kpi], hub: str, due: datetime, now: datetime) -> Run:
    name = kpi.document.kpi_name
    return Run(
        run_id=kpi_run_id(hub, name, kpi.instance_id, due),
        kind=RunKind.KPI,
        entity_type="Kpi",
        entity_type_name=name,
        slot=due,
        queued_at=now,
    )


def _start(services: Services, kpi: Stored[Kpi], run: Run, worker: str) -> bool:
    clock = services.clock

    def begin(stored: StoredRun) -> StoredRun:
        return stored.begun(clock.now()).claimed(worker, clock.machine_now())

    return _change(services, kpi, run, worker, begin) is not None


def _give_back(services: Services, kpi: Stored[Kpi], run: Run, error: HubError, worker: str) -> None:
    reason, asked_s = RunError.of(error), asked_to_wait_s(error)

    def give_back(stored: StoredRun) -> StoredRun:
        return stored.given_back(reason, services.clock.machine_now(), asked_s)

    noted = _change(services, kpi, run, worker, give_back)
    if noted is not None:
        noted.raise_if_resting(error, services.clock.machine_now())


def _end(services: Services, kpi: Stored[Kpi], run: Run, changes: dict[str, Any], worker: str | None) -> None:
    def end(stored: StoredRun) -> StoredRun:
        # A KPI may be calculated several times in a slot: its record counts what they changed together.
        details = changes.get("details", {})
        changed = details.get("changedValues", 0) + stored.run.details.get("changedValues", 0)
        total = {**details, "changedValues": changed} if details else stored.run.details
        ended = {**changes, "details": total, "finished_at": services.clock.now()}
        return stored.with_run(**ended).released()

    saved = _change(services, kpi, run, worker, end)
    if saved is not None:
        log_finished(saved.hub, saved.run)


def _change(
    services: Services,
    kpi: Stored[Kpi],
    run: Run,
    worker: str | None,
    change: Callable[[StoredRun], StoredRun],
) -> StoredRun | None:
    hub, name = kpi.document.tenant_id, kpi.document.kpi_name
    return services.runs.change(
        StoredRun(hub=hub, run=run),
        worker,
        change,
        lambda: is_still(lambda: services.definitions.kpi(hub, name), kpi),
    )
