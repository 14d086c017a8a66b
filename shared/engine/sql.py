"""Text of SQL: quoted names and literals, and the names of column types."""

import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

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
