"""Invented rows of every type, and what their cells are in a `data.csv`."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from shared.domain.documents.fields import Field, FieldType
from shared.lake.schema import arrow_type

F = FieldType
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["", '"', '""', ",", "a,b", "a;b", "\\;", "\\", "\n", "\r", "\r\n", "#x", " x ", "NULL", "\ufeff", "'", "=1+1"]
)
doubles = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 0.1, 1e15, 1e16, 1e-5, 5e-324, 1.7976931348623157e308, 2.0**53 + 2]
)
decimals = st.integers(-(10**38) + 1, 10**38 - 1).map(lambda number: Decimal(f"{number}E-18")) | st.sampled_from(
    [Decimal(0), Decimal(100), Decimal("0.10"), Decimal("-0.000000000000000001"), Decimal("1E+3")]
)
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    F.BOOLEAN: st.booleans(),
    F.BYTE: st.integers(0, 255),
    F.INT16: st.integers(-(2**15), 2**15 - 1),
    F.INT32: st.integers(-(2**31), 2**31 - 1),
    F.INT64: st.integers(-(2**63), 2**63 - 1),
    F.DECIMAL: decimals,
    F.DOUBLE: doubles,
    F.GUID: st.uuids().map(str),
    F.DATE: st.dates(),
    F.DATE_TIME_OFFSET: st.datetimes(timezones=st.just(UTC)),
    F.STRING: texts,
}
FIELDS = [Field(field_name=kind.name.title(), field_type=kind) for kind in F] + [
    Field(field_name=f"{kind.name.title()}_list", field_type=kind, is_array=True) for kind in F
]


def rows_of_every_type() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows whose `_key` ascends."""
    cells = {
        field.field_name: st.none()
        | (st.lists(VALUES[field.field_type], max_size=3) if field.is_array else VALUES[field.field_type])
        for field in FIELDS
    }
    return st.lists(st.fixed_dictionaries(cells), max_size=6).map(
        lambda rows: [{"_key": f"{number:04}", **row} for number, row in enumerate(rows)]
    )


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema([pa.field("_key", pa.string()), *(pa.field(f.field_name, arrow_type(f)) for f in FIELDS)])
    return pa.Table.from_pylist(rows, schema=schema)


def cell(field: Field, value: Any) -> str | None:
    """The text of a cell; None is an empty one, and the empty text is `""`."""
    if value is None:
        return None
    if field.is_array:
        return ";".join(escaped(text(field.field_type, item)) for item in value)
    return text(field.field_type, value)


def escaped(item: str) -> str:
    return item.replace("\\", "\\\\").replace(";", "\\;")


def text(kind: FieldType, value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.strftime("%Y").zfill(4) + value.strftime("-%m-%dT%H:%M:%S.%fZ")
        case date():
            return value.isoformat()
        case float():
            return repr(value)
        case Decimal():
            plain = f"{value:f}"
            return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"
        case _:
            return str(value)


def split_items(joined: str) -> list[str]:
    """An array's items, as a partner takes them apart again."""
    items, item, is_escaped = [], "", False
    for character in joined:
        if is_escaped or character not in {"\\", ";"}:
            item, is_escaped = item + character, False
        elif character == "\\":
            is_escaped = True
        else:
            items.append(item)
            item = ""
    return [*items, item]
