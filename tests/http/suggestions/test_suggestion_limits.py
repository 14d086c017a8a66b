"""Suggestions where a file says little, or the question is wrong."""

import gzip
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.errors import DataError
from shared.suggest.read_sample import SAMPLE_BYTES
from shared.suggest.suggest import Wish, suggest
from tests.http.bodies import Body
from tests.http.routes.landing import Landing, noted, types


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
        (b"\n" * SAMPLE_BYTES + b"id\n1\n", "NoReadableRow"),
    ],
)
def test_files_that_say_nothing(landing: Landing, content: bytes, code: str) -> None:
    answer = landing.ask({"blob": landing.upload("a.csv", content)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)


@pytest.mark.parametrize("lines", [b"\n" * (3 << 20), b"\n" * (17 << 20), b"x\n" * (1 << 20)])
def test_lines_that_are_no_rows_do_not_go_on_for_ever(landing: Landing, lines: bytes) -> None:
    found = landing.suggest("a.csv", b"id,name\n1,a\n" + lines + b"2,b\n")
    assert found["rowsRead"] in {1, 2}
    assert len(found["rejects"]) <= 20


def test_a_suggestion_ends_when_its_time_is_up(landing: Landing) -> None:
    blob = landing.upload("a.csv.gz", gzip.compress(b"id,name\n1,a\n") + b"\0" * (1 << 20))
    hub = landing.hub.removeprefix("/hubs/")
    with pytest.raises(DataError, match="within 0 seconds, but up to its byte") as refused:
        suggest(landing.services, hub, "Files", blob, Wish(), within_s=0)
    assert refused.value.code == "TooSlow"
    assert suggest(landing.services, hub, "Files", blob, Wish())["rowsRead"] == 1


def test_of_many_who_ask_at_once_some_are_told_to_come_again(landing: Landing) -> None:
    blob = landing.upload("a.csv", "id,name\n" + '1,"a\n' * 20_000)

    def outcome(_: int) -> str:
        answer = landing.ask({"blob": blob})
        return "" if answer.status_code == 200 else f"{answer.status_code} {answer.json()['error']['code']}"

    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(outcome, range(12)))
    assert set(outcomes) == {"", "429 SuggestionsBusy"}
    assert outcomes.count("") >= 4
    assert outcome(0) == ""


def test_a_header_only(landing: Landing) -> None:
    found = landing.suggest("a.csv", "name;id;at\n")
    assert set(types(found).values()) == {"String"}
    assert found["type"]["body"]["strongIds"][0]["keyPropertyNames"] == ["Id"]
    noted(found, "no row to go by")
    assert "'id' is called an id" in noted(found, "entityType")
    assert noted(found, "key:") == "key: 'id', by its name alone"
    for claim in ("tells all rows apart", "none stands twice", "is unique", "0 rows only"):
        assert claim not in str(found["notes"])
    landing.check(found, 0)


@pytest.mark.parametrize("options", [{}, {"entityType": "Profile"}])
def test_a_header_without_an_id_only(landing: Landing, options: dict[str, str]) -> None:
    found = landing.suggest("a.csv", "name,city\n", **options)
    for claim in ("tells all rows apart", "none stands twice", "is unique", "0 rows only"):
        assert claim not in str(found["notes"])
    landing.check(found, 0)


PREAMBLE = "Sales, by day\nof all shops\n\n"


