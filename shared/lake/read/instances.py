"""Reading instances, as `/data` gives them: page by page in the order of their keys, or one by its key."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from shared.clock import iso
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.kpis import Kpi
from shared.domain.errors import ThrottledError
from shared.engine.sql import Bounds, key_below, quoted
from shared.engine.workspace import workspace
from shared.lake.container.store import Lake
from shared.lake.files.widest import widest_in
from shared.lake.log.tables import open_snapshot
from shared.lake.paths import hub_of, kpi_path
from shared.lake.read.condition import Condition
from shared.lake.read.large_row_permits import Items
from shared.lake.read.pages import LOOKED_FOR_S, Found, Source, read_keys, read_page
from shared.lake.read.present import PresentInteractions, PresentProfiles, present
from shared.lake.schema import CALCULATION_TIME, DELETED, KEY, REFRESH, TIMESTAMP, VALUE, field_columns
from shared.lake.values.kpi_values import LastValues

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
        source = _source(entity_type, tables)
        return read_page(work, source, where, top, after_key), source.high


def _source(entity_type: EntityType, tables: PresentProfiles | PresentInteractions) -> Source:
    columns = field_columns(entity_type.fields)
    hub, high = hub_of(entity_type), tables.bounds[1]
    return Source(hub, tables.keys, tables.sizes, tables.widest, tables.rows, columns, high)


def instance(lake: Lake, entity_type: EntityType, key: str) -> dict[str, Any] | None:
    """The present instance of a key as JSON values, or None.

    Raises:
        As `instances`, and UnavailableError `LargeRowsTooSlow`: the row is too large to be read in time.
    """
    with workspace(lake.settings) as work:
        tables = present(lake, work, entity_type, (key_below(key), key))
        rows = read_keys(work, _source(entity_type, tables), tables.bounds, [key])
    return _as_json(entity_type, rows[0]) if rows else None


def present_keys(lake: Lake, entity_type: EntityType, keys: Sequence[str]) -> list[str]:
    """Those of the keys that have a present instance; raises as `instance`."""
    found: list[str] = []
    with workspace(lake.settings) as work:
        for key in keys:  # each by itself: between two of them there may be most of the table
            tables = present(lake, work, entity_type, (key_below(key), key))
            source = replace(_source(entity_type, tables), columns=[])
            found += [present_key for (present_key,) in read_keys(work, source, tables.bounds, [key])]
    return found


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
        case list() | Items():
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
