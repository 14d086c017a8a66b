"""Named places between two steps, where a test may end the process, pause it or make it fail.

Nothing outside of this process can arm one: there is no setting for it. Unarmed, a failpoint does nothing.
"""

from collections.abc import Callable
from enum import StrEnum


class FailPoint(StrEnum):
    """After what the process may end; the tests end it at each."""

    # Ingestion
    EVENT_RECEIVED = "event received"
    RUN_RECORDED = "run recorded"
    RUN_QUEUED = "run queued"
    RUN_CLAIMED = "run claimed"
    BATCH_STAGED = "batch staged"
    PARTS_UPLOADED = "parts uploaded"
    REJECTS_STORED = "rejects stored"
    COUNTS_NOTED = "counts noted"
    CLAIM_CHECKED = "claim checked"
    ROWS_COMMITTED = "rows committed"
    BLOB_COMPLETED = "blob completed"
    RUN_ENDED = "run ended"
    # Corrections
    CORRECTION_STORED = "correction stored"
    CORRECTION_CLAIMED = "correction claimed"
    CORRECTION_STAGED = "correction staged"
    CORRECTION_NOTED = "correction noted"
    CORRECTION_CHECKED = "correction's claim checked"
    CORRECTION_COMMITTED = "correction committed"
    CORRECTION_ENDED = "correction ended"
    # Refresh
    STATES_UPLOADED = "states uploaded"
    STATES_COMMITTED = "states committed"
    # Export
    SLOT_PLANNED = "slot planned"
    SLOT_STARTED = "slot started"
    SCHEMA_PUBLISHED = "schema published"
    BLOCKS_STAGED = "blocks staged"
    SLOT_COMMITTED = "slot committed"
    SLOT_RUN_ENDED = "slot's run ended"
    SLOT_PUBLISHED = "slot published"
    # Clean-up, KPIs, definitions
    EXPORT_DELETED = "export deleted"
    KPI_CALCULATED = "KPI calculated"
    KPI_COMMITTED = "KPI committed"
    SECRETS_KEPT = "secrets kept"
    CONNECTOR_STORED = "connector stored"
    CONNECTOR_DELETING = "connector deleting"
    SECRETS_FORGOTTEN = "secrets forgotten"
    TYPE_DELETED = "type deleted"
    HUB_CLOSED = "hub closed"
    HUB_ROWS_DELETED = "hub's rows deleted"
    HUB_EMPTIED = "hub emptied"
    HUB_GONE = "hub gone"


_armed: dict[FailPoint, Callable[[], None]] = {}


def failpoint(point: FailPoint) -> None:
    """Marks a place; does what it is armed with."""
    if action := _armed.get(point):
        action()


def arm(point: FailPoint, action: Callable[[], None]) -> None:
    """Has `action` called whenever this process comes to `point`."""
    _armed[point] = action
