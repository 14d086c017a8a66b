"""The SQL that makes values: a function over the rows of each group and window."""

import hashlib
import json
from datetime import datetime

from shared.clock import iso
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.fields import Field, FieldType
from shared.domain.documents.kpis import CalculationWindow, Kpi, KpiFunction
from shared.engine.sql import LAST_CHARACTER, literal, quoted, quoted_list
from shared.kpis.rows import POSITION
from shared.kpis.windows import moment, time_column, window_start
from shared.lake.schema import CALCULATION_TIME, DELETED, KEY, PROCESSING_TIME, TIMESTAMP, VALUE

# Doubles are added in the order in which they come, which is not always the same; so much may their sum differ.
_SAME_DOUBLE = 1e-12
# Doubles divided by it cannot add up to infinity, of 2**40 rows or fewer; it is a power of two, so no digit is lost.
_SCALE = "1099511627776e0"
# Characters of a key, beside its meaning. A place in a list has to fit into an address.
_LONGEST = 1024


def meaning(kpi: Kpi) -> str:
    """A digest of all that the values depend on; the key of every value begins with it.

    Values of a KPI whose definition was changed are other values: the old ones go, and partners get all new ones.
    """
    facts = [
        kpi.entity_type.value,
        kpi.entity_type_name.casefold(),
        kpi.function.value,
        kpi.expression.strip().casefold(),
        kpi.calculation_window.value,
        (kpi.calculation_window_field_name or "").casefold(),
        [name.casefold() for name in kpi.group_by],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def values_sql(kpi: Kpi, entity_type: EntityType, rows: str) -> str:
    """A query for one row for each group and window that has a value: `_key`, the groups, `Timestamp`, `Value`.

    Rows without a time belong to no window, but to Lifetime. Null is a group of its own. A group has no value where
    the function has nothing to work on (the sum of no numbers), or the value is beyond all doubles.

    Args:
        kpi: the definition.
        entity_type: the type that it reads.
        rows: table expression of the present instances, as `kpi_rows` gives them.
    """
    groups = group_columns(kpi, entity_type)
    time = moment(time_column(kpi, entity_type))
    start = window_start(kpi.calculation_window, time)
    wanted = "true" if kpi.calculation_window is CalculationWindow.LIFETIME else f"{time} IS NOT NULL"
    parts = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in (TIMESTAMP, *groups))
    return (
        f"SELECT {literal(meaning(kpi))} || {_shortened(f'CAST(to_json([{parts}]) AS VARCHAR)')} AS {KEY}, *"
        f" FROM (SELECT {_list(groups)} {start} AS {TIMESTAMP}, {_value(kpi, entity_type, time)} AS {VALUE}"
        f" FROM {rows} WHERE {wanted} GROUP BY ALL HAVING count(*) > 0) WHERE isfinite({VALUE})"
    )


def _shortened(text: str) -> str:
    """SQL of a text that is no longer than a key of a profile; a longer one is told by its digest.

    It sorts after the texts that begin as it does: of what an earlier release wrote under the whole text, partners get
    the removal first.
    """
    short = f"left({text}, {_LONGEST // 2}) || {literal(LAST_CHARACTER)} || sha256({text})"
    return f"CASE WHEN length({text}) > {_LONGEST} THEN {short} ELSE {text} END"


def changes_sql(kpi: Kpi, entity_type: EntityType, values: str, present: str, now: datetime) -> str:
    """A query for what has to be written for `present` to become `values`, with `CalculationTime` and `_deleted`.

    A value that is no more is written as deleted, with null as its `Value`.

    Args:
        kpi: the definition.
        entity_type: the type that it reads.
        values: table expression of the calculated values.
        present: query for the values that were written last, with `_key`, groups, `Timestamp`, `Value`.
        now: becomes `CalculationTime`.
    """
    columns = ", ".join(
        f"CASE WHEN new.{KEY} IS NULL THEN old.{quoted(name)} ELSE new.{quoted(name)} END AS {quoted(name)}"
        for name in (KEY, *group_columns(kpi, entity_type), TIMESTAMP)
    )
    return (
        f"SELECT {columns}, new.{VALUE}, TIMESTAMPTZ {literal(iso(now))} AS {CALCULATION_TIME},"
        f" new.{KEY} IS NULL AS {DELETED} FROM {values} AS new FULL JOIN ({present}) AS old ON new.{KEY} = old.{KEY}"
        f" WHERE new.{KEY} IS NULL OR old.{KEY} IS NULL OR {_differs(kpi, entity_type)}"
    )


