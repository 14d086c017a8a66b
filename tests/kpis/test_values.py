"""The SQL of KPI values against plain Python, over invented rows."""

import math
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.documents.entity_types import InteractionType
from shared.domain.documents.kpis import Kpi
from shared.domain.skip_token import read_key, write_token
from shared.kpis.value_sql import changes_sql, meaning, values_sql
from shared.kpis.windows import time_column
from shared.lake.schema import arrow_type
from tests.kpis.oracle import Group, expected_values
from tests.thorough import examples

ORDER = InteractionType.from_request(
    {
        "fields": [
            {"fieldName": "OrderId", "fieldType": "Edm.String"},
            {"fieldName": "Country", "fieldType": "Edm.String"},
            {"fieldName": "Shop", "fieldType": "Edm.Int32"},
            {"fieldName": "Amount", "fieldType": "Edm.Decimal"},
            {"fieldName": "Points", "fieldType": "Edm.Int64"},
            {"fieldName": "Weight", "fieldType": "Edm.Double"},
            {"fieldName": "Ordered", "fieldType": "Edm.DateTimeOffset"},
            {"fieldName": "Billed", "fieldType": "Edm.Date"},
        ],
        "timestampFieldName": "ordered",
        "idPropertyNames": ["OrderId"],
    }
)
FUNCTIONS = ("Count", "Sum", "Avg", "Min", "Max", "Last", "CountDistinct")
WINDOWS = ("Lifetime", "Hour", "Day", "Week", "Month")
NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)

times = st.timedeltas(timedelta(0), timedelta(days=4)).map(lambda since: datetime(2024, 2, 27, tzinfo=UTC) + since)
amounts = st.integers(-(10**38) + 1, 10**38 - 1).map(lambda number: Decimal(f"{number}E-18")) | st.sampled_from(
    [Decimal("0.1"), Decimal("-0.1"), Decimal("-0.000000000000000001"), Decimal(0), Decimal("2.5")]
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "Country": st.none() | st.sampled_from(["DE", "", 'A"b', "null"]),
            "Shop": st.none() | st.integers(0, 2),
            "Amount": st.none() | amounts,
            "Points": st.none() | st.integers(-(2**63), 2**63 - 1),
            "Weight": st.none() | st.sampled_from([0.0, 0.1, 0.2, -3.5, 1e300, 5e-324]),
            "Ordered": st.none() | times,
            "Billed": st.none() | st.dates(date(2024, 2, 27), date(2024, 3, 2)),
        }
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def load(engine: duckdb.DuckDBPyConnection, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    whole = [
        {**row, "OrderId": f"o{number}", "_key": f"o{number}", "_at": number, "_ingested_at": NOW}
        for number, row in enumerate(found)
    ]
    fields = [pa.field(field.field_name, arrow_type(field)) for field in ORDER.fields]
    stamps = [
        pa.field("_key", pa.string()),
        pa.field("_at", pa.int64()),
        pa.field("_ingested_at", pa.timestamp("us", "UTC")),
    ]
    engine.register("arrived", pa.Table.from_pylist(whole, schema=pa.schema([*fields, *stamps])))
    engine.execute("CREATE OR REPLACE TABLE orders AS FROM arrived")
    return whole


def calculated(engine: duckdb.DuckDBPyConnection, kpi: Kpi) -> dict[Group, float]:
    engine.execute(f"CREATE OR REPLACE TABLE calculated AS {values_sql(kpi, ORDER, 'orders')}")
    return read_values(engine.execute("FROM calculated").fetchall())


def read_values(found: list[tuple[Any, ...]]) -> dict[Group, float]:
    assert len({row[0] for row in found}) == len(found), "two values with one key"
    values = {(row[-2], tuple(row[1:-2])): row[-1] for row in found}
    assert len(values) == len(found), "two values of one group and window"
    return values


def kpi_of(function: str, expression: str, window: str, **more: Any) -> Kpi:
    return Kpi.from_request(
        {
            "entityType": "Interaction",
            "entityTypeName": "Order",
            "calculationWindow": window,
            "function": function,
            "expression": expression,
            **more,
        }
    )


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=rows,
    expression=st.sampled_from(["Amount", "Points", "Weight"]),
    group_by=st.sampled_from([[], ["Country"], ["Country", "Shop"]]),
    window_field=st.sampled_from([None, "Billed"]),
)
def test_values_are_what_plain_python_works_out(
    engine: duckdb.DuckDBPyConnection,
    function: str,
    window: str,
    found: list[dict[str, Any]],
    expression: str,
    group_by: list[str],
    window_field: str | None,
) -> None:
    kpi = kpi_of(function, expression, window, groupBy=group_by, calculationWindowFieldName=window_field)
    whole = load(engine, found)
    expected = expected_values(kpi, whole, window_field or "Ordered", ("_at",))
    values = calculated(engine, kpi)
    if expression == "Weight" and function in {"Sum", "Avg"}:
        assert values == pytest.approx(expected, rel=1e-12, abs=1e-300)
    else:
        assert values == expected


