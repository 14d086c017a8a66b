"""Merging changes onto the rows that were there: the one meaning of "upsert".

Per key the changes count in the order of their positions. A field gets the value of the last change that sets it, null
included; one that no change sets keeps its value. A change that deletes empties the fields; later ones start afresh. A
row that ends as it was is no change and does not come out.

Keys are taken range by range, so that memory is bounded however many changes there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from shared.lake.engine import Workspace
from shared.lake.linked import change_rows
from shared.lake.schema import DELETED, KEY, LINE, ORDER, RUN, SET, SYSTEM_COLUMNS
from shared.lake.sql import between, fresh_name, literal, quoted, quoted_list, temporary
from shared.lake.state_rows import StateRows
from shared.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

_KEY, _SET, _DELETED = quoted(KEY), quoted(SET), quoted(DELETED)
_NEEDED = (KEY, SET, DELETED, RUN, LINE, ORDER)
_SAMPLED_KEYS = 20_000
_SORTED_ROWS = 250_000  # of a range: sorted and written in memory, without spilling, in 256 MB
_STATE_BYTES = 96  # what the engine keeps for one field of one key that has several changes


@dataclass(frozen=True, slots=True)
class Merged:
    """Changed rows of one range of keys, as a query giving `_key`, the fields and `_deleted`; unordered."""

    sql: str
    low: str | None
    high: str | None


class Fold:
    """Changes in a workspace, to be merged.

    Args:
        work: where the files are.
        settings: bound the memory.
        changes: files of `changes`, linked in their order.
        columns: every column of the table `changes`.
        earlier: the rows as they were, with the fields of `columns`; None where there are none.
        bounds: the keys that count, above the first and not above the second.
    """

    def __init__(
        self,
        work: Workspace,
        settings: Settings,
        changes: Sequence[Path],
        columns: Sequence["pa.Field"],
        earlier: StateRows | None,
        bounds: tuple[str | None, str | None] = (None, None),
    ) -> None:
        self.fields = [column.name for column in columns if column.name not in SYSTEM_COLUMNS]
        self._connection = work.connection
        self._settings = settings
        self._earlier = earlier
        self._bounds = bounds
        needed = [column for column in columns if column.name in self.fields or column.name in _NEEDED]
        self._changes = temporary(work.connection, "VIEW", f"SELECT * FROM {change_rows(changes, needed)}")
        self._repeated = fresh_name()
        self._facts = self._look(sum(path.stat().st_size for path in changes))

    def _look(self, size: int) -> "_Facts":
        found = self._connection.execute(
            f"""
            SELECT count(*), list(DISTINCT {_SET}), coalesce(bool_or({_DELETED}), false)
            FROM {self._changes} WHERE {between(*self._bounds)}
            """
        ).fetchone()
        rows, sets, has_deletes = found or (0, [], False)
        return _Facts(rows, size, sorted(text or "" for text in sets or []), has_deletes)

    def merged(self) -> Iterator[Merged]:
        """The ranges, by ascending keys; each query is good until the next one is asked for."""
        for low, high in self._ranges():
            self._find_repeated(low, high)
            yield Merged(self._merge(low, high), low, high)

    def _ranges(self) -> list[tuple[str | None, str | None]]:
        low, high = self._bounds
        memory = self._settings.engine_memory_mb * 1024**2
        rows = _SORTED_ROWS
        if not self._facts.is_uniform:
            rows = min(rows, max(1_000, memory // 3 // (_STATE_BYTES * (len(self.fields) + 1))))
        # Parquet unpacks to about four times its bytes, and a sort holds a row twice.
        count = max(-(-self._facts.rows // rows), -(-self._facts.size * 8 // memory))
        if self._facts.rows == 0 or count <= 1:
            return [(low, high)] if self._facts.rows else []
        sample = self._connection.execute(
            f"""
            SELECT {_KEY} FROM (SELECT {_KEY} FROM {self._changes} WHERE {between(low, high)})
            USING SAMPLE reservoir({_SAMPLED_KEYS} ROWS) REPEATABLE (1) ORDER BY 1
            """
        ).fetchall()
        cuts = dict.fromkeys(sample[len(sample) * index // count][0] for index in range(1, count))
        edges = [low, *cuts, high]
        return list(pairwise(edges))

    def _find_repeated(self, low: str | None, high: str | None) -> None:
        self._connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE {self._repeated} AS
            SELECT {_KEY}, max(_at) AS last, max(_at) FILTER (WHERE {_DELETED}) AS cleared
            FROM {self._changes} WHERE {between(low, high)} GROUP BY {_KEY} HAVING count(*) > 1
            """
        )

    def _merge(self, low: str | None, high: str | None) -> str:
        folded = self._last_rows(low, high) if self._facts.is_uniform else self._folded(low, high)
        if self._earlier is None:
            return f"SELECT {_KEY}, {quoted_list(self.fields)}, {_DELETED} FROM ({folded}) WHERE NOT {_DELETED}"
        new = ", ".join(f"{self._value(name)} AS {quoted(name)}" for name in self.fields)
        before = ", ".join(f"earlier.{quoted(name)} AS {_before(name)}" for name in self.fields)
        return f"""
            WITH folded AS MATERIALIZED ({folded}),
            earlier AS (
                {self._earlier.last((low, high), f"SELECT {_KEY} FROM folded")}
            ),
            both_rows AS (
                SELECT folded.{_KEY}, {new}, folded.{_DELETED}, {before}, earlier.{_DELETED} AS {_before(DELETED)},
                    earlier.{_KEY} IS NOT NULL AS was_there
                FROM folded LEFT JOIN earlier ON folded.{_KEY} = earlier.{_KEY}
            )
            SELECT {_KEY}, {quoted_list(self.fields)}, {_DELETED} FROM both_rows
            WHERE CASE WHEN was_there THEN {self._differs()} ELSE NOT {_DELETED} END
            """

    def _differs(self) -> str:
        names = [*self.fields, DELETED]
        return " OR ".join(f"{quoted(name)} IS DISTINCT FROM {_before(name)}" for name in names)

    def _last_rows(self, low: str | None, high: str | None) -> str:
        """Where every change sets the same fields, the last change of a key says it all."""
        return f"""
            SELECT changes.{_KEY}, {quoted_list(self.fields)}, {_DELETED}
            FROM {self._changes} changes LEFT JOIN {self._repeated} repeated ON changes.{_KEY} = repeated.{_KEY}
            WHERE {between(low, high, "changes")} AND (repeated.{_KEY} IS NULL OR _at = repeated.last)
            """

    def _folded(self, low: str | None, high: str | None) -> str:
        """Fields that are always set together have their values from one change: the last that sets them.

        Looking for its position first keeps the aggregate narrow; one over the values themselves could not spill.
        """
        groups = list(enumerate(self._facts.groups(self.fields)))
        lasts = "".join(f", max(_at) FILTER (WHERE {group.condition}) AS at_{index}" for index, group in groups)
        counts = ", ".join(f"CASE WHEN at_{index} > coalesce(cleared, -1) THEN at_{index} END AS at_{index}" for index, _ in groups)
        values = "".join(
            f", {quoted_list_of(f'r{index}', group.fields)}, at_{index} IS NOT NULL AS {_flag(index)}" for index, group in groups
        )
        joins = "".join(
            f" LEFT JOIN (SELECT _at, {quoted_list(group.fields)} FROM {self._changes} WHERE {between(low, high)}) r{index}"
            f" ON r{index}._at = at_{index}"
            for index, group in groups
        )
        return f"""
            SELECT lasts.{_KEY}{values}, is_reset, lasts.{_DELETED}
            FROM (
                SELECT {_KEY}, {counts}, cleared IS NOT NULL AS is_reset, last IS NOT DISTINCT FROM cleared AS {_DELETED}
                FROM (
                    SELECT {_KEY}, max(_at) AS last, max(_at) FILTER (WHERE {_DELETED}) AS cleared{lasts}
                    FROM {self._changes} WHERE {between(low, high)} GROUP BY {_KEY}
                )
            ) lasts{joins}
            """


@dataclass(frozen=True, slots=True)
class _Facts:
    """What there is to merge: rows, bytes of their files, the values of `_set`, and whether something is deleted."""

    rows: int
    size: int
    sets: list[str]
    has_deletes: bool

    @property
    def is_uniform(self) -> bool:
        """Whether every change sets the same fields and none deletes."""
        return len(self.sets) <= 1 and not self.has_deletes

    def sets_field(self, name: str) -> str:
        """Condition for a change to set a field."""
        those = [text for text in self.sets if name.casefold() in text.casefold().split(",")]
        if not those:
            return "false"
        if len(those) == len(self.sets):
            return f"NOT {_DELETED}" if self.has_deletes else "true"
        condition = f"{_SET} IN ({', '.join(map(literal, those))})"
        return f"({condition} AND NOT {_DELETED})" if self.has_deletes else condition


def _flag(name: str) -> str:
    return quoted(f"_is_set {name}")


def _before(name: str) -> str:
    return quoted(f"_before {name}")
