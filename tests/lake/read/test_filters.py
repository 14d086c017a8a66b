"""`$filter`: what it means, and what is refused; never a value in the SQL."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.documents.entity_types import ProfileType
from shared.domain.errors import InvalidRequestError
from shared.expressions.odata_filter import condition
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
    found = condition(text, CUSTOMER)
    query = f"SELECT _key FROM rows WHERE {found.sql} ORDER BY 1"
    return [row[0] for row in connection.execute(query, found.values).fetchall()]


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
        ("Age in (30)", ["ada"]),
        ("not (Age in ( -3 )) and Age IN (30,) or (Name) in ((tolower('BO')))", ["ada", "bo"]),
        ("Age in (30, null)", ["ada", "cy", "nil"]),
        ("Age ge 29.5", ["ada"]),
        ("Spend eq 1.1", ["ada"]),
        ("Spend lt 1.100000000000000001", ["ada"]),
        ("Spend ge 99999999999999999999", ["bo"]),
        ("Spend lt 1e300", ["ada", "bo"]),
        ("Spend gt 99999999999999999999999999", []),
        ("Spend lt 1.1000000000000000001", ["ada"]),
        ("Spend le 1.0999999999999999999", []),
        ("Spend ge 1.1000000000000000001", ["bo"]),
        ("Spend eq 1.1000000000000000001", []),
        ("Spend ne 1.1000000000000000001", ["ada", "bo", "cy", "nil"]),
        ("Spend in (1.1000000000000000001, 1.10)", ["ada"]),
        ("1.0999999999999999999 lt Spend", ["ada", "bo"]),
        ("Spend gt -99999999999999999999.9999999999999999999", ["ada", "bo"]),
        ("Spend le -1e300", []),
        ("Spend ge -1e999999999", ["ada", "bo"]),
        ("Spend gt 1e-999999999 and Spend lt 1e999999999", ["ada", "bo"]),
        ("Age gt 29.9999999999999999999999", ["ada"]),
        ("Age lt 30.0000000000000000000001", ["ada", "bo"]),
        ("Age eq 30.0000000000000000000001", []),
        ("Age lt -2.9999999999999999999999", ["bo"]),
        ("AnyOther gt 4611686018427387903.99999999999999999999", ["ada"]),
        ("AnyOther ge 4611686018427387904.00000000000000000001", []),
        ("floor(AnyOther) lt 4611686018427387905", ["ada"]),
        ("round(AnyOther) eq 4611686018427387905", []),
        ("AnyOther lt 1e30", ["ada"]),
        ("round(Spend) gt 0.99999999999999999999999", ["ada", "bo"]),
        ("round(Spend) le Spend", ["ada", "bo"]),
        ("ceiling(Spend) gt Age", ["bo"]),
        ("Score eq 0.50000000000000000000001", ["ada"]),
        ("Score lt 1e999", ["ada"]),
        ("Score gt Spend", []),
        ("Spend lt AnyOther", ["ada"]),
        ("1.00000000000000000000001 gt 1", ["ada", "bo", "cy", "nil"]),
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
        ("Tags/any(t: t in ('new', 'old'))", ["ada", "cy"]),
        ("Tags/any(t: t eq Name)", []),
        ("Tags/any()", ["ada", "cy"]),
        ("tolower(Name) in ('ada o''hara', 'bo', null)", ["ada", "bo", "nil"]),
        ("Name in ('', 'bo', Name)", ["ada", "bo", "cy", "nil"]),
        ("tolower(Name) in (" + ", ".join(f"'{n}'" for n in range(900)) + ", 'bo')", ["bo"]),
        ("Device in (3F2504E0-4F89-11D3-9A0C-0305E82C3301, null, '')", ["ada", "bo", "cy", "nil"]),
        ("Device ne '3F2504e0-4f89-11d3-9a0c-0305e82c3301'", ["bo", "cy", "nil"]),
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
        "tolower(" * 100 + "Name" + ")" * 100 + " eq 'x'",
        " or ".join(["contains(tolower(Name), 'x')"] * 100),
        " or ".join(["contains(Name, 'x')"] * 100),
        " or ".join(["indexof(Name, 'x') gt 1"] * 100),
        "concat(Name, " * 20 + "Name" + ")" * 20 + " eq 'x'",
        "concat(" * 3 + "Name" + f", '{'x' * 2000}')" * 3 + " eq 'x'",
        " or ".join(["Tags/any(t: t eq 'x')"] * 100),
        "Tags/any(t: concat(t, t) eq 'x')",
        "Tags/any(t: contains(Name, t))",
        "Tags/any(t: tolower(Name) eq t)",
        "Tags/any(t: length(Name) eq 3)",
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
    found = condition(f"Name eq '{quoted}' and Score gt {number:f}", CUSTOMER)

    assert found.sql == condition("Name eq 'x' and Score gt 1", CUSTOMER).sql
    assert found.values[0] == text
    assert float(found.values[1]) == pytest.approx(float(number))


@pytest.mark.parametrize(
    "text",
    [
        f"{'N' * 5000} eq 'x'",
        f"{'n' * 5000}(Name)",
        f"Person/{'N' * 5000} eq 'x'",
        f"Name eq '{'x' * 5000}",
        f"Name eq {'9' * 5000}",
        f"Name eq '{'x' * 5000}' and Bogus",
    ],
)
def test_a_message_repeats_little_of_a_filter(text: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        condition(text, CUSTOMER)
    assert all(len(fault.message) < 400 for fault in refused.value.details)


EXACT: dict[str, st.SearchStrategy[Decimal | int]] = {
    "Spend": st.decimals(-(10**20) + 1, 10**20 - 1, places=18),
    "AnyOther": st.integers(-(2**63), 2**63 - 1),
}
SIGNS: dict[str, Callable[[Any, Any], bool]] = {"lt": lt, "le": le, "gt": gt, "ge": ge, "eq": eq, "ne": ne}


@given(
    field=st.sampled_from(sorted(EXACT)),
    sign=st.sampled_from(sorted(SIGNS)),
    is_first=st.booleans(),
    data=st.data(),
)
def test_numbers_that_are_written_out_compare_exactly(
    connection: duckdb.DuckDBPyConnection, field: str, sign: str, is_first: bool, data: st.DataObject
) -> None:
    value = Decimal(data.draw(EXACT[field]))
    near = st.sampled_from(["", ".0000000000000000000001", ".9999999999999999999999"]).map(
        lambda rest: Decimal(f"{value:f}{rest}" if "." not in f"{value:f}" else f"{value:f}{rest[1:]}")
    )
    number = data.draw(
        near | st.decimals(allow_nan=False, allow_infinity=False).filter(lambda n: abs(n.adjusted()) < 40)
    )
    found = condition(f"{number:f} {sign} {field}" if is_first else f"{field} {sign} {number:f}", CUSTOMER)
    column = "?::DECIMAL(38, 18)" if field == "Spend" else "?::BIGINT"
    query = f'SELECT {found.sql} FROM (SELECT {column} AS "{field}")'
    # The column's value comes last in the text of the query.
    answer = connection.execute(query, [*found.values, value if field == "Spend" else int(value)]).fetchall()[0][0]
    assert answer is SIGNS[sign](*((number, value) if is_first else (value, number)))


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