@pytest.mark.parametrize("window", WINDOWS)
def test_rows_are_counted_whatever_is_in_them(engine: duckdb.DuckDBPyConnection, window: str) -> None:
    empty = dict.fromkeys(("Country", "Shop", "Amount", "Points", "Weight", "Ordered", "Billed"))
    load(engine, [empty, {**empty, "Ordered": NOW}])
    count = 2.0 if window == "Lifetime" else 1.0
    assert list(calculated(engine, kpi_of("Count", "*", window)).values()) == [count]


def test_exact_where_doubles_would_lose(engine: duckdb.DuckDBPyConnection) -> None:
    row = dict.fromkeys(("Country", "Shop", "Points", "Weight", "Ordered", "Billed"))
    large, less = (
        Decimal("99999999999999999999.999999999999999999"),
        Decimal("-99999999999999999999.999999999999999999"),
    )
    load(engine, [{**row, "Amount": amount} for amount in (large, large, less, less, Decimal("0.3"))])
    assert calculated(engine, kpi_of("Sum", "Amount", "Lifetime")) == {(None, ()): 0.3}


HUGE = 1.7e308


@pytest.mark.parametrize(
    ("weights", "total", "average"),
    [
        ([HUGE, HUGE], None, HUGE),
        ([HUGE, HUGE, -HUGE], HUGE, HUGE / 3),
        ([-HUGE, -HUGE, HUGE], -HUGE, -HUGE / 3),
        ([HUGE, HUGE, -HUGE, -HUGE], 0.0, 0.0),
        ([HUGE, HUGE, -HUGE, -HUGE, 1.5], 1.5, 0.3),
        ([-HUGE] * 500 + [HUGE] * 500 + [2.0], 2.0, 2 / 1001),
        ([HUGE] * 1000, None, HUGE),
    ],
)
def test_doubles_that_leave_the_range_of_doubles_midway(
    engine: duckdb.DuckDBPyConnection, weights: list[float], total: float | None, average: float
) -> None:
    row = dict.fromkeys(("Country", "Shop", "Points", "Amount", "Ordered", "Billed"))
    load(engine, [{**row, "Weight": weight} for weight in weights])
    found = calculated(engine, kpi_of("Sum", "Weight", "Lifetime"))
    assert found == ({} if total is None else {(None, ()): pytest.approx(total, rel=1e-12)})
    found = calculated(engine, kpi_of("Avg", "Weight", "Lifetime"))
    assert found == {(None, ()): pytest.approx(average, rel=1e-12)}


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    weights=st.lists(
        st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([HUGE, -HUGE, 9e307, -9e307]), min_size=1
    )
)
def test_sums_of_any_doubles_are_near_the_exact_ones(engine: duckdb.DuckDBPyConnection, weights: list[float]) -> None:
    row = dict.fromkeys(("Country", "Shop", "Points", "Amount", "Ordered", "Billed"))
    load(engine, [{**row, "Weight": weight} for weight in weights])
    exact = sum(map(Fraction, weights), Fraction(0))
    error = sum(abs(Fraction(weight)) for weight in weights) / 2**50 + Fraction(5e-324)
    sums = list(calculated(engine, kpi_of("Sum", "Weight", "Lifetime")).values())
    if abs(exact) + error < Fraction(sys.float_info.max):
        assert abs(Fraction(sums[0]) - exact) <= error
    elif abs(exact) - error > Fraction(sys.float_info.max):
        assert sums == []
    (average,) = calculated(engine, kpi_of("Avg", "Weight", "Lifetime")).values()
    assert abs(Fraction(average) - exact / len(weights)) <= error / len(weights) + Fraction(5e-324)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=rows, after=rows, function=st.sampled_from(FUNCTIONS), window=st.sampled_from(WINDOWS))
def test_changes_turn_old_values_into_new_ones(
    engine: duckdb.DuckDBPyConnection,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    function: str,
    window: str,
) -> None:
    kpi = kpi_of(function, "Points", window, groupBy=["Country"])
    load(engine, before)
    old = calculated(engine, kpi)
    engine.execute("CREATE OR REPLACE TABLE written AS FROM calculated")
    load(engine, after)
    new = calculated(engine, kpi)
    changes = engine.execute(changes_sql(kpi, ORDER, "calculated", "FROM written", NOW)).fetchall()
    for _, country, start, value, calculated_at, deleted in changes:
        assert calculated_at == NOW
        assert deleted == (value is None)
        assert old.get((start, (country,))) != value
        if deleted:
            del old[(start, (country,))]
        else:
            old[(start, (country,))] = value
    assert old == new


