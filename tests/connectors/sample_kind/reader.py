"""The pages of a notebook, a record on each line: no CSV, and no file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from shared.csv.bit_masks import Offsets
from shared.csv.rejects import Rejects, no_rejects
from shared.domain.reject import Reject

type Record = Mapping[str, str]


@dataclass(frozen=True)
class Records:
    """Some records of a page."""

    cells: pa.Table
    lines: Offsets
    rejects: Rejects

    @property
    def weight(self) -> int:
        return sum(len(text.encode()) for text in self._texts(range(self.cells.num_rows)))

    def raws(self, rows: Offsets) -> pa.Array:
        return pa.array(self._texts(rows.tolist()), pa.large_string())

    def part(self, start: int, stop: int) -> Self:
        low, high = np.searchsorted(self.rejects.lines, self.lines[[start, stop - 1]])
        low, high = low if start else 0, high if stop < self.lines.size else len(self.rejects)
        cells = self.cells.slice(start, stop - start)
        return replace(self, cells=cells, lines=self.lines[start:stop], rejects=self.rejects[low:high])

    def take(self, numbers: Offsets) -> Self:
        cells = self.cells.take(pa.array(numbers))
        return replace(self, cells=cells, lines=self.lines[numbers], rejects=no_rejects())

    def _texts(self, rows: Sequence[int]) -> list[str]:
        return [repr(self.cells.slice(row, 1).to_pylist()[0]) for row in rows]


class PageReader:
    """Reads the records of one page; one without all columns is refused."""

    def __init__(self, columns: list[str], page: Sequence[Record]) -> None:
        self._columns = columns
        self._page = page

    def read_header(self) -> list[str] | None:
        return self._columns

    def __iter__(self) -> Iterator[Records]:
        numbered = list(enumerate(self._page, 1))
        good = [(number, record) for number, record in numbered if record.keys() == set(self._columns)]
        bad = [number for number, record in numbered if record.keys() != set(self._columns)]
        columns = {name: pa.array([record[name] or None for _, record in good], pa.string()) for name in self._columns}
        rejects = Rejects.of([Reject(number, None, "MissingCell", "a cell is missing", "") for number in bad])
        yield Records(pa.table(columns), np.array([number for number, _ in good], np.int64), rejects)
