"""KPIs: over a type that exists, and fields that fit."""

from typing import Any

import pytest

from shared.definitions.definitions import Definitions
from shared.definitions.store.definition_store import Conditions
from shared.domain.errors import ConflictError, InvalidRequestError, NotFoundError, PreconditionError
from tests.definitions.samples import interaction, kpi, outbound, profile


@pytest.fixture
def typed(definitions: Definitions, hub: str) -> Definitions:
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.put_entity_type(hub, "Order", interaction())
    return definitions


def test_a_kpi_is_stored_in_the_spelling_of_its_type(typed: Definitions, hub: str) -> None:
    stored, created = typed.put_kpi(
        hub, "Ages", kpi("CUSTOMER", expression=" age ", groupBy=["CUSTOMERID"], calculationWindowFieldName="born")
    )
    assert created
    document = stored.document
    assert (document.kpi_name, document.entity_type_name, document.expression) == ("Ages", "Customer", "Age")
    assert (document.group_by, document.calculation_window_field_name) == (["CustomerId"], "Born")
    assert document.tenant_id == "Contoso"
    assert typed.kpi("contoso", "AGES") == stored
    assert typed.kpis(hub) == [stored]


def test_a_replaced_kpi_keeps_name_instance_and_creation(typed: Definitions, hub: str) -> None:
    first, _ = typed.put_kpi(hub, "Ages", kpi())
    second, created = typed.put_kpi(hub, "ages", kpi(function="Max"))
    assert not created
    assert (second.document.kpi_name, second.instance_id) == ("Ages", first.instance_id)
    assert second.document.created == first.document.created


def test_a_count_needs_no_field(typed: Definitions, hub: str) -> None:
    body = {"entityType": "Interaction", "function": "Count", "expression": "*", "groupBy": ["OrderId"]}
    assert typed.put_kpi(hub, "Orders", kpi("order", **body))[0].document.expression == "*"


@pytest.mark.parametrize(
    ("type_name", "more", "targets"),
    [
        ("Nobody", {}, ["entityTypeName"]),
        ("Order", {}, ["entityTypeName"]),
        ("Customer", {"expression": "Nothing"}, ["expression"]),
        ("Customer", {"expression": "CustomerId"}, ["expression"]),
        (
            "Customer",
            {"expression": "Tags", "groupBy": ["Nothing", "Tags"], "calculationWindowFieldName": "Age"},
            ["expression", "groupBy[0]", "groupBy[1]", "calculationWindowFieldName"],
        ),
        ("Customer", {"description": "Password=MARKER"}, ["description"]),
    ],
)
def test_what_does_not_fit_is_named(
    typed: Definitions, hub: str, type_name: str, more: dict[str, Any], targets: list[str]
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        typed.put_kpi(hub, "Ages", kpi(type_name, **more))
    assert [fault.target for fault in refused.value.details] == targets
    assert "MARKER" not in str(refused.value)
    assert typed.kpis(hub) == []


def test_a_kpi_that_is_exported_is_not_deleted(typed: Definitions, hub: str, partner_sas: str) -> None:
    typed.put_kpi(hub, "Ages", kpi())
    typed.connectors.put(hub, "Partner", outbound(partner_sas, [{"entityType": "KPI", "entityName": "AGES"}]))
    with pytest.raises(ConflictError, match="Partner") as refused:
        typed.delete_kpi(hub, "ages")
    assert refused.value.code == "InUse"
    typed.connectors.delete(hub, "Partner")
    typed.delete_kpi(hub, "ages")
    typed.delete_kpi(hub, "ages")
    with pytest.raises(NotFoundError) as missing:
        typed.kpi(hub, "Ages")
    assert missing.value.code == "KpiNotFound"


def test_conditions_are_honoured(typed: Definitions, hub: str) -> None:
    stored, _ = typed.put_kpi(hub, "Ages", kpi())
    typed.put_kpi(hub, "Ages", kpi(), Conditions(if_match=stored.etag))
    with pytest.raises(PreconditionError):
        typed.put_kpi(hub, "Ages", kpi(), Conditions(if_match=stored.etag))
    with pytest.raises(PreconditionError):
        typed.delete_kpi(hub, "Ages", Conditions(if_match=stored.etag))