def test_the_order_of_adding_is_no_change(engine: duckdb.DuckDBPyConnection) -> None:
    kpi = kpi_of("Sum", "Weight", "Lifetime")
    row = dict.fromkeys(("Country", "Shop", "Points", "Amount", "Ordered", "Billed"))
    load(engine, [{**row, "Weight": 100.0}])
    (value,) = calculated(engine, kpi).values()
    for written, is_change in ((math.nextafter(value, math.inf), False), (value + 1e-6, True)):
        present = f"SELECT * REPLACE ({written!r} AS Value) FROM calculated"
        changes = engine.execute(changes_sql(kpi, ORDER, "calculated", present, NOW)).fetchall()
        assert bool(changes) is is_change


def test_values_of_another_meaning_have_other_keys(engine: duckdb.DuckDBPyConnection) -> None:
    row = dict.fromkeys(("Points", "Amount", "Ordered", "Billed", "Weight"))
    load(engine, [{**row, "Country": "7", "Shop": 7}])
    keys = set()
    for group in ("Country", "Shop"):
        calculated(engine, kpi_of("Count", "*", "Lifetime", groupBy=[group]))
        keys |= {key for (key,) in engine.execute("SELECT _key FROM calculated").fetchall()}
    assert len(keys) == 2


def test_keys_of_long_groups_fit_into_a_token(engine: duckdb.DuckDBPyConnection) -> None:
    kpi = kpi_of("Count", "*", "Lifetime", groupBy=["Country"])
    groups = ["DE", "x" * 1000, *("ü" * 60_000 + end for end in "abc")]
    load(engine, [{"Country": group} for group in groups])
    assert len(calculated(engine, kpi)) == len(groups)
    found = engine.execute("SELECT Country, _key FROM calculated").fetchall()
    keys: dict[str, str] = dict(found)
    whole = {group: f'{meaning(kpi)}[null,"{group}"]' for group in groups}
    assert all(keys[group] == whole[group] for group in groups[:2])
    assert all(keys[group] > whole[group] for group in groups[2:])
    assert all(read_key(token) == key and len(token) < 2048 for key in keys.values() if (token := write_token(key)))


def test_a_changed_definition_has_another_meaning() -> None:
    kpi = kpi_of("Sum", "Amount", "Day", groupBy=["Country"])
    for changed in (
        kpi_of("Avg", "Amount", "Day", groupBy=["Country"]),
        kpi_of("Sum", "Points", "Day", groupBy=["Country"]),
        kpi_of("Sum", "Amount", "Week", groupBy=["Country"]),
        kpi_of("Sum", "Amount", "Day", groupBy=["Shop"]),
        kpi_of("Sum", "Amount", "Day", groupBy=["Country"], calculationWindowFieldName="Billed"),
    ):
        assert meaning(changed) != meaning(kpi)
    assert meaning(kpi_of("sum", "amount", "day", groupBy=["country"], unit="EUR")) == meaning(kpi)


@pytest.mark.parametrize(
    ("chosen", "stamp", "expected"),
    [("billed", "ordered", "Billed"), (None, "ordered", "Ordered"), (None, None, "_ingested_at")],
)
def test_the_field_that_places_rows_in_time(chosen: str | None, stamp: str | None, expected: str) -> None:
    kpi = kpi_of("Count", "*", "Day", calculationWindowFieldName=chosen)
    assert time_column(kpi, ORDER.model_copy(update={"timestamp_field_name": stamp})) == expected


@pytest.mark.parametrize(
    ("window", "time", "start"),
    [
        ("Week", datetime(2026, 11, 22, 23, 59, tzinfo=UTC), datetime(2026, 11, 16, tzinfo=UTC)),
        ("Week", datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)),
        ("Week", datetime(2025, 1, 1, tzinfo=UTC), datetime(2024, 12, 30, tzinfo=UTC)),
        ("Month", datetime(2024, 2, 29, 23, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)),
        ("Hour", datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC), datetime(2024, 2, 29, 23, tzinfo=UTC)),
        ("Day", datetime(2024, 3, 31, 2, 30, tzinfo=UTC) + timedelta(hours=1), datetime(2024, 3, 31, tzinfo=UTC)),
    ],
)
def test_edges_of_windows(engine: duckdb.DuckDBPyConnection, window: str, time: datetime, start: datetime) -> None:
    row = dict.fromkeys(("Country", "Shop", "Points", "Amount", "Weight", "Billed"))
    load(engine, [{**row, "Ordered": time}])
    assert calculated(engine, kpi_of("Count", "*", window)) == {(start, ()): 1.0}
