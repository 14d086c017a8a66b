"""Names made from columns and files: always allowed, never twice, and readable where that is possible."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.documents.fields import Field, FieldType
from shared.domain.names import NAME_PATTERN
from shared.suggest.name_fields import definition_name, field_names, id_rank, words
from tests.growth import LINEAR, growth


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("customer_id", "CustomerId"),
        ("customerId", "CustomerId"),
        ("CUSTOMER ID", "CUSTOMERID"),
        ("HTTPStatus", "HTTPStatus"),
        (" e-mail ", "EMail"),
        ("Straße", "Strasse"),
        ("Łódź", "Lodz"),
        ("2024", "Field2024"),
        ("n", "FieldN"),
        ("客户", "Column1"),
        ("!", "Column1"),
        ("refresh", "Refresh2"),
        ("x" * 500, "X" + "x" * 59),
    ],
)
def test_fields(column: str, field: str) -> None:
    assert field_names([column], [0]) == [field]


@given(st.lists(st.text(max_size=200) | st.sampled_from(["id", "ID", "Id2", "kind", "Refresh", "1", "1a", "é"])))
def test_every_list_of_columns_makes_fields(columns: list[str]) -> None:
    names = field_names(columns, list(range(len(columns))))
    assert len({name.casefold() for name in names}) == len(columns)
    for name in names:
        Field(field_name=name, field_type=FieldType.STRING)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("customers-2026-11-22", "Customers"),
        ("2026", "Profile"),
        ("", "Profile"),
        ("a", "Profile"),
        ("über uns", "UberUns"),
        ("taken", "Taken2"),
    ],
)
def test_definitions(stem: str, name: str) -> None:
    assert definition_name(stem, "Profile", {"taken"}) == name


@given(st.text(max_size=300), st.sets(st.sampled_from(["profile", "profile2", "a", "x"])))
def test_every_file_makes_a_definition(stem: str, taken: set[str]) -> None:
    name = definition_name(stem, "Profile", taken)
    assert re.fullmatch(NAME_PATTERN.strip("^$"), name)
    assert name.casefold() not in taken


@pytest.mark.parametrize(
    ("column", "rank"),
    [
        ("id", 0),
        ("order_id", 0),
        ("OrderID", 0),
        ("guid", 0),
        ("key", 0),
        ("customer key", 1),
        ("customerid", 1),
        ("email", 2),
        ("Kunden-Nr", 2),
        ("paid", None),
        ("valid", None),
        ("name", None),
        ("", None),
    ],
)
def test_what_is_called_an_id(column: str, rank: int | None) -> None:
    assert id_rank(column) == rank


@pytest.mark.parametrize("part", ["\u0315\u0300", "aB", "\ufdfa", "1a"])
def test_the_time_does_not_grow_with_what_nobody_reads(part: str) -> None:
    assert growth(words, lambda size: part * size, largest=256_000) < LINEAR
