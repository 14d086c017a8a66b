"""The sample in the engine: which candidates read every cell of a column, and how many values it has.

Columns are laid one below the other, (column, cell), so that a statement has each candidate once: planning
an expression costs more than running it over a sample, and a file may have many columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import batched
from typing import Any

import numpy as np
import pyarrow as pa

from shared.casts.cast_sql import Sql, matches, trimmed
from shared.csv.reading_time import ReadingTime
from shared.engine.workspace import Workspace
from shared.suggest.type_candidates import Candidate

# The first cells rule out most candidates; the others are tried on all cells.
_FIRST_CELLS = 64
_CELLS_AT_ONCE = 1 << 20
# Cells without the blanks round them, null where nothing is left.
_CELLS = f"(SELECT owner, cell, nullif({trimmed('cell')}, '') AS t FROM cells)"
_REACHED = "the search for the types of its columns"
_TEXT = "CASE WHEN t IS NOT NULL THEN cell END"


@dataclass(frozen=True, slots=True)
class Counted:
    """What a column holds, read by its candidate.

    Attributes:
        empty: cells that hold nothing but blanks.
        filled: the others.
        distinct: different values among them.
        longest: characters of the longest value in a key.
    """

    empty: int
    filled: int
    distinct: int
    longest: int


class Scan:
    """The sample in the engine.

    Args:
        opened: where the engine works.
        cells: columns of strings, by their position.
        time: how long it may take, with all that was done before; asked before each statement.
    """

    def __init__(self, opened: Workspace, cells: pa.Table, time: ReadingTime) -> None:
        self._engine = opened.connection
        self._cells = cells
        self._time = time

    def reading(self, wanted: dict[int, list[Candidate]]) -> dict[int, list[Candidate]]:
        """For each column the candidates that read all its cells, in their order; all, where all cells are empty."""
        return self._left(self._left(wanted, final=False), final=True)

    def counted(self, chosen: dict[int, Candidate | None]) -> dict[int, Counted]:
        """Counts each column, read by its candidate, or as text where it has none."""
        found = dict.fromkeys(chosen, Counted(0, 0, 0, 0))
        alike: dict[Sql, list[int]] = {}
        for column, candidate in chosen.items():
            alike.setdefault(_key(candidate), []).append(column)
        counts = "count(*) - count(k), count(k), count(DISTINCT k), coalesce(max(length(k)), 0)"
        for key, columns in alike.items():
            for row in self._each(
                columns, f"SELECT owner, {counts} FROM (SELECT owner, {key} AS k FROM {_CELLS}) GROUP BY owner"
            ):
                found[row[0]] = Counted(*map(int, row[1:]))
        return found

    def pair(self, left: tuple[int, Candidate | None], right: tuple[int, Candidate | None]) -> tuple[int, int]:
        """Different values of the key that two columns make together, and characters of the longest."""
        sides = [self._cells.column(column) for column, _ in (left, right)]
        self._engine.register("pairs", pa.table(sides, names=["one", "two"]))
        keys = (
            f"SELECT {_key(candidate)} FROM (SELECT {name} AS cell, nullif({trimmed(name)}, '') AS t)"
            for name, candidate in (("one", left[1]), ("two", right[1]))
        )
        joined = " || '_' || ".join(f"({key})" for key in keys)
        query = f"SELECT count(DISTINCT k), coalesce(max(length(k)), 0) FROM (SELECT {joined} AS k FROM pairs)"
        self._time.check(_REACHED)
        ((distinct, longest),) = self._engine.sql(query).fetchall()
        return int(distinct), int(longest)

    def _left(self, wanted: dict[int, list[Candidate]], *, final: bool) -> dict[int, list[Candidate]]:
        left: dict[int, list[Candidate]] = dict(wanted)
        alike: dict[tuple[Candidate, ...], list[int]] = {}
        for column, tried in wanted.items():
            alike.setdefault(tuple(tried), []).append(column)
        for candidates, columns in alike.items():
            if not candidates:
                continue
            tests = ", ".join(_test(candidate, final) for candidate in candidates)
            query = f"SELECT owner, {tests} FROM {_CELLS} GROUP BY owner"
            for column, *passed in self._each(columns, query, None if final else _FIRST_CELLS):
                left[column] = [candidate for candidate, is_good in zip(candidates, passed, strict=True) if is_good]
        return left

    def _each(self, columns: list[int], query: Sql, first: int | None = None) -> Iterator[tuple[Any, ...]]:
        """The rows of a query over `cells`, for some columns after the other.

        Args:
            first: how many cells of each column at most, those that are null left out.
        """
        height = max(1, first or self._cells.num_rows)
        for some in batched(columns, max(1, _CELLS_AT_ONCE // height), strict=False):
            parts = [self._cells.column(column) for column in some]
            if first is not None:
                parts = [part.drop_null().slice(0, first) for part in parts]
            owner = np.repeat(np.array(some, np.int32), [len(part) for part in parts])
            chunks = [chunk for part in parts for chunk in part.chunks]
            cells = pa.table({"owner": owner, "cell": pa.chunked_array(chunks, pa.string())})
            self._engine.register("cells", cells)
            self._time.check(_REACHED)
            yield from self._engine.sql(query).fetchall()


def _test(candidate: Candidate, final: bool) -> Sql:
    all_read = f"coalesce(bool_and(CASE WHEN t IS NOT NULL THEN {candidate.reads('t')} END), true)"
    if not final or candidate.seen is None:
        return all_read
    return f"{all_read} AND coalesce(bool_or({matches('t', candidate.seen)}), true)"


def _key(candidate: Candidate | None) -> Sql:
    """The value's form in a key; text stands as it is, blanks round it included."""
    if candidate is None:
        return _TEXT
    cast = candidate.cast
    return cast.as_text(f"({cast.value('t')})")
