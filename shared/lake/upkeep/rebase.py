"""Folding refreshes into the base of `states`, and letting old ones go.

The base is sorted and has each key once; it is what a lookup reads. The files of refreshes stay beside it, untouched,
until no export can ask for them any more.
"""

import logging
from datetime import datetime, timedelta

from shared.engine.sql import quoted
from shared.engine.workspace import workspace
from shared.lake.container.store import Lake
from shared.lake.files.ranges import ranges
from shared.lake.files.sorted_files import SortedFileWriter
from shared.lake.files.widest import may_be_wide
from shared.lake.log.actions import added, commit, removed
from shared.lake.log.part import UploadedPart
from shared.lake.log.retry import until_won
from shared.lake.log.tables import DataFile, Snapshot, open_snapshot
from shared.lake.schema import DELETED, KEY, KIND
from shared.lake.states.state_rows import (
    APP_EXPIRE,
    APP_REBASE,
    APP_REFRESH,
    BASE,
    SLOT,
    STATES_LAYOUT,
    StateRows,
    layers,
)

logger = logging.getLogger(__name__)

_KEY, _DELETED = quoted(KEY), quoted(DELETED)
_MANY_FILES = 64
_LARGE_SHARE = 10  # the base is written anew when a tenth of it was written in refreshes
_LONG_UNREBASED = timedelta(days=7)


def rebase(lake: Lake, table: str, now: datetime) -> bool:
    """Writes the base anew with the last row of each key, where refreshes have piled up; deleted rows go.

    Raises:
        CommitConflictError: others rebase the same table. UnavailableError: storage does not answer.
    """

    def attempt() -> bool:
        snapshot = open_snapshot(lake, table)
        if snapshot is None or not _is_worthwhile(snapshot, now):
            return False
        upto = snapshot.transaction(APP_REFRESH) or 0
        written = _write_anew(lake, snapshot)
        gone = removed([file for file in snapshot.files if file.kind == BASE])
        actions = [*added(written, snapshot, kind=BASE, is_change=False), *gone]
        commit(lake, snapshot, actions, {APP_REBASE: upto}, [KIND])
        logger.info("%s rebased up to refresh %s: %s files", table, upto, len(written))
        return True

    return until_won(attempt)


def _is_worthwhile(snapshot: Snapshot, now: datetime) -> bool:
    rebased = snapshot.transaction(APP_REBASE) or 0
    base = sum(file.size for file in snapshot.files if file.kind == BASE)
    waiting = [file for file in _slots(snapshot) if file.refreshes and file.refreshes[1] > rebased]
    if any(file.processed and file.processed < now - _LONG_UNREBASED for file in waiting):
        return True
    above = layers(snapshot).above
    size = sum(file.size for file in above)
    bottom = base or sum(file.size for file in layers(snapshot).bottom)
    return len(above) > _MANY_FILES or size * _LARGE_SHARE > bottom > 0


def _write_anew(lake: Lake, snapshot: Snapshot) -> list[UploadedPart]:
    columns = [column for column in snapshot.columns.values() if column.name != KIND]
    with (
        workspace(lake.settings) as work,
        SortedFileWriter(lake, work, snapshot, columns, STATES_LAYOUT, BASE) as writer,
    ):
        rows = StateRows(lake, work, snapshot, snapshot.fields)
        sizes = rows.sizes if may_be_wide(rows.files) else None
        for bounds in ranges(work.connection, lake.settings, rows.keys, rows.files, sizes=sizes):
            writer.write(f"SELECT * FROM ({rows.last(bounds)}) WHERE NOT {_DELETED} ORDER BY {_KEY}")
        return writer.close()


def expire_slots(lake: Lake, table: str, now: datetime, keep: timedelta) -> int:
    """Takes the files of refreshes off the table that are older than `keep` and rebased.

    Returns:
        How many files went.
    """

    def attempt() -> int:
        snapshot = open_snapshot(lake, table)
        if snapshot is None:
            return 0
        rebased = snapshot.transaction(APP_REBASE) or 0
        gone = [
            file
            for file in _slots(snapshot)
            if file.refreshes and file.refreshes[1] <= rebased and file.processed and file.processed < now - keep
        ]
        if not gone:
            return 0
        newest = max(file.refreshes[1] for file in gone if file.refreshes)
        commit(lake, snapshot, removed(gone), {APP_EXPIRE: newest}, [KIND])
        logger.info("%s files of %s have expired, up to refresh %s", len(gone), table, newest)
        return len(gone)

    return until_won(attempt)


def _slots(snapshot: Snapshot) -> list[DataFile]:
    return [file for file in snapshot.files if file.kind == SLOT]