def group_columns(kpi: Kpi, entity_type: EntityType) -> list[str]:
    """The fields of `groupBy`, in the type's own case."""
    return [field.field_name for name in kpi.group_by if (field := entity_type.field(name)) is not None]


def _value(kpi: Kpi, entity_type: EntityType, time: str) -> str:
    field = entity_type.field(kpi.expression.strip())
    if field is None:
        return "CAST(count(*) AS DOUBLE)"
    name = quoted(field.field_name)
    order = _order(entity_type, time)
    return {
        KpiFunction.COUNT: f"CAST(count({name}) AS DOUBLE)",
        KpiFunction.COUNT_DISTINCT: f"CAST(count(DISTINCT {name}) AS DOUBLE)",
        KpiFunction.SUM: _sum(field, name),
        KpiFunction.AVG: _sum(field, name, f" / count({name})"),
        KpiFunction.MIN: _double(field, f"min({name})"),
        KpiFunction.MAX: _double(field, f"max({name})"),
        KpiFunction.LAST: _double(field, f"arg_max({name}, {order}) FILTER (WHERE {name} IS NOT NULL)"),
    }[kpi.function]


def _sum(field: Field, name: str, divided: str = "") -> str:
    """The exact sum, rounded once, when it becomes a double; of doubles a compensated one. Then it is `divided`.

    Doubles may leave the range of doubles midway and come back: such ones are added up once more, scaled.
    """
    if field.field_type is FieldType.DOUBLE:
        scaled = f"fsum({name} / {_SCALE}){divided} * {_SCALE}"
        return f"CASE WHEN isfinite(fsum({name})) THEN fsum({name}){divided} ELSE {scaled} END"
    if field.field_type is not FieldType.DECIMAL:
        return _double(field, f"sum(CAST({name} AS BIGINT))") + divided
    # 38 digits do not hold the sum of two numbers of 38 digits: what stands before the point is added up apart.
    after = f"sum({name} - trunc({name}))"
    before = f"sum(CAST(trunc({name}) AS HUGEINT)) + CAST(floor({after}) AS HUGEINT)"
    rest = f"({after} - floor({after}))"
    below_zero = f"'-' || CAST(-({before}) - 1 AS VARCHAR) || substr(CAST(1 - {rest} AS VARCHAR), 2)"
    text = (
        f"CASE WHEN {rest} = 0 THEN CAST({before} AS VARCHAR) WHEN {before} < 0 THEN {below_zero}"
        f" ELSE CAST({before} AS VARCHAR) || substr(CAST({rest} AS VARCHAR), 2) END"
    )
    return f"CAST({text} AS DOUBLE){divided}"


def _double(field: Field, value: str) -> str:
    """A number as the nearest double; by way of text, since the engine's own cast of wide numbers rounds twice."""
    return value if field.field_type is FieldType.DOUBLE else f"CAST(CAST({value} AS VARCHAR) AS DOUBLE)"


def _order(entity_type: EntityType, time: str) -> str:
    """What decides which row is the last: its time, then when we learnt of it; without a time it is the first."""
    since = f"coalesce({time}, CAST('-infinity' AS TIMESTAMPTZ))"
    if entity_type.kind is EntityKind.PROFILE:
        return f"({since}, {PROCESSING_TIME}, {KEY})"
    return f"({since}, {POSITION})"


def _differs(kpi: Kpi, entity_type: EntityType) -> str:
    new, old = f"new.{VALUE}", f"old.{VALUE}"
    field = entity_type.field(kpi.expression.strip())
    is_added_up = kpi.function in {KpiFunction.SUM, KpiFunction.AVG}
    if is_added_up and field is not None and field.field_type is FieldType.DOUBLE:
        return f"abs({new} - {old}) > {_SAME_DOUBLE} * greatest(abs({new}), abs({old}))"
    return f"{new} IS DISTINCT FROM {old}"


def _list(names: list[str]) -> str:
    return f"{quoted_list(names)}," if names else ""
