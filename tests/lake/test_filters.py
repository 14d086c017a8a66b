"""`$filter`: what it means, and what is refused; never a value in the SQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.entity_types import ProfileType
from shared.domain.errors import InvalidRequestError
from shared.lake.filters import condition
from shared.lake.schema import changes_schema
from tests.lake.given import profile_type

MORE: list[dict[str, Any]] = [
    {"fieldName": "Allowed", "fieldType": "Edm.Boolean"},
    {"fieldName": "AnyOther", "fieldType": "Edm.Int64"},
    {"fieldName": "Score", "fieldType": "Edm.Double"},
    {"fieldName": "Born", "fieldType": "Edm.Date"},
    {"fieldName": "Device", "fieldType": "Edm.Guid"},
]
CUSTOMER = profile_type(*MORE)
ROWS = [
    {
        "_key": "ada",
        "Name": "Ada O'Hara",
        "Age": 30,
        "Spend": Decimal("1.10"),
        "Tags": ["new", "Vip"],
        "SeenAt": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "Allowed": True,
        "AnyOther": 2**62,
        "Score": 0.5,
        "Born": datetime(1990, 5, 6, tzinfo=UTC).date(),
        "Device": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    },
    {"_key": "bo", "Name": "bo", "Age": -3, "Tags": [], "Allowed": False, "Spend": Decimal("99999999999999999999")},
    {"_key": "cy", "Name": "", "Tags": ["old"], "SeenAt": datetime(2026, 1, 2, tzinfo=UTC)},
    {"_key": "nil"},
]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("SET TimeZone = 'UTC'")
        made.register("rows", pa.Table.from_pylist(ROWS, schema=changes_schema(CUSTOMER)))
        yield made


def keys(connection: duckdb.DuckDBPyConnection, text: str) -> list[str]:
    sql, values = condition(text, CUSTOMER)
    return [row[0] for row in connection.execute(f"SELECT _key FROM rows WHERE {sql} ORDER BY 1", values).fetchall()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Name eq 'Ada O''Hara'", ["ada"]),
        ("name eq 'bo'", ["bo"]),
        ("Name ne 'bo'", ["ada", "cy", "nil"]),
        ("Name eq null", ["nil"]),
        ("Name ne null", ["ada", "bo", "cy"]),
        ("Name eq ''", ["cy"]),
        ("Age gt -4 and Age lt 30", ["bo"]),
        ("not (Age gt 0)", ["bo", "cy", "nil"]),
        ("Age in (30, -3)", ["ada", "bo"]),
        ("Age in (30, null)", ["ada", "cy", "nil"]),
        ("Age ge 29.5", ["ada"]),
        ("Spend eq 1.1", ["ada"]),
        ("Spend lt 1.100000000000000001", ["ada"]),
        ("Spend ge 99999999999999999999", ["bo"]),
        ("Spend lt 1e300", ["ada", "bo"]),
        ("Spend gt 99999999999999999999999999", []),
        ("AnyOther eq 4611686018427387904", ["ada"]),
        ("Allowed eq true", ["ada"]),
        ("Allowed", ["ada"]),
        ("not Allowed eq true", ["bo", "cy", "nil"]),
        ("Score le 0.5", ["ada"]),
        ("SeenAt ge 2026-01-02T03:04:05Z", ["ada"]),
        ("SeenAt eq 2026-01-02T05:04:05+02:00", ["ada"]),
        ("SeenAt eq 2026-01-02", ["cy"]),
        ("SeenAt gt 2026-01-02T00:00:00", ["ada"]),
        ("Born eq 1990-05-06", ["ada"]),
        ("Born lt 1990-05-06T00:00:01Z", ["ada"]),
        ("Device eq 3F2504E0-4F89-11D3-9A0C-0305E82C3301", ["ada"]),
        ("Device eq '3F2504e0-4f89-11d3-9a0c-0305e82c3301'", ["ada"]),
        ("contains(Name, 'O''H') or startswith(Name, 'b')", ["ada", "bo"]),
        ("endswith(tolower(Name), 'hara')", ["ada"]),
        ("length(Name) eq 2 and indexof(Name, 'o') eq 1", ["bo"]),
        ("concat(Name, 'x') eq 'box'", ["bo"]),
        ("year(SeenAt) eq 2026 and hour(SeenAt) eq 3", ["ada"]),
        ("month(Born) eq 5", ["ada"]),
        ("date(SeenAt) eq 2026-01-02", ["ada", "cy"]),
        ("round(Spend) eq 1", ["ada"]),
        ("Tags/any(t: t eq 'new')", ["ada"]),
        ("Tags/any(name: tolower(name) eq 'vip')", ["ada"]),
        ("Tags/all(t: t ne 'new')", ["bo", "cy"]),
        ("Tags/any()", ["ada", "cy"]),
        ("Tags eq null", ["nil"]),
        ("Name eq 'bo' or Name eq '' and Age eq 1", ["bo"]),
        (" or ".join(["Name eq 'bo'"] * 400), ["bo"]),
        ("(" * 3000 + "Age eq 30" + ")" * 3000, ["ada"]),
    ],
)
def test_a_filter_means_what_odata_says(connection: duckdb.DuckDBPyConnection, text: str, expected: list[str]) -> None:
    assert keys(connection, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Name",
        "Nmae eq 'x'",
        "_key eq 'x'",
        "_deleted eq true",
        "Name eq 3",
        "Age eq '3'",
        "Age gt null and Tags gt 3",
        "SeenAt eq '2026-01-01'",
        "Born eq 2026-02-30",
        "Allowed gt false",
        "Tags eq 'new'",
        "Name/any(t: t eq 'x')",
        "Tags/any(t: Tags/any(u: u eq 'x'))",
        "length(Age) eq 3",
        "startswith(Name)",
        "matchesPattern(Name, 'x')",
        "geo.length(Name) eq 3",
        "bogus(Name)",
        "Name eq 'x",
        'Name eq "x"',
        "Name eq 'x'; DROP TABLE rows",
        "Age add 1 eq 2",
        "-Age eq 3",
        "Age eq duration'P1D'",
        "Person/Name eq 'x'",
        "Name eq 'x' and",
        "not " * 1500 + "Allowed",
        "Name eq '" + "x" * 9000 + "'",
    ],
)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        condition(text, CUSTOMER)
    assert refused.value.details[0].target == "$filter"


@settings(deadline=None)
@given(text=st.text(max_size=20), number=st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_every_literal_is_bound(text: str, number: int | Decimal) -> None:
    quoted = text.replace("'", "''")
    sql, values = condition(f"Name eq '{quoted}' and Score gt {number:f}", CUSTOMER)

    assert sql == condition("Name eq 'x' and Score gt 1", CUSTOMER)[0]
    assert values[0] == text
    assert float(values[1]) == pytest.approx(float(number))


def test_names_of_other_types_are_unknown() -> None:
    other = ProfileType.model_validate(
        {
            "typeName": "Other",
            "fields": [{"fieldName": "OtherId", "fieldType": "Edm.String"}],
            "strongIds": [{"strongIdName": "Id", "keyPropertyNames": ["OtherId"]}],
        }
    )
    with pytest.raises(InvalidRequestError, match="no field 'Name'"):
        condition("Name eq 'x'", other)
