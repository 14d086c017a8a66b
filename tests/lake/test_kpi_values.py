"""Values of KPIs: numbered calculations, each change in exactly one of them."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from shared.domain.documents.kpis import Kpi
from shared.domain.errors import UnavailableError
from shared.engine.workspace import workspace
from shared.lake.container.store import Lake
from shared.lake.read.instances import kpi_values
from shared.lake.upkeep.maintain import maintain_kpi
from shared.lake.values.kpi_values import Calculated, KpiValues
from tests.lake.given import profile_type

CUSTOMER = profile_type()
KPI = Kpi.model_validate(
    {
        "kpiName": "Buyers",
        "entityType": "Profile",
        "entityTypeName": "Customer",
        "calculationWindow": "Lifetime",
        "function": "Count",
        "expression": "*",
        "groupBy": ["Name", "Age"],
        "lakePath": "contoso/kpis/buyers",
    }
)
NOW = "2026-11-22T14:15:00Z"

type Values = dict[tuple[str, int], float]


def changes(present: str, values: Values) -> str:
    """What turns the present values into `values`."""
    rows = " UNION ALL ".join(
        f"SELECT '{name}' AS n, {age}::INT AS a, {value}::DOUBLE AS v" for (name, age), value in values.items()
    )
    new = rows or "SELECT '' AS n, 0 AS a, 0.0 AS v WHERE false"
    return f"""
        SELECT coalesce(n || '/' || a, old._key) AS _key, coalesce(n, old.Name) AS Name, coalesce(a, old.Age) AS Age,
            NULL::TIMESTAMPTZ AS Timestamp, v AS Value, TIMESTAMPTZ '{NOW}' AS CalculationTime, n IS NULL AS _deleted
        FROM ({new}) FULL JOIN ({present}) old ON n || '/' || a = old._key WHERE v IS DISTINCT FROM old.Value
        """


def calculate(lake: Lake, values: Values, since: int | None = None) -> Calculated:
    table = KpiValues(lake, KPI, CUSTOMER)
    before = table.newest().number if since is None else since
    with workspace(lake.settings) as work:
        return table.write(work, lambda present: changes(present, values), before)


def slot(lake: Lake, after: int, to: Calculated, *, is_first: bool = False) -> list[tuple[Any, ...]]:
    values = KpiValues(lake, KPI, CUSTOMER)
    with values.slot_rows(after, to.number, to.table_version, is_first=is_first) as found:
        return [row[1:3] + row[4:5] for row in found.connection.execute(found.sql).fetchall()]


def test_each_change_is_in_one_calculation(lake: Lake) -> None:
    table = KpiValues(lake, KPI, CUSTOMER)
    assert table.newest().number == 0
    first = calculate(lake, {("a", 1): 2, ("b", 1): 3})
    again = calculate(lake, {("a", 1): 2, ("b", 1): 3})
    second = calculate(lake, {("a", 1): 5, ("c", 1): 1})

    assert (first.number, first.rows) == (1, 2)
    assert again == Calculated(1, first.table_version)
    assert (second.number, second.rows) == (2, 3)
    assert table.newest() == Calculated(2, second.table_version)
    assert table.changed_rows(0, first) == 2
    assert table.changed_rows(1, second) == 3
    assert table.changed_rows(2, second) == 0
    assert slot(lake, 0, first, is_first=True) == [("a", 1, 2), ("b", 1, 3)]
    assert slot(lake, 1, second) == [("a", 1, 5), ("b", 1, None), ("c", 1, 1)]
    assert slot(lake, 0, second, is_first=True) == [("a", 1, 5), ("c", 1, 1)]


def test_present_values_come_page_by_page(lake: Lake) -> None:
    assert kpi_values(lake, KPI).rows == []
    calculate(lake, {("a", 1): 2, ("b", 1): 3})
    calculate(lake, {("a", 1): 2, ("c", 1): 4})

    first = kpi_values(lake, KPI, top=1)
    assert first.rows == [{"Name": "a", "Age": 1, "Timestamp": None, "Value": 2.0, "CalculationTime": NOW}]
    second = kpi_values(lake, KPI, 1, first.next_key)
    assert ([row["Name"] for row in second.rows], second.next_key) == (["c"], None)


def test_calculations_at_once_write_each_change_once(lake: Lake) -> None:
    start = Barrier(3)

    def attempt(_: int) -> int | str:
        start.wait()
        try:
            return calculate(lake, {("a", 1): 2}, since=0).number
        except UnavailableError as error:
            return error.code

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(attempt, range(3)))

    assert sorted(map(str, done)) == ["1", "CalculatedMeanwhile", "CalculatedMeanwhile"]


def test_a_calculation_that_ends_late_overwrites_no_newer_values(lake: Lake) -> None:
    """It read its rows before the other one did, which has seen more."""
    first = calculate(lake, {("a", 1): 1})
    newer = calculate(lake, {("a", 1): 3}, since=first.number)
    with pytest.raises(UnavailableError) as refused:
        calculate(lake, {("a", 1): 2}, since=first.number)
    assert refused.value.code == "CalculatedMeanwhile"
    assert [row["Value"] for row in kpi_values(lake, KPI).rows] == [3.0]
    assert KpiValues(lake, KPI, CUSTOMER).newest() == Calculated(2, newer.table_version)


def test_upkeep_changes_no_value_and_no_slot(lake: Lake) -> None:
    done = [calculate(lake, {("a", 1): index, ("b", index): 1}) for index in range(1, 13)]
    before = [slot(lake, one.number - 1, one) for one in done]
    maintain_kpi(lake, KPI)
    newest = KpiValues(lake, KPI, CUSTOMER).newest()

    assert len(lake_files(lake)) == 1
    assert [slot(lake, one.number - 1, one) for one in done] == before
    assert slot(lake, 11, newest) == before[-1]
    assert [row["Value"] for row in kpi_values(lake, KPI).rows] == [12.0, 1.0]
    assert calculate(lake, {("a", 1): 99}).number == 13


def lake_files(lake: Lake) -> list[str]:
    handle = lake.open(KpiValues(lake, KPI, CUSTOMER).table)
    assert handle is not None
    return handle.file_uris()
