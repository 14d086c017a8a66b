"""Which columns a file has, by what was chosen."""

import pytest

from shared.domain.documents.entity_types import InteractionType, ProfileType
from shared.domain.documents.kpis import Kpi
from shared.domain.errors import InvalidRequestError
from shared.outbound.columns import kpi_columns, profile_columns
from tests.outbound.conftest import CUSTOMER, ORDER

TYPE = ProfileType.model_validate(CUSTOMER)
ORDERS = InteractionType.model_validate(ORDER)
KPI = Kpi.model_validate(
    {
        "entityType": "Interaction",
        "entityTypeName": "Order",
        "calculationWindow": "Day",
        "function": "Count",
        "expression": "*",
        "groupBy": ["country", "OrderId"],
    }
)
ADDED = ["Timestamp", "Value", "CalculationTime"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([], ["Id", "City", "Points", "Tags", "Seen"]),
        (["seen", "ID"], ["Seen", "Id"]),
        (["Id", "id"], ["Id"]),
        (["System_ProcessingTime", "Id"], ["Id"]),
    ],
)
def test_columns_of_profiles(chosen: list[str], expected: list[str]) -> None:
    columns = profile_columns(TYPE, chosen)
    assert [column.name for column in columns] == [*expected, "System_ProcessingTime"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([], ["Country", "OrderId"]),
        (["OrderId"], ["OrderId"]),
        (["value", "orderid", "COUNTRY"], ["OrderId", "Country"]),
        (["Value"], []),
    ],
)
def test_columns_of_kpis(chosen: list[str], expected: list[str]) -> None:
    assert [column.name for column in kpi_columns(KPI, ORDERS, chosen)] == [*expected, *ADDED]


def test_what_was_written_down_reads_back_the_same() -> None:
    for chosen in ([], ["OrderId"], ["Value"]):
        columns = kpi_columns(KPI, ORDERS, chosen)
        assert kpi_columns(KPI, ORDERS, [column.name for column in columns]) == columns
    columns = profile_columns(TYPE, ["Tags"])
    assert profile_columns(TYPE, [column.name for column in columns]) == columns


def test_a_field_that_is_gone_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="'shoesize'"):
        profile_columns(TYPE, ["Id", "ShoeSize"])
    with pytest.raises(InvalidRequestError, match="'amount'"):
        kpi_columns(KPI, ORDERS, ["Amount"])
