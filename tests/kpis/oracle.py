"""The values of a KPI as plain Python works them out, row by row."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from shared.domain.documents.kpis import CalculationWindow, Kpi, KpiFunction

type Group = tuple[datetime | None, tuple[Any, ...]]


def expected_values(
    kpi: Kpi, rows: Sequence[Mapping[str, Any]], time_name: str, tie: Sequence[str]
) -> dict[Group, float]:
    """Values by (start of the window, groups); `tie` orders rows of one time."""
    members: dict[Group, list[Mapping[str, Any]]] = {}
    for row in rows:
        start = start_of(kpi.calculation_window, as_time(row[time_name]))
        if start is None and kpi.calculation_window is not CalculationWindow.LIFETIME:
            continue
        members.setdefault((start, tuple(row[name] for name in kpi.group_by)), []).append(row)
    values = {group: value_of(kpi, found, time_name, tie) for group, found in members.items()}
    return {group: value for group, value in values.items() if value is not None}


def start_of(window: CalculationWindow, time: datetime | None) -> datetime | None:
    if time is None or window is CalculationWindow.LIFETIME:
        return None
    day = datetime(time.year, time.month, time.day, tzinfo=UTC)
    return {
        CalculationWindow.HOUR: day + timedelta(hours=time.hour),
        CalculationWindow.DAY: day,
        CalculationWindow.WEEK: day - timedelta(days=time.isoweekday() - 1),
        CalculationWindow.MONTH: day.replace(day=1),
    }[window]


def as_time(value: date | datetime | None) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def value_of(kpi: Kpi, rows: Sequence[Mapping[str, Any]], time_name: str, tie: Sequence[str]) -> float | None:
    if kpi.expression == "*":
        return float(len(rows))
    filled = [row for row in rows if row[kpi.expression] is not None]
    numbers = [row[kpi.expression] for row in filled]
    match kpi.function:
        case KpiFunction.COUNT:
            return float(len(numbers))
        case KpiFunction.COUNT_DISTINCT:
            return float(len(set(numbers)))
    if not numbers:
        return None
    exact = sum((Fraction(number) for number in numbers), Fraction(0))
    match kpi.function:
        case KpiFunction.SUM:
            return float(exact)
        case KpiFunction.AVG:
            return float(exact) / len(numbers)
        case KpiFunction.MIN:
            return as_double(min(numbers))
        case KpiFunction.MAX:
            return as_double(max(numbers))
    earliest = datetime.min.replace(tzinfo=UTC)
    last = max(filled, key=lambda row: (as_time(row[time_name]) or earliest, *(row[name] for name in tie)))
    return as_double(last[kpi.expression])


def as_double(number: Decimal | float) -> float:
    return float(Fraction(number))
