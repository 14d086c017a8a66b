"""The story of a KPI: look, calculate over the present instances, store what changed, record."""

import logging
from dataclasses import replace
from datetime import datetime
from enum import Enum

from shared.app import Services
from shared.clock import iso
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.kpis import CalculationWindow, Kpi
from shared.domain.documents.run import Run, RunError, RunKind, RunState, kpi_run_id
from shared.domain.errors import ClaimLostError, GoneError, HubError, NotFoundError
from shared.engine.sql import quoted, temporary
from shared.failpoints import FailPoint, failpoint
from shared.hub_records import is_still
from shared.kpis.value_sql import changes_sql, values_sql
from shared.kpis.windows import time_column
from shared.ledger.claim import Claim, claim_run, end_run, last_reason
from shared.ledger.stored_run import Ending, StoredRun
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
    now = services.clock.now()

    def find() -> StoredRun | None:
        return _get_or_create(services, stored, hub, due)

    claimed = claim_run(services.runs, services.clock, find, worker)
    if claimed is None:
        return Calculation.BUSY
    claim = Claim(services.runs, services.clock, claimed)

    def calculate() -> Ending:
        with services.definitions.while_there(hub, stored, read_type):
            return _calculate(services, stored.document, read_type.document, now)

    def refuse(error: HubError) -> None:
        state = RunState.SKIPPED if isinstance(error, GoneError) else RunState.FAILED
        claim.end(Ending(state, RunError.of(error)))

    try:
        ending = claim.carry_out(calculate, refuse)
        if ending is None:
            return Calculation.FAILED
        claim.end(_added_up(ending, claim))
    except ClaimLostError as error:
        logger.info("the KPI is calculated elsewhere, or gone: %s", error)
        return Calculation.BUSY
    return Calculation.DONE


def give_up_kpi(services: Services, hub: str, name: str, due: datetime) -> None:
    """Records that the attempts at a KPI are exhausted, with the reason of the last attempt where there is one."""
    try:
        kpi = services.definitions.kpi(hub, name)
    except NotFoundError:
        return
    end_run(
        services.runs,
        services.clock,
        lambda: _get_or_create(services, kpi, hub, due),
        lambda stored: Ending(RunState.FAILED, last_reason(stored.run)),
        lambda stored: not stored.run.state.is_final,
    )


def _calculate(services: Services, kpi: Kpi, entity_type: EntityType, now: datetime) -> Ending:
    from shared.kpis.rows import kpi_rows
    from shared.lake.values.kpi_values import KpiValues

    table = KpiValues(services.lake, kpi, entity_type)
    since = table.newest().number
    with kpi_rows(services.lake, entity_type, now) as (work, rows):
        time = quoted(time_column(kpi, entity_type))
        counted = work.connection.execute(f"SELECT count(*), count({time}) FROM {rows}").fetchone() or (0, 0)
        values = temporary(work.connection, "TABLE", values_sql(kpi, entity_type, rows))
        failpoint(FailPoint.KPI_CALCULATED)
        written = table.write(work, lambda present: changes_sql(kpi, entity_type, values, present, now), since)
    failpoint(FailPoint.KPI_COMMITTED)
    is_lifetime = kpi.calculation_window is CalculationWindow.LIFETIME
    used = counted[0] if is_lifetime else counted[1]
    details = {
        "changedValues": written.rows,
        "rowsWithoutTime": counted[0] - used,
        "calculation": written.number,
        "calculatedAt": iso(now),
    }
    return Ending(RunState.SUCCEEDED, ingested=used, details=details)


def _added_up(ending: Ending, claim: Claim) -> Ending:
    """A KPI may be calculated several times in a slot: its record counts what they changed together."""
    details = ending.details or {}
    changed = details["changedValues"] + claim.run.details.get("changedValues", 0)
    return replace(ending, details={**details, "changedValues": changed}, duration_ms=claim.elapsed_ms())


def _get_or_create(services: Services, kpi: Stored[Kpi], hub: str, due: datetime) -> StoredRun | None:
    name = kpi.document.kpi_name
    run = Run(
        run_id=kpi_run_id(hub, name, kpi.instance_id, due),
        kind=RunKind.KPI,
        entity_type="Kpi",
        entity_type_name=name,
        slot=due,
        queued_at=services.clock.now(),
    )
    return services.runs.get_or_create(
        StoredRun(hub=kpi.document.tenant_id, run=run),
        lambda: is_still(lambda: services.definitions.kpi(hub, name), kpi),
    )
