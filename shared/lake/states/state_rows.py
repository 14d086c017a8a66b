"""Rows of `states` by key: the base, and over it the refreshes that are not rebased yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.engine.sql import ALL_KEYS, LAST_CHARACTER, Bounds, quoted, quoted_list, temporary
from shared.engine.workspace import Workspace
from shared.lake.container.store import Lake
from shared.lake.files.linked import link_files
from shared.lake.files.parts import Layout
from shared.lake.files.row_sizes import row_bytes
from shared.lake.files.rows_sql import between, rows_of
from shared.lake.log.tables import DataFile, Snapshot
from shared.lake.schema import DELETED, KEY, PROCESSING_TIME, REFRESH

if TYPE_CHECKING:
    import pyarrow as pa

APP_REFRESH = "refresh"
APP_ORDER = "order"
APP_REBASE = "fold"
APP_EXPIRE = "expire"
BASE = "base"
SLOT = "slot"
# Small files and small row groups: a lookup fetches whole files and reads whole row groups.
STATES_LAYOUT = Layout(part_bytes=16 * 1024**2, group_rows=2048)

_STAMPS = (KEY, DELETED, PROCESSING_TIME, REFRESH)
_KEY, _REFRESH = quoted(KEY), quoted(REFRESH)


@dataclass(frozen=True, slots=True)
class Layers:
    """The files that make the present states.

    Attributes:
        bottom: files of one commit, in which every key stands once; sorted by key, from one to the next as well.
        above: files of later refreshes; in them a key may stand again.
    """

    bottom: list[DataFile]
    above: list[DataFile]


def layers(snapshot: Snapshot, low: str | None = None, high: str | None = None) -> Layers:
    """The files with keys above `low` and not above `high`."""
    rebased = snapshot.transaction(APP_REBASE) or 0
    live = [file for file in snapshot.files if file.may_hold(low, high)]
    base = [file for file in live if file.kind == BASE]
    slots = [file for file in live if file.kind == SLOT and _refresh(file) > rebased]
    if not base and slots:
        first = min(_refresh(file) for file in slots)
        base = [file for file in slots if _refresh(file) == first]
        slots = [file for file in slots if _refresh(file) != first]
    return Layers(base, slots)


def reach(snapshot: Snapshot, low: str | None, size: int) -> str | None:
    """The key up to which files with keys above `low` have about `size` bytes; None where they have no more."""
    found = layers(snapshot, low)
    highs = sorted((file.high or LAST_CHARACTER, file.size) for file in (*found.bottom, *found.above))
    for high, size_of_file in highs[:-1]:
        size -= size_of_file
        if size <= 0:
            return high if high < highs[-1][0] else None
    return None


def _refresh(file: DataFile) -> int:
    return file.refreshes[1] if file.refreshes else 0


class StateRows:
    """The last row of each key of `states`: `_key`, `_deleted`, the stamps and `fields`.

    The files with keys in `bounds` are linked into the workspace, once.
    """

    def __init__(
        self, lake: Lake, work: Workspace, snapshot: Snapshot, fields: Sequence["pa.Field"], bounds: Bounds = ALL_KEYS
    ) -> None:
        found = layers(snapshot, *bounds)
        columns = [*(snapshot.columns[name.casefold()] for name in _STAMPS), *fields]
        names = quoted_list(column.name for column in columns)
        bottom = link_files(lake, work, snapshot.table, found.bottom)
        above = link_files(lake, work, snapshot.table, found.above)
        self.files = [*bottom, *above]
        self._size = row_bytes(columns)
        self._bottom = temporary(work.connection, "VIEW", f"SELECT {names} FROM {rows_of(bottom, columns)}")
        self._above: str | None = None
        if above:
            self._above = temporary(work.connection, "VIEW", f"SELECT {names} FROM {rows_of(above, columns)}")

    @property
    def keys(self) -> str:
        """A query for the keys, some of them more than once."""
        above = "" if self._above is None else f" UNION ALL SELECT {_KEY} FROM {self._above}"
        return f"SELECT {_KEY} FROM {self._bottom}{above}"

    @property
    def sizes(self) -> str:
        """A query for the `size` of each row by its `_key`."""
        above = "" if self._above is None else f" UNION ALL SELECT {_KEY}, {self._size} AS size FROM {self._above}"
        return f"SELECT {_KEY}, {self._size} AS size FROM {self._bottom}{above}"

    def last(self, bounds: Bounds = ALL_KEYS, keys: str = "") -> str:
        """A query for the last row of each key; deleted ones are among them, marked.

        Without refreshes above the base the rows come sorted by key.

        Args:
            bounds: the keys that are wanted.
            keys: a query for those of them that are wanted; all without it.
        """
        wanted = f"{between(*bounds)} AND {_KEY} IN ({keys})" if keys else between(*bounds)
        bottom = f"SELECT * FROM {self._bottom} WHERE {wanted}"
        if self._above is None:
            return bottom
        return f"""
            SELECT * FROM ({bottom}) ANTI JOIN (SELECT {_KEY} FROM {self._above} WHERE {wanted}) USING ({_KEY})
            UNION ALL (
                SELECT * FROM {self._above} WHERE {wanted}
                QUALIFY row_number() OVER (PARTITION BY {_KEY} ORDER BY {_REFRESH} DESC) = 1
            )
            """
