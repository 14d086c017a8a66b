"""Changes that came late: rows that stand before others that are merged already, of an earlier blob version, or
corrected rows of one whose other rows are in.

Merged rows do not say which change each of their fields is from. So a key for which something came late is merged from
all its changes once more.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from shared.engine.sql import first_row, literal, quoted, quoted_list, temporary
from shared.engine.workspace import Workspace
from shared.lake.changes.pending import PendingFile
from shared.lake.container.store import Lake
from shared.lake.files.linked import change_rows, link_files
from shared.lake.files.widest import widest_in
from shared.lake.log.tables import Snapshot
from shared.lake.schema import KEY, ORDER

logger = logging.getLogger(__name__)

_KEY, _ORDER = quoted(KEY), quoted(ORDER)


def link_changes(
    lake: Lake, work: Workspace, changes: Snapshot, pending: Sequence[PendingFile], merged_to: int
) -> list[Path]:
    """Fetches what has to be merged: the pending changes, and the earlier ones of keys for which some came late.

    Args:
        lake: the container.
        work: where the files are put.
        changes: the table.
        pending: its files that no refresh has merged.
        merged_to: the highest `_order` that a refresh has merged.
    """
    files = link_files(lake, work, changes.table, pending)
    if not files:
        return files
    columns = [*changes.columns.values()]
    # Rows of the same order may be later lines of the same file: corrected rows stand between them.
    new = change_rows(files, columns)
    keys = temporary(work.connection, "TABLE", f"SELECT DISTINCT {_KEY} FROM {new} WHERE {_ORDER} <= {int(merged_to)}")
    found = first_row(work.connection, f"SELECT count(*), min({_KEY}), max({_KEY}) FROM {keys}")
    if found is None or not found[0]:
        return files
    logger.info("%s keys of %s are merged anew: changes of earlier blobs came late", found[0], changes.table)
    first, last = found[1:]
    held = [file for file in changes.files if file.may_hold(None, last) and (file.high is None or file.high >= first)]
    local = link_files(lake, work, changes.table, held)
    earlier = change_rows(local, columns)
    noted = ", ".join(f"{name}: '{size}'" for name, size in widest_in(local).metadata.items())
    history = files[0].with_name(f"{'0' * 20}-history.parquet")
    names = quoted_list(column.name for column in columns)
    # Upkeep may have merged files that are pending: what stands in both counts once.
    work.connection.execute(
        f"""
        COPY (
            SELECT {names} FROM {earlier} held WHERE {_KEY} IN (FROM {keys})
            AND NOT EXISTS (FROM {new} new WHERE new.{_KEY} = held.{_KEY} AND new._at = held._at)
        ) TO {literal(str(history))} (FORMAT parquet, KV_METADATA {{{noted}}})
        """
    )
    return [*files, history]


def highest_order(work: Workspace, changes: Snapshot, files: Sequence[Path]) -> int:
    """The highest `_order` in files of changes; 0 where none has any."""
    rows = change_rows(files, [*changes.columns.values()])
    found = first_row(work.connection, f"SELECT max({_ORDER}) FROM {rows}")
    return int(found[0] or 0) if found else 0
