"""The sample in the engine: which candidates read every cell of a column, and how many values it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

import pyarrow as pa

from shared.ingest.cast_sql import BLANKS, Sql, matches
from shared.ingest.type_candidates import Candidate
from shared.lake.engine import Workspace
from shared.lake.sql import literal

# The first rows rule out most candidates; the others are tried on all rows.
_FIRST_ROWS = 64
_COLUMNS_AT_ONCE = 16


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
        cells: columns `c0`, `c1`, ... of strings.
    """

    def __init__(self, opened: Workspace, cells: pa.Table) -> None:
        self._engine = opened.connection
        self._engine.register("sample", cells)
        self._rows = int(cells.num_rows)

    def reading(self, wanted: dict[int, list[Candidate]]) -> dict[int, list[Candidate]]:
        """For each column the candidates that read all its cells, in their order; all, where all cells are empty."""
        if self._rows > _FIRST_ROWS:
            wanted = self._left(wanted, f"(SELECT * FROM sample LIMIT {_FIRST_ROWS})", final=False)
        return self._left(wanted, "sample", final=True)

    def counted(self, chosen: dict[int, Candidate | None]) -> dict[int, Counted]:
        """Counts each column, read by its candidate, or as text where it has none."""
        found: dict[int, Counted] = {}
        for columns in batched(chosen, _COLUMNS_AT_ONCE, strict=False):
            values = ", ".join(f"{self._key(column, chosen[column])} AS k{column}" for column in columns)
            wanted = ", ".join(
                f"count(*) - count({key}), count({key}), count(DISTINCT {key}), coalesce(max(length({key})), 0)"
                for key in (f"k{column}" for column in columns)
            )
            (row,) = self._rows_of(f"SELECT {wanted} FROM (SELECT {values} FROM {self._trimmed(columns, 'sample')})")
            for column, counts in zip(columns, batched(row, 4, strict=True), strict=True):
                found[column] = Counted(*map(int, counts))
        return found

    def pair(self, left: tuple[int, Candidate | None], right: tuple[int, Candidate | None]) -> tuple[int, int]:
        """Different values of the key that two columns make together, and characters of the longest."""
        joined = f"{self._key(*left)} || '_' || {self._key(*right)}"
        source = self._trimmed((left[0], right[0]), "sample")
        counts = "count(DISTINCT k), coalesce(max(length(k)), 0)"
        (row,) = self._rows_of(f"SELECT {counts} FROM (SELECT {joined} AS k FROM {source})")
        return int(row[0]), int(row[1])

    def _left(self, wanted: dict[int, list[Candidate]], source: Sql, *, final: bool) -> dict[int, list[Candidate]]:
        left: dict[int, list[Candidate]] = {}
        for columns in batched(wanted, _COLUMNS_AT_ONCE, strict=False):
            tests = [(column, candidate) for column in columns for candidate in wanted[column]]
            if not tests:
                left |= {column: [] for column in columns}
                continue
            conditions = ", ".join(self._test(f"t{column}", candidate, final) for column, candidate in tests)
            (row,) = self._rows_of(f"SELECT {conditions} FROM {self._trimmed(columns, source)}")
            kept = [test for test, passed in zip(tests, row, strict=True) if passed]
            for column in columns:
                left[column] = [candidate for owner, candidate in kept if owner == column]
        return left

    @staticmethod
    def _test(text: Sql, candidate: Candidate, final: bool) -> Sql:
        all_read = f"coalesce(bool_and(CASE WHEN {text} IS NOT NULL THEN {candidate.reads(text)} END), true)"
        if not final or candidate.seen is None:
            return all_read
        return f"{all_read} AND coalesce(bool_or({matches(text, candidate.seen)}), true)"

    @staticmethod
    def _key(column: int, candidate: Candidate | None) -> Sql:
        """The value's form in a key; text stands as it is, blanks round it included."""
        text = f"t{column}"
        if candidate is None:
            return f"CASE WHEN {text} IS NOT NULL THEN c{column} END"
        cast = candidate.cast
        return cast.as_text(f"({cast.value(text)})")

    @staticmethod
    def _trimmed(columns: Sequence[int], source: Sql) -> Sql:
        """The columns as they are, and as `t0`, `t1`, ... without blanks, null where nothing is left."""
        wanted = dict.fromkeys(columns)
        blanks = literal(BLANKS)
        cells = ", ".join(f"c{column}, nullif(trim(c{column}, {blanks}), '') AS t{column}" for column in wanted)
        return f"(SELECT {cells} FROM {source})"

    def _rows_of(self, query: Sql) -> list[tuple[Any, ...]]:
        return self._engine.sql(query).fetchall()
