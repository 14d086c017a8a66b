"""Data files of a table as local files of a workspace, readable by the engine as rows."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from shared.engine.sql import quoted
from shared.engine.workspace import Workspace
from shared.lake.container.local_files import WantedFile
from shared.lake.container.store import Lake
from shared.lake.files.rows_sql import rows_of
from shared.lake.schema import LINE, ORDER, RUN

if TYPE_CHECKING:
    import pyarrow as pa

_ORDER_DIGITS = 20


class _File(Protocol):
    """What is needed of a file: its path below the table, its bytes, and what orders it among the others."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def order(self) -> int: ...


def link_files(lake: Lake, work: Workspace, table: str, files: Iterable[_File]) -> list[Path]:
    """Fetches files into the workspace; what orders them stands in their names."""
    folder = work.folder / table.replace("/", "-")
    known = len(list(folder.iterdir())) if folder.exists() else 0
    wanted = [
        WantedFile(f"{table}/{file.path}", file.size, f"{file.order:0{_ORDER_DIGITS}d}-{known + index:06d}.parquet")
        for index, file in enumerate(files)
    ]
    return lake.files.link(wanted, folder)


_FILE_ORDER = f"TRY_CAST(left(parse_filename(filename), {_ORDER_DIGITS}) AS BIGINT)"
# Where a row stands among all rows of its key: the order of its blob version, then its line. Versions of one order,
# found by listing within the same second, are told apart by their run. 63, 40 and 24 bits; a HUGEINT has 127.
_POSITION = (
    f"({quoted(ORDER)}::HUGEINT * {1 << 64} + {quoted(LINE)}::HUGEINT * {1 << 24}"
    f" + (hash({quoted(RUN)}) & {(1 << 24) - 1})::HUGEINT)"
)


def change_rows(files: Sequence[Path], columns: Sequence["pa.Field"]) -> str:
    """A table expression: rows of `changes` files with `columns`, `_order` filled in, and their position as `_at`."""
    names = ", ".join(quoted(column.name) for column in columns if column.name != ORDER)
    order = f"coalesce({quoted(ORDER)}, {_FILE_ORDER}) AS {quoted(ORDER)}"
    return f"(SELECT *, {_POSITION} AS _at FROM (SELECT {names}, {order} FROM {rows_of(files, columns)}))"