@pytest.mark.parametrize(
    ("preamble", "delimiter", "options", "advised"),
    [
        (PREAMBLE, ",", {}, 2),
        (PREAMBLE, ";", {}, 2),
        (PREAMBLE, "\t", {"format": {"columnDelimiter": "\t"}}, 2),
        (PREAMBLE, ",", {"format": {"skipRows": 1}}, 2),
        ("one line\n", ",", {"hasHeader": False}, 1),
        ("Report\n" * 10, ",", {}, 10),
        ("Report\n" * 11, ",", {}, None),
        (PREAMBLE, ",", {"format": {"skipRows": 3}}, None),
        ("", ",", {}, None),
    ],
)
def test_lines_before_the_table_are_noted(
    landing: Landing, preamble: str, delimiter: str, options: Body, advised: int | None
) -> None:
    text = preamble + "id,v,w\n1,2,3\n4,5,6\n".replace(",", delimiter)
    notes = [note for note in landing.suggest("a.csv", text, **options)["notes"] if note.startswith("skipRows")]
    assert len(notes) == (advised is not None)
    if advised is not None:
        assert f"try format.skipRows {advised}," in notes[0]
        form = options.get("format", {}) | {"skipRows": advised}
        found = landing.suggest("a.csv", text, **options | {"format": form})
        assert len(found["columns"]) == 3
        landing.check(found, 2 + (options.get("hasHeader") is False))


@pytest.mark.parametrize(
    "text",
    [
        "name\nRoe, Ann\n",
        "text\nno comma\none, comma\nand, two, of them\nnone\n",
        "id,v,\n1,2\n3,4\n5,6\n",
        "id\n1\n2\n3\n",
    ],
    ids=["one row", "prose", "wider header", "one column"],
)
def test_a_file_without_lines_before_its_table_has_no_such_note(landing: Landing, text: str) -> None:
    assert "skipRows" not in str(landing.suggest("a.csv", text)["notes"])


BARE = 'id,size\n1,5" tall\n2,7" tall\n3,9" tall\n'
ESCAPED = 'id,name\n1,"Ann \\"A\\" Roe"\n2,"Bob \\"B\\" Low"\n'


@pytest.mark.parametrize(
    ("text", "option", "value", "rows"),
    [
        (BARE, "bareQuotes", "Literal", 3),
        (BARE.replace(",", ";"), "bareQuotes", "Literal", 3),
        (BARE + "4,good\n", "bareQuotes", "Literal", 4),
        (ESCAPED, "quoteEscapeCharacter", "\\", 2),
    ],
    ids=["bare", "bare-and-semicolon", "bare-among-good", "escaped"],
)
def test_quotes_of_another_kind_are_noted(landing: Landing, text: str, option: str, value: str, rows: int) -> None:
    found = landing.suggest("a.csv", text)
    assert "none of comma" not in str(found["notes"])
    assert f"with format.{option} {value} and" in noted(found, option)
    found = landing.suggest("a.csv", text, format={option: value})
    assert option not in [note.partition(":")[0] for note in found["notes"]]
    assert found["rejects"] == []
    landing.check(found, rows)


@pytest.mark.parametrize(
    ("text", "width", "rows", "refused"),
    [
        ('id,v\n1,"a\n2,"b\n', 2, 2, 2),
        ("id,v,w\n" + "1,2,3\n" * 7 + "1,2\n" * 3, 3, 10, 3),
        ("id,v,w\n" + "1,2,3,\n" * 5, 3, 5, 5),
        ("id,v,w\n" + "1,2\n" * 5, 3, 5, 5),
    ],
    ids=["unclosed-quotes", "ragged", "delimiter-at-the-end", "one-cell-short"],
)
def test_rows_that_nothing_mends_are_told_with_their_delimiter(
    landing: Landing, text: str, width: int, rows: int, refused: int
) -> None:
    found = landing.suggest("a.csv", text)
    assert (
        f"comma, which splits the header into {width} cells, but of the first {rows} rows {refused} are refused"
    ) in noted(found, "columnDelimiter")
    assert len(found["columns"]) == width


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
        ({"blob": "lake/a.csv"}, {("ContainerNotAllowed", "blob")}),
        ({"blob": "azure-webjobs-secrets/host.csv"}, {("ContainerNotAllowed", "blob")}),
        ({"blob": "$logs/a.csv"}, {("ContainerNotAllowed", "blob")}),
        ({"blob": f"{landing.container.url.rpartition('/')[0]}/deployments/a.csv"}, {("ContainerNotAllowed", "blob")}),
        ({"blob": "http://[/a.csv"}, {("InvalidValue", "blob")}),
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
