"""A real file that nobody here wrote: 6,919 purchases of 2,357 customers of CDNOW, 1997 to 1998."""

import re
import zipfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from tests.acceptance.hub import Hub, wait_for

ARCHIVES = sorted((Path(__file__).parents[2] / ".cache" / "lifetimes").glob("[Ll]ifetimes-*.whl"))
PURCHASE = {"Customer": "column1", "Sample": "column2", "Date": "column3", "Cds": "column4", "Dollars": "column5"}


@pytest.fixture(scope="module")
def purchases() -> list[list[str]]:
    """The file's rows; its columns stand apart by blanks, so they are told apart here and written as CSV."""
    if not ARCHIVES:
        pytest.skip("the sample is not downloaded; `make test` does it")
    with zipfile.ZipFile(ARCHIVES[0]) as archive:
        text = archive.read("lifetimes/datasets/CDNOW_sample.txt").decode("ascii")
    return [re.split(r" +", line.strip()) for line in text.splitlines()]


def test_the_cdnow_sample_goes_through(hub: Hub, purchases: list[list[str]]) -> None:
    fields = {
        "Customer": "Edm.String",
        "Sample": "Edm.String",
        "Date": "Edm.Date",
        "Cds": "Edm.Int32",
        "Dollars": "Edm.Decimal",
    }
    listed = [{"fieldName": name, "fieldType": kind} for name, kind in fields.items()]
    hub.put("/interactions/Purchase", {"fields": listed, "timestampFieldName": "Date"})
    hub.profile_type("Customer", Customer="Edm.String", Sample="Edm.String")
    kpi = {"entityType": "Interaction", "entityTypeName": "Purchase"}
    lifetime = {**kpi, "calculationWindow": "Lifetime"}
    hub.put("/kpi/Revenue", {**lifetime, "function": "Sum", "expression": "Dollars"})
    hub.put("/kpi/Customers", {**lifetime, "function": "CountDistinct", "expression": "Customer"})
    hub.put("/kpi/Spent", {**lifetime, "function": "Sum", "expression": "Dollars", "groupBy": ["Customer"]})
    hub.put("/kpi/PerMonth", {**kpi, "calculationWindow": "Month", "function": "Count", "expression": "*"})
    dates = {"formats": {"Date": "yyyyMMdd"}, "hasHeader": False}
    hub.mapping("Purchases", PURCHASE, kind="Interaction", type_name="Purchase", **dates)
    hub.mapping("Customers", {"Customer": "column1", "Sample": "column2"}, hasHeader=False)
    hub.upload("cdnow.csv", "".join(f"{','.join(row)}\n" for row in purchases))

    for mapping in ("Purchases", "Customers"):
        run = hub.run_of("cdnow.csv", mapping=mapping)
        assert (run["state"], run["rowsIngested"]) == ("Succeeded", 6919)
    assert len(hub.data("Purchase")) == 6919
    assert {row["Customer"]: row["Sample"] for row in hub.data("Customer")} == {row[0]: row[1] for row in purchases}

    hub.fire("export_kpis")
    spent: dict[str, Decimal] = defaultdict(Decimal)
    months: dict[str, int] = defaultdict(int)
    for customer, _, date, _, dollars in purchases:
        spent[customer] += Decimal(dollars)
        months[f"{date[:4]}-{date[4:6]}-01T00:00:00Z"] += 1
    wait_for(lambda: len(hub.values("/data/KPIs/Spent")) == 2357, "the KPI per customer")
    wait_for(lambda: bool(hub.values("/data/KPIs/PerMonth")), "the KPI per month")
    assert {row["Customer"]: row["Value"] for row in hub.values("/data/KPIs/Spent")} == pytest.approx(
        {customer: float(total) for customer, total in spent.items()}
    )
    assert {row["Timestamp"]: row["Value"] for row in hub.values("/data/KPIs/PerMonth")} == months
    (revenue,) = hub.values("/data/KPIs/Revenue")
    assert revenue["Value"] == pytest.approx(float(sum(spent.values())))
    (customers,) = hub.values("/data/KPIs/Customers")
    assert customers["Value"] == 2357
