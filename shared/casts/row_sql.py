"""The one statement that types a batch: values, key and first refusal, in the order of the file, of each row."""

import pyarrow as pa

from shared.casts.cast_sql import Refusal, Sql
from shared.casts.column_sql import ColumnSql, column_sql
from shared.casts.match_columns import MappedColumn
from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.engine.sql import literal

MAX_KEY_CHARACTERS = 1024


class RowSql:
    """Made once for a file. The engine sees columns by number, so that no name of a user stands in the SQL.

    Args:
        columns: the mapped columns, in the order of the file.
        width: number of columns of the file.
        source: account, container and path of the blob; a part of derived keys.

    Attributes:
        text: selects from `batch` (`c<position>`) the values `v<number>`, in the order of `columns`, the `key`, and
            `refused`, a number in `refusals` or NULL. What is the text of a cell is not selected again.
        positions: the columns of the file that it needs.
        refusals: why rows are refused, with the column's name; None where several columns are meant.
    """

    def __init__(
        self, columns: list[MappedColumn], entity_type: EntityType, form: MappingFormat, width: int, source: str
    ) -> None:
        self.refusals: list[tuple[str | None, Refusal]] = []
        self._columns = columns
        keys = entity_type.key_fields
        self._sql = [
            self._column(number, column, form, keys, entity_type.kind) for number, column in enumerate(columns)
        ]
        self._key = self._key_sql(keys, width, source)
        self.positions = sorted({column.position for column in columns} if keys else range(width))
        self.text = self._statement(keys)

    def value(self, number: int, cells: pa.Table, found: pa.Table) -> pa.ChunkedArray:
        """The values of a mapped column, out of the batch or of what the statement found."""
        return found.column(f"v{number}") if self._sql[number].read else cells.column(self._columns[number].position)

    def key(self, cells: pa.Table, found: pa.Table) -> pa.ChunkedArray:
        """The keys of the rows."""
        return cells.column(int(self._key[1:])) if self._is_cell(self._key) else found.column("key")

    def _column(
        self, number: int, column: MappedColumn, form: MappingFormat, keys: list[str], kind: EntityKind
    ) -> ColumnSql:
        return column_sql(
            column,
            form,
            f"v{number}",
            lambda refusal: self._number(column.name, refusal),
            is_key=column.field.field_name in keys,
            # The old product checked isRequired for interactions only.
            is_needed=kind is EntityKind.INTERACTION and column.field.is_required,
        )

    def _number(self, name: str | None, refusal: Refusal) -> int:
        self.refusals.append((name, refusal))
        return len(self.refusals) - 1

    def _key_sql(self, keys: list[str], width: int, source: str) -> Sql:
        if keys:
            texts = {column.field.field_name: sql.as_text for column, sql in zip(self._columns, self._sql, strict=True)}
            return " || '_' || ".join(texts[name] for name in keys)
        # NUL stands in no cell, so no two rows make the same text. Equal rows are told apart when all are known.
        cells = "".join(f", chr(0), c{position}" for position in range(width))
        return f"md5(concat({literal(source)}{cells}))"

    def _statement(self, keys: list[str]) -> Sql:
        reads = "".join(f", {sql.read} AS v{number}" for number, sql in enumerate(self._sql) if sql.read)
        values = "".join(f"{sql.value} AS v{number}, " for number, sql in enumerate(self._sql) if sql.read)
        key = "" if self._is_cell(self._key) else "key, "
        checks = "".join(f" WHEN {when} THEN {number}" for when, number in self._checks(keys))
        refused = f"CASE{checks} END" if checks else "CAST(NULL AS INTEGER)"
        return (
            f"SELECT {values}{key}{refused} AS refused"
            f" FROM (SELECT *, {self._key} AS key FROM (SELECT *{reads} FROM batch))"
        )

    def _checks(self, keys: list[str]) -> list[tuple[Sql, Sql]]:
        """Conditions that refuse a row, in the order of the file; the length of a key is known with its last part."""
        checks = []
        parts = [number for number, column in enumerate(self._columns) if column.field.field_name in keys]
        for number, sql in enumerate(self._sql):
            checks += sql.checks
            if parts and number == parts[-1]:
                name = self._columns[number].name if len(parts) == 1 else None
                refusal = Refusal("KeyTooLong", f"expected a key of at most {MAX_KEY_CHARACTERS} characters")
                checks.append((f"length(key) > {MAX_KEY_CHARACTERS}", str(self._number(name, refusal))))
        return checks

    @staticmethod
    def _is_cell(sql: Sql) -> bool:
        return sql.startswith("c") and sql[1:].isdigit()
