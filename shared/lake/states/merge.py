"""Merging changes onto the rows that were there: the one meaning of "upsert".

Per key the changes count in the order of their positions. A field gets the value of the last change that sets it, null
included; one that no change sets keeps its value. A change that deletes empties the fields; later ones start afresh. A
row that ends as it was is no change and does not come out.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

from shared.engine.sql import (
    ALL_KEYS,
    Bounds,
    first_row,
    fresh_name,
    literal,
    quoted,
    quoted_list,
    replace_table,
    temporary,
)
from shared.engine.workspace import Workspace
from shared.lake.files.linked import change_rows
from shared.lake.files.parts import PartWriter, write_rows
from shared.lake.files.ranges import ranges
from shared.lake.files.row_sizes import row_bytes
from shared.lake.files.rows_sql import between
from shared.lake.files.widest import widest_merged
from shared.lake.schema import DELETED, KEY, LINE, ORDER, RUN, SET, SYSTEM_COLUMNS
from shared.lake.states.state_rows import StateRows
from shared.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

_KEY, _SET, _DELETED = quoted(KEY), quoted(SET), quoted(DELETED)
_MANY_RANGES = 16
_NEEDED = (KEY, SET, DELETED, RUN, LINE, ORDER)


@dataclass(frozen=True, slots=True)
class _Group:
    """Fields that are always set together, and the condition for a change to set them."""

    fields: list[str]
    condition: str


class Merge:
    """Changes in a workspace, to be merged.

    Args:
        work: where the files are.
        settings: bound the memory.
        changes: files of `changes`, linked in their order.
        columns: every column of the table `changes`.
        earlier: the rows as they were, with the fields of `columns`, or None.
        bounds: the keys that count.
    """

    def __init__(
        self,
        work: Workspace,
        settings: Settings,
        changes: Sequence[Path],
        columns: Sequence["pa.Field"],
        earlier: StateRows | None,
        bounds: Bounds = ALL_KEYS,
    ) -> None:
        self._fields = [column.name for column in columns if column.name not in SYSTEM_COLUMNS]
        self._work = work
        self._connection = work.connection
        self._settings = settings
        self._files = changes
        self._earlier = earlier
        self._bounds = bounds
        self._columns = [column for column in columns if column.name in self._fields or column.name in _NEEDED]
        self._changes = temporary(work.connection, "VIEW", f"SELECT * FROM {change_rows(changes, self._columns)}")
        self._repeated = fresh_name()
        self._lookup()

    def _lookup(self) -> None:
        found = first_row(
            self._connection,
            f"""
            SELECT coalesce(list(DISTINCT {_SET}), []), coalesce(bool_or({_DELETED}), false)
            FROM {self._changes} WHERE {between(*self._bounds)}
            """,
        )
        sets, has_deletes = found or ([], False)
        self._groups = _groups(self._fields, [text or "" for text in sets])
        self._never_set = [name for name in self._fields if self._group_of(name) is None]
        self._is_uniform = len(sets) <= 1 and not has_deletes

    def merged(self) -> Iterator[str]:
        """Queries for the changed rows of one range of keys after the other, by ascending keys.

        They give `_key`, the fields and `_deleted`, in no order. Each is good until the next one is asked for. It can
        be called once.
        """
        everything = self._changes
        yield from self._by_ranges()
        # A page may merge many times in one workspace.
        self._connection.execute(f"DROP TABLE IF EXISTS {self._repeated}")
        self._connection.execute(f"DROP VIEW {everything}")

    def _by_ranges(self) -> Iterator[str]:
        keys = f"SELECT {_KEY} FROM {self._changes}"
        sizes = self._sizes()
        found = ranges(self._connection, self._settings, keys, self._files, self._bounds, sizes)
        if len(found) < _MANY_RANGES or sizes:
            yield from map(self._merge, found)
            return
        # Reading all changes for each range would take as often as long: each of some wider ranges is read out first.
        everything, size = self._changes, isqrt(len(found))
        for start in range(0, len(found), size):
            some = found[start : start + size]
            folder = self._work.folder / fresh_name()
            self._changes = self._read_out(everything, (some[0][0], some[-1][1]), folder)
            yield from map(self._merge, some)
            self._connection.execute(f"DROP VIEW {self._changes}")
            shutil.rmtree(folder)

    def _sizes(self) -> str | None:
        """A query for the bytes of changes and of the rows that they meet; None where no merged row is large."""
        earlier = [] if self._earlier is None else self._earlier.files
        if widest_merged(self._files, earlier).is_narrow:
            return None
        changed = f"SELECT {_KEY}, {row_bytes(self._columns)} AS size FROM {self._changes}"
        if self._earlier is None:
            return changed
        keys = f"SELECT {_KEY} FROM {self._changes} WHERE {between(*self._bounds)}"
        return f"{changed} UNION ALL SELECT * FROM ({self._earlier.sizes}) WHERE {_KEY} IN ({keys})"

    def _read_out(self, changes: str, bounds: Bounds, folder: Path) -> str:
        """Name of a view of the changes in `bounds`, which are written to files of their own."""
        import pyarrow as pa

        folder.mkdir()
        writer = PartWriter(pa.schema(self._columns), folder)
        names = quoted_list(column.name for column in self._columns)
        for _ in write_rows(self._connection, f"SELECT {names} FROM {changes} WHERE {between(*bounds)}", writer):
            pass
        files = [part.path for part in writer.close()]
        return temporary(self._connection, "VIEW", f"SELECT * FROM {change_rows(files, self._columns)}")

    def _merge(self, bounds: Bounds) -> str:
        merged = self._last_rows(bounds) if self._is_uniform else self._merged(bounds)
        if self._earlier is None:
            return f"SELECT {_KEY}, {quoted_list(self._fields)}, {_DELETED} FROM ({merged}) WHERE NOT {_DELETED}"
        new = ", ".join(f"{self._value(name)} AS {quoted(name)}" for name in self._fields)
        before = ", ".join(f"earlier.{quoted(name)} AS {_before(name)}" for name in self._fields)
        differs = " OR ".join(f"{quoted(name)} IS DISTINCT FROM {_before(name)}" for name in [*self._fields, DELETED])
        return f"""
            WITH merged AS MATERIALIZED ({merged}),
            earlier AS ({self._earlier.last(bounds, f"SELECT {_KEY} FROM merged")}),
            both_rows AS (
                SELECT merged.{_KEY}, {new}, merged.{_DELETED}, {before}, earlier.{_DELETED} AS {_before(DELETED)},
                    earlier.{_KEY} IS NOT NULL AS was_there
                FROM merged LEFT JOIN earlier ON merged.{_KEY} = earlier.{_KEY}
            )
            SELECT {_KEY}, {quoted_list(self._fields)}, {_DELETED} FROM both_rows
            WHERE CASE WHEN was_there THEN {differs} ELSE NOT {_DELETED} END
            """

    def _last_rows(self, bounds: Bounds) -> str:
        """Where every change sets the same fields, the last change of a key says it all."""
        replace_table(
            self._connection,
            self._repeated,
            f"""
            SELECT {_KEY}, max(_at) AS last
            FROM {self._changes} WHERE {between(*bounds)} GROUP BY {_KEY} HAVING count(*) > 1
            """,
        )
        return f"""
            SELECT changes.{_KEY}, {quoted_list(self._fields)}, {_DELETED}
            FROM {self._changes} changes LEFT JOIN {self._repeated} repeated ON changes.{_KEY} = repeated.{_KEY}
            WHERE {between(*bounds, "changes")} AND (repeated.{_KEY} IS NULL OR _at = repeated.last)
            """

    def _merged(self, bounds: Bounds) -> str:
        """Each group of fields from the last change that sets it, if that came after the last deletion.

        The positions are looked for first, so that of all values only those that last are kept: an aggregate cannot
        spill texts to disk. A join for each group could, but of thirty of them each has its own buffers.
        """
        wanted = between(*bounds)
        found, valid, values = "", "", ""
        for name in self._never_set:
            values += f", NULL AS {quoted(name)}"
        for index, group in enumerate(self._groups):
            at = f"at_{index}"
            found += f", max(_at) FILTER (WHERE {group.condition} AND NOT {_DELETED}) AS {at}"
            valid += f", CASE WHEN cleared IS NULL OR {at} > cleared THEN {at} END AS {at}"
            for name in group.fields:
                values += f", any_value(changes.{quoted(name)}) FILTER (WHERE _at = {at}) AS {quoted(name)}"
            values += f", any_value({at}) AS {at}"
        lasting = ", ".join(f"at_{index}" for index in range(len(self._groups))) or "NULL"
        return f"""
            WITH lasts AS MATERIALIZED (
                SELECT {_KEY}{valid}, cleared IS NOT NULL AS is_reset, last IS NOT DISTINCT FROM cleared AS is_deleted
                FROM (
                    SELECT {_KEY}, max(_at) AS last, max(_at) FILTER (WHERE {_DELETED}) AS cleared{found}
                    FROM {self._changes} WHERE {wanted} GROUP BY {_KEY}
                )
            )
            SELECT lasts.{_KEY}{values}, any_value(is_reset) AS is_reset, any_value(is_deleted) AS {_DELETED}
            FROM lasts LEFT JOIN (SELECT * FROM {self._changes} WHERE {wanted}) changes
            ON lasts.{_KEY} = changes.{_KEY} AND _at IN ({lasting})
            GROUP BY lasts.{_KEY}
            """

    def _value(self, name: str) -> str:
        """What the field becomes of a row that may have been there."""
        column = quoted(name)
        index = self._group_of(name)
        if self._is_uniform:
            return f"earlier.{column}" if index is None else f"merged.{column}"
        kept = f"CASE WHEN NOT is_reset THEN earlier.{column} END"
        return kept if index is None else f"CASE WHEN at_{index} IS NOT NULL THEN merged.{column} ELSE {kept} END"

    def _group_of(self, name: str) -> int | None:
        return next((index for index, group in enumerate(self._groups) if name in group.fields), None)


def _groups(fields: Sequence[str], sets: Sequence[str]) -> list[_Group]:
    """The fields that some change sets, by the values of `_set` that name them."""
    members = {text: set(text.casefold().split(",")) for text in sorted(sets)}
    found: dict[tuple[str, ...], list[str]] = {}
    for name in fields:
        naming = tuple(text for text, names in members.items() if name.casefold() in names)
        if naming:
            found.setdefault(naming, []).append(name)
    return [
        _Group(names, "true" if len(naming) == len(members) else f"{_SET} IN ({', '.join(map(literal, naming))})")
        for naming, names in found.items()
    ]


def _before(name: str) -> str:
    return quoted(f"_before {name}")
