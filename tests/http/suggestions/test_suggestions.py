"""Suggestions from real files: what is proposed is PUT as it stands, and takes in every row of the file."""

import gzip
from typing import Any

import pytest

from tests.http.bodies import Body
from tests.http.routes.landing import Landing, noted, types

CUSTOMERS = """customer_id,E-Mail,full name,born,points,balance,opted_in,zip,phone,joined,token
C1,a@example.org,Ann,1990-02-28,12,10.50,true,01099,+31201234,2026-01-31T10:00:00Z,0f8fad5b-d9cb-469f-a165-70867728950e
C2,b@example.org,"Bob, Jr.",1985-12-01,-3,0.5,FALSE,10117,+4930123,2026-02-01,7c9e6679-7425-40de-944b-e07fc1f90ae7
C3,,Ann,,4000000000,7,true,80331,,2026-02-01T23:59:59.25+01:00,
"""


def test_a_customer_file(landing: Landing) -> None:
    found = landing.suggest("crm/customers-2026-11-22.csv", CUSTOMERS)
    assert types(found) == {
        "customer_id": "String",
        "E-Mail": "String",
        "full name": "String",
        "born": "Date",
        "points": "Int64",
        "balance": "Decimal",
        "opted_in": "Boolean",
        "zip": "String",
        "phone": "String",
        "joined": "DateTimeOffset",
        "token": "Guid",
    }
    assert found["blob"] == f"{landing.container.container_name}/crm/customers-2026-11-22.csv"
    assert (found["rowsRead"], found["rejects"]) == (3, [])
    assert (found["type"]["entityType"], found["type"]["name"], found["mapping"]["name"]) == (
        "Profile",
        "Customers",
        "Customers",
    )
    assert found["type"]["body"]["strongIds"] == [{"strongIdName": "Main", "keyPropertyNames": ["CustomerId"]}]
    properties = found["mapping"]["body"]["mappingProperties"]
    assert properties["folderPath"] == f"{landing.container.container_name}/crm"
    assert properties["fileFilter"] == "customers-*.csv"
    assert "format" not in properties
    counts = {column["columnName"]: (column["distinct"], column["empty"]) for column in found["columns"]}
    assert (counts["customer_id"], counts["full name"], counts["E-Mail"]) == ((3, 0), (2, 0), (2, 1))
    assert "'zip'" in noted(found, "leading zeros")
    rows = {row["CustomerId"]: row for row in landing.check(found, 3)}
    assert rows["C3"]["Points"] == 4000000000
    assert (rows["C1"]["Zip"], rows["C2"]["FullName"], rows["C2"]["OptedIn"]) == ("01099", "Bob, Jr.", False)


def test_an_orders_file(landing: Landing) -> None:
    rows = [f"O{n},C{n % 4},2026-11-{n % 28 + 1:02}T10:00:00Z,{n}.5" for n in range(120)]
    found = landing.suggest("orders.csv", "\n".join(["order_id,customer_id,ordered_at,amount", *rows]))
    assert found["type"]["entityType"] == "Interaction"
    body = found["type"]["body"]
    assert (body["idPropertyNames"], body["timestampFieldName"]) == (["OrderId"], "OrderedAt")
    assert "'customer_id'" in noted(found, "entityType")
    landing.check(found, 120)


def test_the_callers_kind_wins(landing: Landing) -> None:
    text = "order_id,customer_id,ordered_at\n1,C1,2026-11-01T10:00:00Z\n2,C1,2026-11-02T10:00:00Z\n"
    found = landing.suggest("orders.csv", text, entityType="profile")
    assert found["type"]["body"]["strongIds"][0]["keyPropertyNames"] == ["OrderId"]
    assert "timestampFieldName" not in found["type"]["body"]
    landing.check(found, 2)
    found = landing.suggest("people.csv", "id,name\n1,Ann\n2,Bob\n", entityType="Interaction")
    assert found["type"]["body"]["idPropertyNames"] == ["Id"]
    landing.check(found, 2)


