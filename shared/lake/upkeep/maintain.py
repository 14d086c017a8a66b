"""Upkeep of the tables of a type or a KPI; it may stop anywhere and run beside everything else."""

import logging
from datetime import datetime, timedelta

from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.kpis import Kpi
from shared.lake.container.faults import translated
from shared.lake.container.store import Lake
from shared.lake.log.tables import open_snapshot
from shared.lake.paths import changes_path, kpi_path, states_path
from shared.lake.states.refresh import refresh
from shared.lake.upkeep.compact import compact
from shared.lake.upkeep.rebase import expire_slots, rebase

logger = logging.getLogger(__name__)

_GRACE = timedelta(days=7)  # a slot that waits for its destination may be older than an export that is kept


def maintain(lake: Lake, entity_type: EntityType, now: datetime, retention_days: int) -> None:
    """Merges small files, rebases refreshes, and lets go of what nobody can ask for any more.

    Changes are refreshed first: a type that nothing exports would else wait until the log forgets its commits.

    Args:
        lake: the container.
        entity_type: the type.
        now: present time.
        retention_days: how long exports are kept; slots can be read a week longer.

    Raises:
        TransientError: storage does not answer, or others were faster; the next run goes on.
        FatalError: a table is damaged.
    """
    changes = changes_path(entity_type)
    if open_snapshot(lake, changes) is None:
        return
    if entity_type.kind is EntityKind.PROFILE:
        states = states_path(entity_type)
        # Every change that the refresh saw is settled; what came later is newer than the newest file of before.
        known = open_snapshot(lake, changes)
        refresh(lake, entity_type, now)
        current = {file.path for file in known.files} if known else set()
        compact(lake, changes, lambda file: file.path in current)
        rebase(lake, states, now)
        expire_slots(lake, states, now, timedelta(days=retention_days) + _GRACE)
        _clean(lake, states)
    else:
        compact(lake, changes, lambda _: True)
    _clean(lake, changes)


def maintain_kpi(lake: Lake, kpi: Kpi) -> None:
    """The same for the values of a KPI."""
    table = kpi_path(kpi)
    compact(lake, table, lambda _: True)
    _clean(lake, table)


def keep_readable(lake: Lake, profile_type: EntityType, now: datetime) -> None:
    """Refreshes a profile type that has changes, which is the first that `maintain` does for it.

    Raises:
        TransientError, FatalError: as `maintain`.
    """
    if open_snapshot(lake, changes_path(profile_type)) is not None:
        refresh(lake, profile_type, now)


def _clean(lake: Lake, table: str) -> None:
    """Deletes log entries and files that are older than the table's retention, and files that no commit ever named."""
    snapshot = open_snapshot(lake, table)
    if snapshot is None:
        return
    with translated(table):
        snapshot.handle.create_checkpoint()
        snapshot.handle.cleanup_metadata()
        if snapshot.handle.vacuum(dry_run=True, full=True):
            deleted = snapshot.handle.vacuum(dry_run=False, full=True)
            logger.info("%s files of %s deleted", len(deleted), table)
