"""Suggestions from real files: what is proposed is PUT as it stands, and takes in every row of the file."""

import csv
import gzip
import io
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.app import Services
from shared.domain.run import Run
from shared.ingest.ingest_blob import ingest_blob
from shared.ingest.sweep import carry_out_backfill, request_backfill
from tests.http import bodies
from tests.http.bodies import Body
from tests.http.conftest import Client
from tests.thorough import examples


@dataclass(frozen=True)
class Landing:
    """A connector of a new hub, and a container that it reads."""

    client: Client
    services: Services
    hub: str
    container: ContainerClient

    @property
    def path(self) -> str:
        return f"{self.hub}/connectors/Files"

    def upload(self, path: str, content: str | bytes) -> str:
        """Uploads a blob; returns `container/path`."""
        data = content.encode() if isinstance(content, str) else content
        self.container.upload_blob(path, data, overwrite=True)
        return f"{self.container.container_name}/{path}"

    def ask(self, body: Any) -> Any:
        return self.client.post(f"{self.path}/suggest", body)

    def suggest(self, path: str, content: str | bytes, **options: Any) -> Body:
        answer = self.ask({"blob": self.upload(path, content), **options})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def take(self, suggestion: Body) -> Run:
        """PUTs both definitions as they are, and ingests what the mapping finds."""
        proposed, mapping = suggestion["type"], suggestion["mapping"]
        collection = "profiles" if proposed["entityType"] == "Profile" else "interactions"
        answer = self.client.put(f"{self.hub}/{collection}/{proposed['name']}", proposed["body"])
        assert answer.status_code == 201, answer.text
        answer = self.client.put(f"{self.path}/mappings/{mapping['name']}", mapping["body"])
        assert answer.status_code == 201, answer.text
        hub = self.hub.removeprefix("/hubs/")
        backfill = request_backfill(self.services, self.services.definitions.mapping(hub, "Files", mapping["name"]))
        carry_out_backfill(self.services, hub, "Files", mapping["name"], backfill.number)
        path = suggestion["blob"].split("/", maxsplit=1)[1]
        stored = next(
            run
            for run in self.client.get(f"{self.hub}/runs?mapping={mapping['name']}&$top=1000").json()["value"]
            if run["blob"]["path"] == path
        )
        ingest_blob(self.services, hub, stored["runId"], f"message-{uuid.uuid4()}")
        found = self.services.runs.get(hub, stored["runId"])
        assert found is not None
        return found.run

    def data(self, suggestion: Body) -> list[Body]:
        answer = self.client.get(f"{self.hub}/data/{suggestion['type']['name']}?$top=1000")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["value"])

    def check(self, suggestion: Body, rows: int) -> list[Body]:
        """What is proposed takes in every row, and the rows are there."""
        run = self.take(suggestion)
        assert (run.state.value, run.rows_ingested, run.rows_rejected, run.error) == ("Succeeded", rows, 0, None)
        found = self.data(suggestion)
        assert len(found) == rows
        return found


@pytest.fixture
def landing(
    client: Client, services: Services, hub: str, storage_secret_url: str, container: ContainerClient
) -> Landing:
    body = bodies.blob_connector(storage_secret_url)
    assert client.put(f"{hub}/connectors/Files", body).json()["state"] == "Ready"
    return Landing(client, services, hub, container)


def types(suggestion: Body) -> dict[str, str]:
    return {column["columnName"]: column["fieldType"].removeprefix("Edm.") for column in suggestion["columns"]}


