"""The table `states` of a profile type: merged rows, each stamped with the refresh that last changed it.

A refresh merges the changes that came since the one before and appends what they changed, sorted by key. Its number
is the version of `changes` up to which it merged; the application transaction `refresh` remembers it in the same
commit, so two refreshes at once cannot both land, and no change is ever missing or doubled.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.clock import iso
from shared.domain.documents.entity_types import EntityType
from shared.engine.sql import literal, quoted
from shared.engine.workspace import Workspace, workspace
from shared.failpoints import FailPoint, failpoint
from shared.lake.changes.late import highest_order, link_changes
from shared.lake.changes.pending import PendingFile, pending_files
from shared.lake.container.store import Lake
from shared.lake.files.sorted_files import SortedFileWriter
from shared.lake.log.actions import added, commit
from shared.lake.log.commits import version_of
from shared.lake.log.part import UploadedPart
from shared.lake.log.retry import until_won
from shared.lake.log.tables import Snapshot, ensure_table, open_snapshot
from shared.lake.paths import changes_path, states_path
from shared.lake.schema import KEY, KIND, PROCESSING_TIME, REFRESH, states_schema
from shared.lake.states.merge import Merge
from shared.lake.states.state_rows import APP_ORDER, APP_REFRESH, SLOT, STATES_LAYOUT, StateRows

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh did.

    Attributes:
        from_version, to_version: the versions of `changes` it took the changes after, and up to which it took them; the
            latter is the number of the refresh. Equal where nothing was pending.
        rows: rows that changed.
        table_version: version of `states` that has them; at it, no row is of a later refresh.
    """

    from_version: int
    to_version: int
    rows: int
    table_version: int


def refresh(lake: Lake, profile_type: EntityType, now: datetime) -> Refresh:
    """Merges all changes committed so far.

    Args:
        lake: the container.
        profile_type: the type.
        now: becomes `System_ProcessingTime` of the rows that changed.

    Raises:
        CommitConflictError: too many refreshes at once. UnavailableError: storage does not answer, or no room is left.
        FatalError: a table is damaged.
    """
    return until_won(lambda: _refresh(lake, profile_type, now))


def _refresh(lake: Lake, profile_type: EntityType, now: datetime) -> Refresh:
    changes = open_snapshot(lake, changes_path(profile_type))
    schema = _states_schema(profile_type, changes)
    states = ensure_table(lake, states_path(profile_type), schema, [KIND])
    before = states.transaction(APP_REFRESH) or 0
    if changes is None or changes.version <= before:
        return Refresh(before, before, 0, states.version)
    pending = pending_files(lake, changes, before)
    merged_to = states.transaction(APP_ORDER) or 0
    merged = _Merged([], merged_to)
    if pending:
        with workspace(lake.settings) as work:
            merged = _merge(lake, work, changes, states, pending, merged_to, now)
    failpoint(FailPoint.STATES_UPLOADED)
    version = _commit(lake, states, merged, changes.version)
    failpoint(FailPoint.STATES_COMMITTED)
    rows = sum(file.part.rows for file in merged.written)
    logger.info("refresh %s of %s: %s rows changed", changes.version, states.table, rows)
    return Refresh(before, changes.version, rows, version)


def _states_schema(profile_type: EntityType, changes: Snapshot | None) -> "pa.Schema":
    """The columns of the type, and those that `changes` has: a writer may know a newer type than we do."""
    import pyarrow as pa

    schema = states_schema(profile_type)
    there = {name.casefold() for name in schema.names}
    more = [column for column in changes.fields if column.name.casefold() not in there] if changes else []
    return pa.schema([*schema, *more])


@dataclass(frozen=True, slots=True)
class _Merged:
    """What a merge wrote, and the highest `_order` that is merged with it."""

    written: list[UploadedPart]
    order: int


def _merge(
    lake: Lake,
    work: Workspace,
    changes: Snapshot,
    states: Snapshot,
    pending: Sequence[PendingFile],
    merged_to: int,
    now: datetime,
) -> _Merged:
    earlier = StateRows(lake, work, states, changes.fields) if states.files else None
    local = link_changes(lake, work, changes, pending, merged_to)
    merge = Merge(work, lake.settings, local, [*changes.columns.values()], earlier)
    stamp = (
        f"TIMESTAMPTZ {literal(iso(now))} AS {quoted(PROCESSING_TIME)}, {changes.version}::BIGINT AS {quoted(REFRESH)}"
    )
    columns = [column for column in states.columns.values() if column.name != KIND]
    with SortedFileWriter(lake, work, states, columns, STATES_LAYOUT, SLOT) as writer:
        for merged in merge.merged():
            writer.write(f"SELECT *, {stamp} FROM ({merged}) ORDER BY {quoted(KEY)}")
        written = writer.close()
    return _Merged(written, max(merged_to, highest_order(work, changes, local)))


def _commit(lake: Lake, states: Snapshot, merged: _Merged, number: int) -> int:
    """Commits the refresh with its watermark; also alone, so that the next one need not look at the same again."""
    numbers = {APP_REFRESH: number, APP_ORDER: merged.order}
    commit(lake, states, added(merged.written, states, kind=SLOT), numbers, [KIND])
    return version_of(lake, states, APP_REFRESH, number)
