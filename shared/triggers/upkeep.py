"""Upkeep: old exports, blobs that no event announced, and the tables."""

import azure.functions as func

from shared.app import services
from shared.deadline import WORK_S, deadline
from shared.domain import function_names as names

upkeep = func.Blueprint()


@upkeep.function_name(names.DELETE_EXPIRED_EXPORTS)
@upkeep.timer_trigger(arg_name="timer", schedule="%EXPORT_CLEANUP_SCHEDULE%")
def delete_expired_exports(timer: func.TimerRequest) -> None:
    """Deletes exports that are older than the retention."""
    from shared.outbound.retention import delete_expired

    with deadline(WORK_S):
        delete_expired(services())


@upkeep.function_name(names.RECONCILE_BLOBS)
@upkeep.timer_trigger(arg_name="timer", schedule="%RECONCILE_SCHEDULE%")
def reconcile_blobs(timer: func.TimerRequest) -> None:
    """Asks for the sweeps that are due, and takes up runs that were left behind."""
    from shared.arrivals.reconcile import reconcile

    with deadline(WORK_S):
        reconcile(services())


@upkeep.function_name(names.MAINTAIN_TABLES)
@upkeep.timer_trigger(arg_name="timer", schedule="%MAINTENANCE_SCHEDULE%")
def maintain_tables(timer: func.TimerRequest) -> None:
    """Compacts, checkpoints and vacuums the Delta tables."""
    from shared.maintain import maintain_all

    with deadline(WORK_S):
        maintain_all(services())
