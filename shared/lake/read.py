"""Reading instances, as `/data` gives them: page by page in the order of their keys, or one by its key."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from shared.clock import iso
from shared.domain.entity_types import EntityType
from shared.domain.kpis import Kpi
from shared.lake.engine import Workspace, workspace
from shared.lake.kpi_values import last_values
from shared.lake.present import present
from shared.lake.schema import CALCULATION_TIME, DELETED, KEY, REFRESH, TIMESTAMP, VALUE
from shared.lake.sql import between, first_row, quoted, quoted_list
from shared.lake.store import Lake, kpi_path
from shared.lake.tables import open_snapshot

_KEY = quoted(KEY)
# A page looks at so many keys at first, and at ever more while the condition holds for too few of them: what is pending
# has to be merged before it can be compared, and that is to be paid for a page, not for the table.
_KEYS_PER_ROW = 4
_KEYS_AT_LEAST = 1_000
_GROWTH = 8

type Condition = tuple[str, Sequence[Any]]


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
        where: SQL condition over the fields and what it binds, as `filters.condition` makes it.
        top: rows of a page.
        after_key: `next_key` of the page before.

    Raises:
        FatalError: a table is damaged. UnavailableError: storage does not answer.
    """
    condition, values = where or ("true", ())
    columns = _columns(entity_type)
    rows: list[tuple[Any, ...]] = []
    low, keys = after_key, _KEYS_PER_ROW * top + _KEYS_AT_LEAST
    with workspace(lake.settings) as work:
        tables = present(lake, work, entity_type, (low, None))
        while len(rows) <= top:
            high = _key_after(work, tables.keys, low, keys)
            relation = tables.rows((low, high))
            rows += work.connection.execute(
                f"SELECT {columns} FROM ({relation}) WHERE {condition} ORDER BY {_KEY} LIMIT {top + 1 - len(rows)}",
                list(values),
            ).fetchall()
            if high is None:
                break
            low, keys = high, keys * _GROWTH
    page = [_as_json(entity_type, row) for row in rows[:top]]
    return Page(page, rows[top - 1][0] if len(rows) > top else None)


def _key_after(work: Workspace, keys: str, low: str | None, number: int) -> str | None:
    """The `number`-th key above `low`; None where there are not so many."""
    sql = f"SELECT DISTINCT {_KEY} FROM ({keys}) WHERE {between(low, None)} ORDER BY {_KEY} LIMIT 1 OFFSET {number - 1}"
    found = first_row(work.connection, sql)
    return None if found is None else str(found[0])


def instance(lake: Lake, entity_type: EntityType, key: str) -> dict[str, Any] | None:
    """The present instance of a key as JSON values; None where there is none."""
    with workspace(lake.settings) as work:
        relation = present(lake, work, entity_type, (key[:-1] if key else None, key)).rows()
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
    columns = [*(snapshot.columns[name.casefold()] for name in (KEY, DELETED, REFRESH)), *shown]
    names = [column.name for column in shown]
    with workspace(lake.settings) as work:
        rows = work.connection.execute(
            f"""
            SELECT {_KEY}, {quoted_list(names)} FROM ({last_values(lake, work, snapshot, columns)})
            WHERE NOT {quoted(DELETED)} AND {between(after_key, None)} ORDER BY {_KEY} LIMIT {top + 1}
            """
        ).fetchall()
    page = [dict(zip(names, map(json_value, row[1:]), strict=True)) for row in rows[:top]]
    return Page(page, rows[top - 1][0] if len(rows) > top else None)


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
