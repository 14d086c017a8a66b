"""Reading instances, as `/data` gives them: page by page in the order of their keys, or one by its key."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from shared.clock import iso
from shared.domain.entity_types import EntityType
from shared.domain.errors import ThrottledError
from shared.domain.kpis import Kpi
from shared.lake.engine import workspace
from shared.lake.filters import Condition
from shared.lake.kpi_values import LastValues
from shared.lake.pages import LOOKED_FOR_S, Found, Source, read_page
from shared.lake.present import present
from shared.lake.schema import CALCULATION_TIME, DELETED, KEY, REFRESH, TIMESTAMP, VALUE, field_columns
from shared.lake.sql import Bounds, first_row, key_below, quoted, quoted_list
from shared.lake.store import Lake, hub_of, kpi_path
from shared.lake.tables import open_snapshot
from shared.lake.widest import widest_in

_KEY = quoted(KEY)
# Merged profiles are fetched by ranges of keys with so much of them.
_FILES_AT_ONCE_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Page:
    """Instances as JSON values, and the key after which the next page begins; None after the last one."""

    rows: list[dict[str, Any]]
    next_key: str | None


def instances(
    lake: Lake,
    entity_type: EntityType,
    where: Condition | None = None,
    top: int = 30,
    after_key: str | None = None,
) -> Page:
    """Present instances in the order of their keys.

    Args:
        lake: the container.
        entity_type: the type.
        where: which of them, as `filters.condition` makes it.
        top: rows of a page; it has fewer where they are large or others take the room, and even none where the filter
            had to look at many.
        after_key: `next_key` of the page before.

    Raises:
        FatalError: a table is damaged. UnavailableError: storage does not answer, or the disk has not so much room.
        ThrottledError: others read large rows or tables.
    """
    rows: list[dict[str, Any]] = []
    is_first = True
    began = time.monotonic()
    while True:
        try:
            found, high = _range(lake, entity_type, where, top - len(rows), after_key)
        except ThrottledError:
            if is_first:
                raise
            return Page(rows, after_key)  # what was found is kept
        is_first = False
        rows += (_as_json(entity_type, row) for row in found.rows)
        after_key = high if found.next_key is None else found.next_key
        is_over = len(rows) == top or time.monotonic() - began > LOOKED_FOR_S
        if found.next_key is not None or high is None or is_over:
            return Page(rows, after_key)


def _range(
    lake: Lake, entity_type: EntityType, where: Condition | None, top: int, after_key: str | None
) -> tuple[Found, str | None]:
    """What the next range of files has, and the key that it ends with; None where it is the last."""
    # Each has a workspace of its own, so that no table is too large for the disk.
    with workspace(lake.settings) as work:
        tables = present(lake, work, entity_type, (after_key, None), _FILES_AT_ONCE_BYTES)
        columns, high = field_columns(entity_type.fields), tables.bounds[1]
        source = Source(hub_of(entity_type), tables.keys, tables.sizes, tables.widest, tables.rows, columns, high)
        return read_page(work, source, where, top, after_key), high


def instance(lake: Lake, entity_type: EntityType, key: str) -> dict[str, Any] | None:
    """The present instance of a key as JSON values; None where there is none."""
    with workspace(lake.settings) as work:
        relation = present(lake, work, entity_type, (key_below(key), key)).rows()
        columns = _columns(entity_type)
        row = first_row(work.connection, f"SELECT {columns} FROM ({relation}) WHERE {_KEY} = ?", [key])
        return None if row is None else _as_json(entity_type, row)


def present_keys(lake: Lake, entity_type: EntityType, keys: Sequence[str]) -> list[str]:
    """Those of the keys that have a present instance."""
    with workspace(lake.settings) as work:
        relation = present(lake, work, entity_type, (min(keys)[:-1] or None, max(keys))).rows()
        marks = ", ".join("?" * len(keys))
        found = work.connection.execute(f"SELECT {_KEY} FROM ({relation}) WHERE {_KEY} IN ({marks})", list(keys))
        return [key for (key,) in found.fetchall()]


def kpi_values(lake: Lake, kpi: Kpi, top: int = 30, after_key: str | None = None) -> Page:
    """Present values of a KPI by their keys: the fields of `groupBy`, `Timestamp`, `Value` and `CalculationTime`.

    Raises:
        FatalError: the table is damaged. UnavailableError: storage does not answer.
    """
    snapshot = open_snapshot(lake, kpi_path(kpi))
    if snapshot is None:
        return Page([], None)
    groups = [column for name in kpi.group_by if (column := snapshot.columns.get(name.casefold())) is not None]
    shown = [*groups, *(snapshot.columns[name.casefold()] for name in (TIMESTAMP, VALUE, CALCULATION_TIME))]
    stamps = [snapshot.columns[name.casefold()] for name in (KEY, DELETED, REFRESH)]
    with workspace(lake.settings) as work:
        values = LastValues(lake, work, snapshot, [*stamps, *shown])

        def rows(bounds: Bounds) -> str:
            return f"SELECT * FROM ({values.last(bounds)}) WHERE NOT {quoted(DELETED)}"

        source = Source(hub_of(kpi), values.keys, values.sizes, widest_in(values.files), rows, shown)
        found = read_page(work, source, None, top, after_key)
    names = [column.name for column in shown]
    page = [dict(zip(names, map(json_value, row[1:]), strict=True)) for row in found.rows]
    return Page(page, found.next_key)


def _columns(entity_type: EntityType) -> str:
    return quoted_list([KEY, *(field.field_name for field in entity_type.fields)])


def _as_json(entity_type: EntityType, row: Sequence[Any]) -> dict[str, Any]:
    """The row `(key, fields...)` as JSON values: the id under the name that the 2017 API gives it, then the fields."""
    fields = {field.field_name: json_value(value) for field, value in zip(entity_type.fields, row[1:], strict=True)}
    return {f"{entity_type.kind.value}Id": row[0], **fields}


def json_value(value: Any) -> Any:
    """A value of a column as JSON has it, without loss.

    A decimal is a number where a double holds it exactly as written, else text. Doubles that JSON has no number for are
    `NaN`, `INF` and `-INF`, as OData writes them.
    """
    match value:
        case list():
            return [json_value(item) for item in value]
        case datetime():
            return iso(value)
        case date():
            return value.isoformat()
        case Decimal():
            number = float(value)
            return number if Decimal(repr(number)) == value else f"{value:f}".rstrip("0").rstrip(".")
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
        case _:
            return value
