"""Typing: rows of text become rows of the lake, or rejects. Here it is decided whether a row is good.

Per batch the engine makes one pass: for each row the values, the key, and the number of the first refusal in the
order of the file. Text that is kept as it stands never goes through the engine's hands twice: its column is taken over.
A row that would be too large is refused before that.
"""

import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from shared.casts.match_columns import ignored_columns, match_columns
from shared.casts.row_sql import RowSql
from shared.casts.typed_sizes import TypedSizes
from shared.connectors.reader import Batch
from shared.csv.bit_masks import Offsets
from shared.csv.rejects import Reason, Rejects, no_rejects
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import AccountingError
from shared.engine.batches import batch_engine
from shared.lake import schema
from shared.settings import Settings

_NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Typed:
    """A typed batch.

    Attributes:
        table: the good rows in the schema of `changes`, in the order of the file.
        rejects: the others, ascending by line.
        refused: number of each of them in the batch, ascending.
    """

    table: pa.Table
    rejects: Rejects
    refused: Offsets


class RowTyper:
    """Types the batches of one file. A context manager: leaving it gives the engine back.

    Args:
        header: names of the file's columns.
        place: of the rows, such as account, container and path of a blob; it is a part of derived keys.
        ingested_at: aware time that the rows carry.

    Raises:
        DataError: `MappingOutdated`, `MissingColumns`, `DuplicateColumn`.
    """

    def __init__(
        self,
        entity_type: EntityType,
        mapping: Mapping,
        header: list[str],
        place: str,
        run_id: str,
        order: int,
        ingested_at: datetime,
        settings: Settings,
    ) -> None:
        self._columns = match_columns(header, mapping, entity_type)
        self.ignored_columns = ignored_columns(header, mapping)
        """Names of the columns that fill no field; `column 6` where there is no name."""
        self._schema = schema.changes_schema(entity_type)
        self._sizes = TypedSizes(self._columns, mapping, entity_type, settings.max_row_bytes)
        self._sql = RowSql(self._columns, entity_type, mapping.mapping_properties.format, len(header), place)
        self._reasons = [Reason(column, refusal.code, refusal.message) for column, refusal in self._sql.refusals]
        set_fields = {column.field.field_name for column in self._columns}
        self._constants: dict[str, Any] = {
            schema.SET: ",".join(f.field_name for f in entity_type.fields if f.field_name in set_fields),
            schema.DELETED: False,
            schema.RUN: run_id,
            schema.INGESTED_AT: ingested_at,
            schema.ORDER: order,
        }
        self._repeated: dict[str, pa.Array] = {}
        self._open = ExitStack()
        self._engine = self._open.enter_context(batch_engine(settings, self._sql.text))
        weakref.finalize(self, self._open.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def pieces[B: Batch](self, rows: B) -> Iterator[B]:
        """A batch in pieces that are not too large to be typed at once."""
        return self._sizes.pieces(rows)

    def type(self, rows: Batch) -> Typed:
        """Types a batch; each of its rows is in the table or among the rejects."""
        too_long = self._sizes.too_long(rows)
        if not too_long.size:
            return self._type(rows)
        others = np.delete(np.arange(rows.lines.size), too_long)
        typed = self._type(rows.take(others))
        refused = np.concatenate((others[typed.refused], too_long))
        order = np.argsort(refused)
        rejects = Rejects.joined([typed.rejects, self._sizes.refused(rows, too_long)])
        return Typed(typed.table, rejects.take(order), refused[order])

    def _type(self, rows: Batch) -> Typed:
        count = rows.cells.num_rows
        if not count:
            return Typed(self._schema.empty_table(), no_rejects(), _NO_ROWS)
        batch = pa.table({f"c{position}": rows.cells.column(position) for position in self._sql.positions})
        found = self._engine.run(batch)
        if found.num_rows != count:
            raise AccountingError("RowCount", f"{count} rows were given to the engine, {found.num_rows} came back")
        columns = {schema.LINE: pa.chunked_array([pa.array(rows.lines)])}
        columns[schema.KEY] = self._sql.key(rows.cells, found)
        for number, column in enumerate(self._columns):
            columns[column.field.field_name] = self._sql.value(number, rows.cells, found)
        refused = found.column("refused")
        if refused.null_count == count:
            return Typed(self._table(columns, count), no_rejects(), _NO_ROWS)
        good = refused.is_null()
        kept = pa.table(columns).filter(good)
        table = self._table({name: kept.column(name) for name in columns}, kept.num_rows)
        at = np.flatnonzero(refused.is_valid().to_numpy())
        numbers = refused.drop_null().to_numpy().astype(np.int64)
        return Typed(table, Rejects(rows.lines[at], numbers, self._reasons, rows.raws(at)), at)

    def _table(self, columns: dict[str, pa.ChunkedArray], count: int) -> pa.Table:
        arrays = [
            columns[field.name].cast(field.type) if field.name in columns else self._repeat(field, count)
            for field in self._schema
        ]
        return pa.table(arrays, schema=self._schema)

    def _repeat(self, field: pa.Field, count: int) -> pa.Array:
        """A column that holds the same in each row; made once for the largest batch so far."""
        present = self._repeated.get(field.name)
        if present is None or len(present) < count:
            present = pa.repeat(pa.scalar(self._constants.get(field.name), field.type), count)
            self._repeated[field.name] = present
        return present.slice(0, count)
