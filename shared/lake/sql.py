"""Text of SQL: quoted names and literals, column types, and Parquet files as rows."""

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.domain.fields import Field
from shared.lake.schema import arrow_type

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

type Bounds = tuple[str | None, str | None]
"""Keys above the first and not above the second; None is no bound."""

ALL_KEYS: Bounds = (None, None)


LAST_CHARACTER = "\U0010ffff"


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_list(names: Iterable[str]) -> str:
    """Names as a list of identifiers."""
    return ", ".join(quoted(name) for name in names)


def literal(text: str) -> str:
    """Text as a literal, for where a value cannot be bound (views, COPY); the engine's literals know no escapes."""
    parts = ("'" + part.replace("'", "''") + "'" for part in text.split("\0"))
    return " || chr(0) || ".join(parts)


def column_type(data_type: "pa.DataType") -> str:
    """The engine's name of an Arrow type of `lake/schema.py`."""
    import pyarrow as pa

    if pa.types.is_list(data_type):
        return f"{column_type(data_type.value_type)}[]"
    if pa.types.is_decimal(data_type):
        return f"DECIMAL({data_type.precision}, {data_type.scale})"
    return {
        pa.bool_(): "BOOLEAN",
        pa.int16(): "SMALLINT",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.date32(): "DATE",
        pa.timestamp("us", "UTC"): "TIMESTAMPTZ",
        pa.string(): "VARCHAR",
    }[data_type]


def chosen(fields: Sequence[Field], there: Sequence["pa.Field"]) -> str:
    """A select list of a type's fields, spelled as in the type; null for one that a table does not have yet."""
    known = {column.name.casefold() for column in there}
    return ", ".join(
        f"{quoted(field.field_name) if field.field_name.casefold() in known else 'NULL'}"
        f"::{column_type(arrow_type(field))} AS {quoted(field.field_name)}"
        for field in fields
    )


def rows_of(files: Sequence[Path], columns: Sequence["pa.Field"]) -> str:
    """A table expression: the rows of Parquet files, in their order, with `columns` and `filename`.

    A file that is older than a column has null there.
    """
    empty = ", ".join(f"NULL::{column_type(column.type)} AS {quoted(column.name)}" for column in columns)
    wanted = quoted_list(column.name for column in columns)
    nothing = f"SELECT {empty}, NULL::VARCHAR AS filename WHERE false"
    if not files:
        return f"(SELECT {wanted}, filename FROM ({nothing}))"
    paths = ", ".join(literal(str(file)) for file in files)
    found = f"SELECT * FROM read_parquet([{paths}], union_by_name = true, filename = true)"
    return f"(SELECT {wanted}, filename FROM ({nothing} UNION ALL BY NAME {found}))"


def between(low: str | None, high: str | None, source: str = "") -> str:
    """Condition for `_key` to be in bounds."""
    key = f"{source}.{quoted('_key')}" if source else quoted("_key")
    above = f"{key} > ({literal(low)})" if low is not None else "true"
    return f"{above} AND {key} <= ({literal(high)})" if high is not None else above


def key_below(key: str) -> str | None:
    """A key below `key`, so near that hardly another can be between them; None below the empty one."""
    if not key:
        return None
    before = ord(key[-1]) - 1
    if before < 0:
        return key[:-1]
    # Surrogates are no characters.
    return f"{key[:-1]}{chr(before if not 0xD800 <= before <= 0xDFFF else 0xD7FF)}{LAST_CHARACTER}"


def temporary(connection: "duckdb.DuckDBPyConnection", what: str, query: str) -> str:
    """Makes a temporary `VIEW` or `TABLE` of a query under a name of its own, and returns the name."""
    name = fresh_name()
    connection.execute(f"CREATE TEMP {what} {name} AS {query}")
    return name


def replace_table(connection: "duckdb.DuckDBPyConnection", name: str, query: str) -> None:
    """Makes the temporary table of this name from a query; one that was there before takes no more room."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")


def fresh_name() -> str:
    """A name that nothing in a workspace has."""
    return f"t{uuid.uuid4().hex}"


def first_row(
    connection: "duckdb.DuckDBPyConnection", query: str, values: Sequence[Any] = ()
) -> tuple[Any, ...] | None:
    """The first row of a query that has few; an unread rest would block the connection."""
    return next(iter(connection.execute(query, list(values)).fetchall()), None)
