"""Rows that come late: corrected rows of a run whose other rows were committed long before.

They carry the `_order` of those rows, so they count where the run's own rows stand and not as the newest. A refresh may
have merged what comes after them already; for the keys of late rows the changes are folded from the first one on.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.lake.engine import Workspace, workspace
from shared.lake.linked import change_rows, link_files
from shared.lake.schema import INGESTED_AT, KEY, LINE, ORDER, RUN, changes_schema
from shared.lake.sql import Bounds, between, literal, quoted, rows_of, temporary
from shared.lake.tables import DataFile, Snapshot, open_snapshot

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.domain.entity_types import EntityType
    from shared.lake.store import Lake

_KEY, _LINE, _ORDER, _RUN, _INGESTED_AT = (quoted(name) for name in (KEY, LINE, ORDER, RUN, INGESTED_AT))
_NEEDED = (KEY, RUN, LINE, INGESTED_AT, ORDER)
_NUMBER_MARK = "#"


@dataclass(frozen=True, slots=True)
class History:
    """All changes of the keys that have late rows.

    Attributes:
        files: every file that may hold one of them.
        keys: name of a table of the keys.
    """

    files: list[Path]
    keys: str


def history_of_late(
    lake: "Lake", work: Workspace, changes: Snapshot, pending: Sequence[Path], bounds: Bounds
) -> History | None:
    """The history of the keys that have late rows among pending changes; None where there are no late rows."""
    import pyarrow as pa

    columns = [pa.field(KEY, pa.string()), pa.field(ORDER, pa.int64())]
    # Rows are written without an order; upkeep fills it in when it merges files, but what it merged is not pending.
    late = f"{_ORDER} IS NOT NULL AND {between(*bounds)}"
    keys = temporary(
        work.connection,
        "TABLE",
        f"SELECT DISTINCT {_KEY} FROM {rows_of(pending, columns)} WHERE {late} ORDER BY {_KEY}",
    )
    found = [row[0] for row in work.connection.execute(f"SELECT {_KEY} FROM {keys}").fetchall()]
    if not found:
        return None
    ordered = sorted(found)
    files = link_files(lake, work, changes.table, [file for file in changes.files if _may_hold_any(file, ordered)])
    return History(files, keys)


def _may_hold_any(file: DataFile, keys: Sequence[str]) -> bool:
    first = 0 if file.low is None else bisect_left(keys, file.low)
    beyond = len(keys) if file.high is None else bisect_right(keys, file.high)
    return first < beyond


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows of a run stand among those of others: the `_order` and `_ingested_at` of rows from a line on."""

    first_line: int
    order: int
    ingested_at: datetime


@dataclass(frozen=True, slots=True)
class OwnRows:
    """What the table has of a run.

    Attributes:
        places: by ascending line.
        equal: of derived keys, how many rows there are of each.
    """

    places: list[Place]
    equal: Counter[str]


def own_rows(
    lake: "Lake", table: str, entity_type: "EntityType", run_id: str, rows: int, keys: Sequence[str] = ()
) -> OwnRows:
    """Looks a run's rows up.

    Args:
        lake: the container.
        table: path of the table of changes.
        entity_type: the type.
        run_id: of the run.
        rows: how many rows of it there are.
        keys: derived keys, without a number, whose rows are counted.
    """
    snapshot = open_snapshot(lake, table)
    orders: dict[int, tuple[int, datetime]] = {}
    equal: Counter[str] = Counter()
    for file in _files_of(snapshot, run_id, rows) if snapshot else []:
        # One at a time: where upkeep has merged the run's files with others, all of the table may have to be looked at.
        with workspace(lake.settings) as work:
            columns = [column for column in changes_schema(entity_type) if column.name in _NEEDED]
            found = change_rows(link_files(lake, work, table, [file]), columns)
            own = f"(SELECT * FROM {found} WHERE {_RUN} = {literal(run_id)})"
            for order, line, at in work.connection.execute(
                f"SELECT {_ORDER}, min({_LINE}), min({_INGESTED_AT}) FROM {own} GROUP BY {_ORDER}"
            ).fetchall():
                orders[order] = min(orders.get(order, (line, at)), (line, at))
            if keys:
                equal.update(_equal_rows(work, own, keys))
    places = [Place(line, order, at) for order, (line, at) in sorted(orders.items())]
    return OwnRows(places, equal)


def _files_of(snapshot: Snapshot, run_id: str, rows: int) -> list[DataFile]:
    """The files that may have rows of a run: its own, or, where upkeep has merged some of them, any."""
    own = [file for file in snapshot.files if file.path.startswith(f"{run_id}-")]
    return own if sum(file.rows for file in own) == rows else snapshot.files


def _equal_rows(work: Workspace, own: str, keys: Sequence[str]) -> dict[str, int]:
    import pyarrow as pa

    wanted = pa.table({"wanted": pa.array(sorted(set(keys)), pa.string())})
    work.connection.register("wanted_keys", wanted)
    plain = f"split_part({_KEY}, {literal(_NUMBER_MARK)}, 1)"
    found = work.connection.execute(
        f"SELECT {plain} AS plain, count(*) FROM {own} WHERE {plain} IN (SELECT wanted FROM wanted_keys) GROUP BY plain"
    ).fetchall()
    work.connection.unregister("wanted_keys")
    return dict(found)


def placed(rows: "pa.Table", own: OwnRows, otherwise: Place, *, numbers_keys: bool) -> "pa.Table":
    """Corrected rows as the run would have brought them: with its order and time, and the numbers of equal rows.

    Args:
        rows: typed rows, ascending by line.
        own: what the table has of the run.
        otherwise: the place of the rows of a run that brought none.
        numbers_keys: whether keys are derived, so that equal rows of the file are told apart by their number.
    """
    import pyarrow as pa

    places = own.places or [otherwise]
    starts = [place.first_line for place in places]
    at = [places[max(bisect_right(starts, line) - 1, 0)] for line in rows.column(LINE).to_pylist()]
    columns: dict[str, list[Any]] = {
        ORDER: [place.order for place in at],
        INGESTED_AT: [place.ingested_at for place in at],
    }
    if numbers_keys:
        counted = Counter(own.equal)
        columns[KEY] = [_numbered(key, counted) for key in rows.column(KEY).to_pylist()]
    for name, values in columns.items():
        field = rows.schema.field(name)
        rows = rows.set_column(rows.schema.get_field_index(name), field, pa.array(values, field.type))
    return rows


def _numbered(key: str, counted: Counter[str]) -> str:
    counted[key] += 1
    return key if counted[key] == 1 else f"{key}{_NUMBER_MARK}{counted[key]}"