def noted(suggestion: Body, word: str) -> str:
    found = [note for note in suggestion["notes"] if word in note]
    assert found, suggestion["notes"]
    return " | ".join(found)


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
        (lambda text: text.encode("utf-8-sig"), None, "utf-8"),
        (lambda text: text.encode("utf-16"), None, "utf-16-le"),
        (lambda text: gzip.compress(text.encode()), None, "utf-8"),
    ],
    ids=["cp1252", "utf-8-sig", "utf-16", "gzip"],
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
    ("content", "code"),
    [
        (b"", "EmptyBlob"),
        (b"\xef\xbb\xbf", "EmptyBlob"),
        (b"\n\n", "EmptyBlob"),
        (b'"a,b\n1,2\n', "UnreadableHeader"),
        (b"a\x00,b\n1,2\n", "UnreadableHeader"),
        (b",".join(b"c%d" % n for n in range(5000)) + b"\n", "TooManyColumns"),
        (b"a,a\n1,2\n", "NoUsableColumn"),
    ],
)
def test_files_that_say_nothing(landing: Landing, content: bytes, code: str) -> None:
    answer = landing.ask({"blob": landing.upload("a.csv", content)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)


def test_a_header_only(landing: Landing) -> None:
    found = landing.suggest("a.csv", "name;id;at\n")
    assert set(types(found).values()) == {"String"}
    assert found["type"]["body"]["strongIds"][0]["keyPropertyNames"] == ["Id"]
    noted(found, "no row to go by")
    landing.check(found, 0)


def test_a_file_without_header(landing: Landing) -> None:
    text = "17,Ann,2026-01-31\n18,Bob,2026-02-01\n"
    found = landing.suggest("a.csv", text)
    noted(found, "hasHeader")
    found = landing.suggest("b.csv", text, hasHeader=False)
    assert types(found) == {"column1": "Int32", "column2": "String", "column3": "Date"}
    landing.check(found, 2)


def test_a_very_wide_file_is_proposed_as_far_as_a_definition_goes(landing: Landing) -> None:
    names = [f"a column with quite a long name number {n}" for n in range(4096)]
    rows = [[str(n)] * 4096 for n in range(2)]
    found = landing.suggest("wide.csv", "\n".join(",".join(row) for row in [names, *rows]))
    assert 100 < len(found["columns"]) < 4096
    noted(found, "no room")
    landing.check(found, 2)
    huge = "n" * 100_000
    found = landing.suggest("long.csv", f"id,{huge},m\n1,2,3\n")
    assert list(types(found)) == ["id", "m"]
    assert huge not in str(found)


def test_only_a_sample_is_read(landing: Landing) -> None:
    text = "id,n\n" + "".join(f"{n},{n}\n" for n in range(50)) + "x,y\n1,2,3\n"
    found = landing.suggest("a.csv", text, rows=50)
    assert (found["rowsRead"], types(found)["n"], found["rejects"]) == (50, "Int32", [])
    noted(found, "first rows only")
    found = landing.suggest("a.csv", text, rows="52")
    assert (found["rowsRead"], types(found)["n"], len(found["rejects"])) == (51, "String", 1)
    noted(found, "all rows of the file")


def test_what_may_be_asked(landing: Landing) -> None:
    container = landing.container.container_name
    landing.upload("in/a.csv", "id\n1\n")
    by_url = landing.ask({"blob": f"{landing.container.url}/in/a.csv"})
    assert by_url.json()["blob"] == f"{container}/in/a.csv"
    for body, expected in (
        ({}, {("MissingProperty", "blob")}),
        (
            {"blob": "", "rows": 0, "entityType": "Kpi", "format": {"columnDelimiter": ""}, "deep": 1},
            {
                ("InvalidValue", "blob"),
                ("InvalidValue", "rows"),
                ("UnknownValue", "entityType"),
                ("InvalidValue", "format.columnDelimiter"),
                ("UnknownProperty", "deep"),
            },
        ),
        ({"blob": "a.csv", "rows": 100_001}, {("InvalidValue", "rows")}),
        ({"blob": container}, {("InvalidValue", "blob")}),
        ({"blob": f"{container}/../lake/a.csv"}, {("InvalidValue", "blob")}),
        ({"blob": "lake/a.csv"}, {("InvalidValue", "blob")}),
        ({"blob": "https://elsewhere.example/c/a.csv"}, {("InvalidValue", "blob")}),
        ({"blob": f"{landing.container.url}/in/a.csv?sig=x"}, {("InvalidValue", "blob")}),
    ):
        answer = landing.ask(body)
        assert answer.status_code == 400, (body, answer.text)
        assert {(fault["code"], fault["target"]) for fault in answer.json()["error"]["details"]} == expected, body


def test_what_is_not_there(landing: Landing) -> None:
    container = landing.container.container_name
    for blob, code in (
        (f"{container}/absent.csv", "BlobNotFound"),
        (f"c{uuid.uuid4().hex}/a.csv", "ContainerNotFound"),
    ):
        answer = landing.ask({"blob": blob})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)
    answer = landing.client.post(f"{landing.hub}/connectors/Absent/suggest", {"blob": f"{container}/a.csv"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ConnectorNotFound")
    landing.client.put(f"{landing.hub}/connectors/Nothing", {"connectorType": "None", "connectorProperties": {}})
    answer = landing.client.post(f"{landing.hub}/connectors/Nothing/suggest", {"blob": f"{container}/a.csv"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NotAzureBlob")


@pytest.mark.parametrize(
    "path", ["a[1]*?.csv", "x://y/a.csv", "a//b.csv", "password=x/sig=y.csv", "2026/11/22", "ä/ö ü.CSV", "v1.2.csv"]
)
def test_the_mapping_takes_the_very_file(landing: Landing, path: str) -> None:
    landing.check(landing.suggest(path, "id,n\n1,2\n3,4\n"), 2)


def _text(alphabet: str = "") -> st.SearchStrategy[str]:
    return st.text(alphabet or st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


CELLS: dict[str, st.SearchStrategy[str]] = {
    "text": _text(),
    "narrow": _text("01aé-,;|\t\"' \n\r"),
    "digits": _text("019"),
    "signed": st.integers(-(2**65), 2**65).map(lambda n: f"{n:+d}" if n % 5 == 0 else str(n)),
    "small": st.integers(-9, 9).map(str),
    "point": st.decimals(-9999, 9999, places=2).map(str),
    "comma": st.decimals(-9999, 9999, places=2).map(lambda n: str(n).replace(".", ",")),
    "grouped": st.integers(0, 10**7).map(lambda n: f"{n:,}"),
    "double": st.floats(allow_nan=False, allow_infinity=False).map(str),
    "flag": st.sampled_from(["true", "False", "TRUE"]),
    "bit": st.sampled_from(["0", "1"]),
    "guid": st.uuids().map(str),
    "date": st.dates().map(str),
    "day": st.dates().map(lambda day: f"{day.day:02}.{day.month:02}.{day.year:04}"),
    "compact": st.dates().map(lambda day: f"{day.year:04}{day.month:02}{day.day:02}"),
    "time": st.datetimes().map(datetime.isoformat),
    "clock": st.datetimes().map(lambda time: f"{time.month}/{time.day}/{time.year:04} {time.hour}:{time.minute:02}"),
}
HEADERS = ["id", "customer_id", "email", "name", "Datum", "at", "Größe", "kind", "2x", "x", "_", "客"]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str]:
    """A delimiter, and a clean file written with it."""
    header = draw(st.lists(st.sampled_from(HEADERS), min_size=2, max_size=5, unique=True))
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=len(header), max_size=len(header)))
    cells = [CELLS[kind] if draw(st.booleans()) else CELLS[kind] | st.just("") for kind in kinds]
    rows = draw(st.lists(st.tuples(*cells), max_size=12))
    out = io.StringIO()
    delimiter = draw(st.sampled_from(",;\t|"))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=line_end).writerows([header, *rows])
    return delimiter, out.getvalue()


@given(
    tables(),
    st.sampled_from([None, "Profile", "Interaction"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_a_clean_file_holds_the_proposal_takes_in_every_row(
    landing: Landing, table: tuple[str, str], kind: str | None, encoding: str
) -> None:
    delimiter, text = table
    rows = len(list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))) - 1
    path = f"{uuid.uuid4().hex}/table.csv"
    found = landing.suggest(path, text.encode(encoding), **({"entityType": kind} if kind else {}))
    assert (found["rowsRead"], found["rejects"]) == (rows, [])
    key = found["type"]["body"].get("strongIds", [{}])[0].get("keyPropertyNames", [])
    empty = [column["empty"] for column in found["columns"] if column["fieldName"] in key]
    if any(empty):  # a profile was asked for, and no column can be its key
        assert kind == "Profile"
        noted(found, "rows without one are refused")
        return
    run = landing.take(found)
    assert (run.state.value, run.rows_ingested, run.rows_rejected, run.error) == ("Succeeded", rows, 0, None)
    if kind != "Profile":
        assert len(landing.data(found)) == rows