def test_german_numbers_and_dates_behind_semicolons(landing: Landing) -> None:
    text = "Kunden-Nr;Größe;Umsatz;Stück;Kauf\nK1;1,80;1.250,00;7;13.02.2026\nK2;0,5;19,9;1;01.12.2025\n"
    found = landing.suggest("kunden.csv", text)
    properties = found["mapping"]["body"]["mappingProperties"]
    assert properties["format"] == {"columnDelimiter": ";", "acceptLanguage": "de-DE"}
    assert types(found) == {
        "Kunden-Nr": "String",
        "Größe": "Decimal",
        "Umsatz": "Decimal",
        "Stück": "Int32",
        "Kauf": "Date",
    }
    assert [column["fieldName"] for column in found["columns"]] == ["KundenNr", "Grosse", "Umsatz", "Stuck", "Kauf"]
    assert properties["structure"][4]["customFormatSpecifier"] == "dd.MM.yyyy"
    noted(found, "de-DE")
    rows = {row["KundenNr"]: row for row in landing.check(found, 2)}
    assert float(rows["K1"]["Umsatz"]) == 1250
    assert rows["K2"]["Kauf"] == "2025-12-01"


@pytest.mark.parametrize(
    ("encode", "declared", "word"),
    [
        (lambda text: text.encode("cp1252"), {"encoding": "cp1252"}, "cp1252"),
        (lambda text: text.encode("utf-16-le"), {"encoding": "utf-16-le"}, "every second byte"),
        (lambda text: text.encode("utf-16-be"), {"encoding": "utf-16-be"}, "every second byte"),
        (lambda text: text.encode("utf-8-sig"), None, "utf-8"),
        (lambda text: text.encode("utf-16"), None, "utf-16-le"),
        (lambda text: gzip.compress(text.encode()), None, "utf-8"),
    ],
    ids=["cp1252", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-16", "gzip"],
)
def test_encodings(landing: Landing, encode: Any, declared: Body | None, word: str) -> None:
    data = encode("id,stadt\n1,München\n2,Århus\n")
    name = "städte.csv.gz" if data.startswith(b"\x1f\x8b") else "städte.csv"
    found = landing.suggest(name, data)
    assert found["mapping"]["body"]["mappingProperties"].get("format") == declared
    assert word in noted(found, "encoding")
    assert found["type"]["name"] == "Stadte"
    assert {row["Stadt"] for row in landing.check(found, 2)} == {"München", "Århus"}


def test_a_bad_byte_among_good_letters_is_a_reject_and_no_other_encoding(landing: Landing) -> None:
    found = landing.suggest("a.csv", "id,city\n1,Köln\n2,Zürich\n".encode() + b"3,K\xf6ln\n")
    assert "format" not in found["mapping"]["body"]["mappingProperties"]
    assert [(reject["line"], reject["code"]) for reject in found["rejects"]] == [(4, "BadBytes")]
    assert found["rowsRead"] == 2
    run = landing.take(found)
    assert (run.rows_ingested, run.rows_rejected) == (2, 1)


@pytest.mark.parametrize(("delimiter", "declared"), [(",", None), (";", ";"), ("\t", "\t"), ("|", "|")])
def test_delimiters(landing: Landing, delimiter: str, declared: str | None) -> None:
    rows = [["id", "text", "n"], ["1", '"a,b;c|d\te ""x"""', "5"], ["2", "plain", "6"]]
    found = landing.suggest("a.csv", "\r\n".join(delimiter.join(row) for row in rows))
    form = found["mapping"]["body"]["mappingProperties"].get("format", {})
    assert form.get("columnDelimiter") == declared
    assert {row["Text"] for row in landing.check(found, 2)} == {'a,b;c|d\te "x"', "plain"}


def test_what_is_given_is_not_guessed(landing: Landing) -> None:
    text = "a,b;c\n1,5;2\n"
    found = landing.suggest("a.csv", text, format={"columnDelimiter": ",", "encoding": "latin-1", "acceptLanguage": ""})
    form = found["mapping"]["body"]["mappingProperties"]["format"]
    assert form == {"columnDelimiter": ",", "encoding": "latin-1", "acceptLanguage": ""}
    assert list(types(found)) == ["a", "b;c"]
    assert not [note for note in found["notes"] if note.startswith(("columnDelimiter", "encoding"))]


def test_no_unique_column(landing: Landing) -> None:
    found = landing.suggest("visits.csv", "page,seconds\n/home,1\n/home,1\n/help,2\n")
    body = found["type"]["body"]
    assert found["type"]["entityType"] == "Interaction"
    assert "idPropertyNames" not in body
    landing.check(found, 3)


def test_two_columns_that_are_unique_together(landing: Landing) -> None:
    text = "order_id,line,sku,n\nO1,1,A,1\nO1,2,B,1\nO2,1,A,3\nO2,2,B,1\n"
    found = landing.suggest("lines.csv", text)
    assert found["type"]["entityType"] == "Interaction"
    assert found["type"]["body"]["idPropertyNames"] == ["OrderId", "Sku"]
    landing.check(found, 4)
    found = landing.suggest("lines2.csv", text, entityType="Profile")
    assert found["type"]["name"] == "Lines2"
    assert found["type"]["body"]["strongIds"][0]["keyPropertyNames"] == ["OrderId", "Sku"]
    landing.check(found, 4)


def test_keys_that_collide_when_joined_are_no_pair(landing: Landing) -> None:
    found = landing.suggest("a.csv", "x_id,y_id\na_b,c\na,b_c\na,c\na_b,b_c\n")
    assert "idPropertyNames" not in found["type"]["body"]
    landing.check(found, 4)


def test_a_profile_without_a_unique_column_says_so(landing: Landing) -> None:
    found = landing.suggest("a.csv", "city,country\nBonn,DE\nBonn,DE\n,DE\n", entityType="Profile")
    assert found["type"]["body"]["strongIds"][0]["keyPropertyNames"] == ["Country"]
    assert "become one profile" in noted(found, "key")
    assert landing.take(found).rows_ingested == 3
    assert len(landing.data(found)) == 1


def test_odd_header_names(landing: Landing) -> None:
    header = [
        "  id ",
        "2024 total",
        "kind",
        "Kind!",
        "x",
        "客户",
        "twice",
        "twice",
        "",
        "a_b",
        "aB",
        "password=hunter2",
    ]
    rows = [[str(n), *(f"v{n}" for _ in header[1:])] for n in range(3)]
    text = "\n".join(",".join(row) for row in [header, *rows])
    found = landing.suggest("1.csv", text)
    assert {column["columnName"]: column["fieldName"] for column in found["columns"]} == {
        "  id ": "Id",
        "2024 total": "Field2024Total",
        "kind": "Kind2",
        "Kind!": "Kind3",
        "x": "FieldX",
        "客户": "Column6",
        "a_b": "AB",
        "aB": "AB2",
    }
    assert "'twice'" in noted(found, "more than one column")
    assert "'column 9'" in noted(found, "no name")
    assert "'column 12'" in noted(found, "password")
    assert "hunter2" not in str(found)
    assert (found["type"]["name"], found["mapping"]["name"]) == ("Profile", "Mapping")
    landing.check(found, 3)


def test_names_that_are_taken_are_not_proposed(landing: Landing) -> None:
    text = "id,n\n1,2\n"
    first = landing.suggest("kpis/KPIs.csv", text)
    assert first["type"]["name"] == "KPIs2"
    landing.check(first, 1)
    second = landing.suggest("kpis/KPIs.csv", text)
    assert (second["type"]["name"], second["mapping"]["name"]) == ("KPIs3", "KPIs2")
    landing.check(second, 1)


@pytest.mark.parametrize(
    "path", ["a[1]*?.csv", "x://y/a.csv", "a//b.csv", "password=x/sig=y.csv", "2026/11/22", "ä/ö ü.CSV", "v1.2.csv"]
)
def test_the_mapping_takes_the_very_file(landing: Landing, path: str) -> None:
    landing.check(landing.suggest(path, "id,n\n1,2\n3,4\n"), 2)
