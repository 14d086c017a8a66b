"""Corrected rows of derived keys: the equal rows that the run has brought already count before them."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.engine.sql import literal, quoted
from shared.engine.workspace import Workspace, workspace
from shared.lake.container.store import Lake
from shared.lake.files.linked import link_files
from shared.lake.files.rows_sql import rows_of
from shared.lake.log.tables import DataFile, Snapshot, open_snapshot
from shared.lake.schema import KEY, RUN

if TYPE_CHECKING:
    import pyarrow as pa

_KEY, _RUN = quoted(KEY), quoted(RUN)
_NUMBER_MARK = "#"


def number_after(lake: Lake, table: str, keys: Sequence[str], run_id: str, run_rows: int) -> "pa.Array":
    """Keys with the numbers that they have as further rows of a run: `#2` where there is one of the same content.

    Args:
        lake: the container.
        table: path of the table of changes.
        keys: derived ones of typed rows, ascending by line; at least one.
        run_id: of the run.
        run_rows: how many rows of it are in the table.
    """
    import pyarrow as pa

    counted = Counter[str]()
    snapshot = open_snapshot(lake, table)
    for file in _files_of(snapshot, run_id, run_rows, keys) if snapshot else []:
        # One at a time: where upkeep has merged the run's files with others, many may have to be looked at.
        with workspace(lake.settings) as work:
            counted.update(_count(lake, work, table, file, run_id, keys))
    return pa.array([_numbered(key, counted) for key in keys], pa.string())


def _files_of(snapshot: Snapshot, run_id: str, run_rows: int, keys: Sequence[str]) -> list[DataFile]:
    """The files that may have such rows of a run: its own, or, where upkeep has merged some of them, any."""
    own = [file for file in snapshot.files if file.path.startswith(f"{run_id}-")]
    found = own if sum(file.rows for file in own) == run_rows else snapshot.files
    beyond = f"{max(keys)}{_NUMBER_MARK}\U0010ffff"
    return [file for file in found if (file.high is None or file.high >= min(keys)) and file.may_hold(None, beyond)]


def _count(lake: Lake, work: Workspace, table: str, file: DataFile, run_id: str, keys: Sequence[str]) -> dict[str, int]:
    import pyarrow as pa

    columns = [pa.field(KEY, pa.string()), pa.field(RUN, pa.string())]
    work.connection.register("wanted_keys", pa.table({"wanted": pa.array(sorted(set(keys)), pa.string())}))
    plain = f"split_part({_KEY}, {literal(_NUMBER_MARK)}, 1)"
    found = work.connection.execute(
        f"""
        SELECT {plain} AS plain, count(*) FROM {rows_of(link_files(lake, work, table, [file]), columns)}
        WHERE {_RUN} = {literal(run_id)} AND {plain} IN (SELECT wanted FROM wanted_keys) GROUP BY plain
        """
    ).fetchall()
    work.connection.unregister("wanted_keys")
    return dict(found)


def _numbered(key: str, counted: Counter[str]) -> str:
    counted[key] += 1
    return key if counted[key] == 1 else f"{key}{_NUMBER_MARK}{counted[key]}"
