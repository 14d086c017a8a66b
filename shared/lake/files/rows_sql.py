"""Data files as rows of the engine: the columns that are read, and the range of keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.domain.documents.fields import Field
from shared.engine.sql import column_type, literal, quoted, quoted_list
from shared.lake.schema import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa


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
