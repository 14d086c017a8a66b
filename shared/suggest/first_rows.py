"""What a preview shows of a file: its first rows and rejects as JSON values, as many as an answer may hold."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate, takewhile
from typing import Any

import pyarrow as pa

from shared.csv.rejects import Rejects
from shared.lake.read.instances import json_value

PART_BYTES = 8 * 1024**2
"""Rows end before they are more bytes of JSON, and so do rejects; texts of a row that alone would be more are cut."""
# Bytes of a character at most, as a control character has them, and of what stands between two texts.
_ESCAPED, _BETWEEN = 6, 3
_OF_REJECT = ("line", "column", "code", "message", "raw")


class FirstRows:
    """The first rows of a file and its first rejects.

    Args:
        names: of the fields that are shown.
        most: rows, and rejects.
    """

    def __init__(self, names: list[str], most: int) -> None:
        self._names = names
        self._rows, self._rejects = _Part(most), _Part(most)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows that are shown."""
        return self._rows.objects

    @property
    def rejects(self) -> list[dict[str, Any]]:
        """The rejects that are shown."""
        return self._rejects.objects

    @property
    def is_full(self) -> bool:
        """Whether rows or rejects are as many as are shown."""
        return self._rows.is_full or self._rejects.is_full

    @property
    def is_cut(self) -> bool:
        """Whether there was no room for one of them, or for all of it."""
        return self._rows.is_cut or self._rejects.is_cut

    def add(self, table: pa.Table, refused: Rejects) -> None:
        """Shows the rows and rejects of one more batch that there is room for."""
        fields = {name: table.column(name) for name in self._names}
        for number in range(table.num_rows):
            if self._rows.is_full:
                break
            self._rows.add({name: partial(_value, field, number) for name, field in fields.items()})
        for reject in refused:
            if self._rejects.is_full:
                break
            self._rejects.add({name: partial(getattr, reject, name) for name in _OF_REJECT})


class _Part:
    """The first objects of a list, one at least."""

    def __init__(self, most: int) -> None:
        self.objects: list[dict[str, Any]] = []
        self.is_cut = False
        self._most = most
        self._room = PART_BYTES

    @property
    def is_full(self) -> bool:
        return self.is_cut or len(self.objects) >= self._most

    def add(self, values: Mapping[str, Callable[[], Any]]) -> None:
        # Made one by one: where a column fills many fields, they are many times as large as the file together.
        shown: dict[str, Any] = {}
        for name, value in values.items():
            shown[name] = value()
            self._room -= _json_bytes(name) + _json_bytes(shown[name])
            if self._room < 0:
                self.is_cut = True
                break
        if not self.is_cut:
            self.objects.append(shown)
        elif not self.objects:
            share = PART_BYTES // (2 * _ESCAPED) // len(values)
            self.objects.append({name: _cut(value(), share) for name, value in values.items()})


def _value(field: pa.ChunkedArray, row: int) -> Any:
    return json_value(field[row].as_py())


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode()) + _BETWEEN


def _cut(value: Any, most: int) -> Any:
    """The first characters of a text, or the first values of an array: `most` characters, and one value."""
    match value:
        case str():
            return value[:most]
        case list():
            starts = accumulate((len(str(item)) + _BETWEEN for item in value), initial=0)
            fitting = takewhile(lambda start: start <= most, starts)
            return [_cut(item, most) for item, _ in zip(value, fitting, strict=False)]
        case _:
            return value
