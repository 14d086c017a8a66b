"""Rows: the header, keys, the order of refusals, and what a typed row carries."""

import re
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from shared.csv.read_csv import read_csv
from shared.domain.csv_dialect import CsvDialect
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import DataError
from shared.lake.schema import changes_schema
from tests.casts.typing_cases import (
    NOW,
    ORDER,
    PATH,
    RUN,
    interaction_type,
    mapping_of,
    profile_type,
    type_file,
    typer_of,
)

ID = {"fieldName": "id", "fieldType": "Edm.String"}
NAME = {"fieldName": "name", "fieldType": "Edm.String"}
AGE = {"fieldName": "age", "fieldType": "Edm.Int32"}
SEEN = {"fieldName": "seen", "fieldType": "Edm.DateTimeOffset"}
PERSON = profile_type(ID, NAME, AGE)


def refused_header(header: list[str], entity_type: EntityType, mapping: Mapping) -> DataError:
    with pytest.raises(DataError) as caught:
        typer_of(entity_type, mapping, header)
    return caught.value


def codes(
    entity_type: EntityType, mapping: Mapping, header: list[str], rows: list[list[str]]
) -> list[tuple[int, str | None, str]]:
    with typer_of(entity_type, mapping, header) as typer:
        _, rejects = type_file(typer, header, rows)
    return [(reject.line, reject.column, reject.code) for reject in rejects]


def keys(
    entity_type: EntityType, header: list[str], rows: list[list[str]], folder: str = "inbox", path: str = PATH
) -> list[str]:
    with typer_of(entity_type, mapping_of(entity_type, folder=folder), header, path) as typer:
        typed, rejects = type_file(typer, header, rows)
    assert not rejects
    return [row["_key"] for row in typed]


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        (["id", "age"], ["lacks 1", "'name'"]),
        (["x", "y"], ["lacks 3", "'id'", "'name'", "'age'"]),
        (["ID ", "Name", "age"], ["lacks 2", "'id' (the file has 'ID ')", "'name' (the file has 'Name')"]),
        (["id;name;age"], ["lacks 3", "columnDelimiter"]),
        ([], ["lacks 3"]),
    ],
)
def test_missing_columns_are_all_named_with_near_misses(header: list[str], parts: list[str]) -> None:
    error = refused_header(header, PERSON, mapping_of(PERSON))
    assert error.code == "MissingColumns"
    for part in parts:
        assert part in error.message


def test_the_header_of_a_file_without_one_is_not_told() -> None:
    error = refused_header(["17", "Ada", "36"], PERSON, mapping_of(PERSON))
    assert "Ada" not in error.message
    assert "17" not in error.message


def test_a_doubled_column_is_refused_only_if_it_is_used() -> None:
    mapping = mapping_of(PERSON)
    error = refused_header(["id", "name", "age", "name"], PERSON, mapping)
    assert error.code == "DuplicateColumn"
    assert "'name'" in error.message
    header = ["x", "id", "x", "name", "age", "x"]
    with typer_of(PERSON, mapping, header) as typer:
        typed, _ = type_file(typer, header, [["1", "a", "2", "b", "3", "4"]])
        assert typer.ignored_columns == ["x", "x", "x"]
    assert (typed[0]["id"], typed[0]["name"], typed[0]["age"]) == ("a", "b", 3)


def test_ignored_columns_are_named_and_nameless_ones_counted() -> None:
    with typer_of(PERSON, mapping_of(PERSON), ["id", "note", "name", "age", "", ""]) as typer:
        assert typer.ignored_columns == ["note", "column 5", "column 6"]


@pytest.mark.parametrize(
    ("entity_type", "mapping", "part"),
    [
        (PERSON, mapping_of(PERSON, {"name": "name"}), "no column fills the field 'id'"),
        (PERSON, mapping_of(PERSON, {"id": "id", "name": "nickname"}), "no field 'nickname'"),
        (PERSON, mapping_of(PERSON, formats={"age": "dd/MM/yyyy"}), "'age' of type Edm.Int32 takes no custom"),
        (
            profile_type(ID, SEEN),
            mapping_of(profile_type(ID, SEEN), formats={"seen": "YYYY-MM-DD"}),
            "customFormatSpecifier of 'seen': 'YYYY' is not understood",
        ),
        (
            interaction_type(NAME, {**AGE, "isRequired": True}),
            mapping_of(interaction_type(NAME, AGE), {"name": "name"}),
            "no column fills the field 'age'",
        ),
        (
            interaction_type(ID, NAME, key=("id",)),
            mapping_of(interaction_type(ID, NAME), {"name": "name"}),
            "no column fills the field 'id'",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_the_type_is_refused(entity_type: EntityType, mapping: Mapping, part: str) -> None:
    error = refused_header(["id", "name", "age", "seen"], entity_type, mapping)
    assert error.code == "MappingOutdated"
    assert part in error.message


def test_a_reject_does_not_repeat_a_long_format() -> None:
    entity_type = profile_type(ID, SEEN)
    short = mapping_of(entity_type, formats={"seen": "yyyy-MM-dd"}).to_json()
    short["mappingProperties"]["structure"][1]["customFormatSpecifier"] += "''" * 10_000
    # As it was stored before formats had a limit.
    with typer_of(entity_type, Mapping.from_stored(short), ["id", "seen"]) as typer:
        typed, rejects = type_file(typer, ["id", "seen"], [["1", "2026-01-31"], ["2", "31.01.2026"]])
    assert [row["_key"] for row in typed] == ["1"]
    assert [reject.code for reject in rejects] == ["NotADateTime"]
    assert "in the format yyyy-MM-dd''" in rejects[0].message
    assert len(rejects[0].message) < 300


def test_a_typed_row_has_every_column_of_the_lake() -> None:
    entity_type = profile_type(ID, NAME, AGE, SEEN, {"fieldName": "tags", "fieldType": "Edm.Int64", "isArray": True})
    mapping = mapping_of(entity_type, {"Years": "AGE", "Tags": "tags", "Key": "id"})
    header = ["Tags", "Key", "Years"]
    with typer_of(entity_type, mapping, header) as typer:
        reader = read_csv([b"Tags,Key,Years\n1;2,a,36\n,b,\n"], CsvDialect())
        reader.read_header()
        (table,) = [typer.type(batch).table for batch in reader]
    assert table.schema.equals(changes_schema(entity_type))
    shared = {"name": None, "seen": None, "_set": "id,age,tags", "_deleted": False, "_run": RUN, "_order": ORDER}
    assert table.to_pylist() == [
        {"_key": "a", "id": "a", "age": 36, "tags": [1, 2], "_line": 2, "_ingested_at": NOW, **shared},
        {"_key": "b", "id": "b", "age": None, "tags": None, "_line": 3, "_ingested_at": NOW, **shared},
    ]


def test_one_column_can_fill_two_fields() -> None:
    entity_type = profile_type(ID, {"fieldName": "number", "fieldType": "Edm.Int32"})
    body = mapping_of(entity_type).to_json()
    body["mappingProperties"]["structure"] = [
        {"columnName": "No", "propertyName": "id"},
        {"columnName": "No", "propertyName": "number"},
    ]
    with typer_of(entity_type, Mapping.from_request(body), ["No"]) as typer:
        typed, rejects = type_file(typer, ["No"], [["007"], ["x"]])
    assert [(row["id"], row["number"]) for row in typed] == [("007", 7)]
    assert [(reject.column, reject.code) for reject in rejects] == [("No", "NotAnInteger")]


def test_the_first_bad_column_of_the_file_is_named() -> None:
    entity_type = profile_type(ID, AGE, SEEN, {**NAME, "maxLength": 3})
    header = ["seen", "name", "id", "age"]
    rows = [
        ["2026-01-31", "Ada", "1", "36"],
        ["tomorrow", "Augusta", "", "x"],
        ["2026-01-31", "Augusta", "", "x"],
        ["2026-01-31", "Ada", "", "x"],
        ["2026-01-31", "Ada", "k" * 1025, "x"],
        ["2026-01-31", "Ada", "1", "x"],
    ]
    assert codes(entity_type, mapping_of(entity_type), header, rows) == [
        (3, "seen", "NotADateTime"),
        (4, "name", "TooLong"),
        (5, "id", "EmptyKey"),
        (6, "id", "KeyTooLong"),
        (7, "age", "NotAnInteger"),
    ]


def test_a_reject_tells_line_and_raw_text_and_no_cell_in_its_message() -> None:
    text = 'id,name,age\n1,"two\nlines",x17\n2,b,3\n3,"q""q", 4_2 \n'
    reader = read_csv([text.encode()], CsvDialect())
    header = reader.read_header()
    assert header is not None
    with typer_of(PERSON, mapping_of(PERSON), header) as typer:
        (result,) = [typer.type(batch) for batch in reader]
    assert [(reject.line, reject.raw) for reject in result.rejects] == [
        (2, '1,"two\nlines",x17'),
        (5, '3,"q""q", 4_2 '),
    ]
    assert result.table.column("_line").to_pylist() == [4]
    for reject in result.rejects:
        assert reject.message.startswith("expected a whole number")
        assert not re.search("17|4_2|two", reject.message)


@pytest.mark.parametrize(
    ("field_type", "cell", "key"),
    [
        ("Edm.String", " a ", " a "),
        ("Edm.Int64", " +0042", "42"),
        ("Edm.Decimal", "1.500", "1.5"),
        ("Edm.Decimal", "-100", "-100"),
        ("Edm.Decimal", "-0.00", "0"),
        ("Edm.Double", "1e2", "100.0"),
        ("Edm.Double", "-0", "0.0"),
        ("Edm.Boolean", "TRUE", "true"),
        ("Edm.Guid", "0123ABCD89ABCDEF0123456789ABCDEF", "0123abcd-89ab-cdef-0123-456789abcdef"),
        ("Edm.Date", "0026-01-31", "0026-01-31"),
        ("Edm.DateTimeOffset", "2026-01-31 02:00:00+02:00", "2026-01-31T00:00:00Z"),
        ("Edm.DateTimeOffset", "0001-01-01T00:00:00.5", "0001-01-01T00:00:00.500000Z"),
    ],
)
def test_a_key_is_the_canonical_text_of_its_value(field_type: str, cell: str, key: str) -> None:
    entity_type = profile_type({"fieldName": "id", "fieldType": field_type})
    assert keys(entity_type, ["id"], [[cell]]) == [key]


def test_a_composite_key_is_joined_in_the_order_of_the_definition() -> None:
    entity_type = profile_type(ID, AGE, NAME, key=("age", "id"))
    assert keys(entity_type, ["id", "name", "age"], [["a", "x", "07"]]) == ["7_a"]
    header = ["age", "id", "name"]
    rows = [["1", "", "x"], ["", "a", "x"], ["1", " ", "x"], ["1", "k" * 1023, "x"], ["1", "k" * 1022, "x"]]
    assert codes(entity_type, mapping_of(entity_type), header, rows) == [
        (2, "id", "EmptyKey"),
        (3, "age", "EmptyKey"),
        (4, "id", "EmptyKey"),
        (5, None, "KeyTooLong"),
    ]


def test_required_fields_are_checked_for_interactions_only() -> None:
    required = {**NAME, "isRequired": True}
    for entity_type, expected in [
        (
            interaction_type(ID, required, {**AGE, "isRequired": True}),
            [(2, "name", "MissingValue"), (3, "age", "MissingValue")],
        ),
        (profile_type(ID, required, {**AGE, "isRequired": True}), []),
    ]:
        rows = [["1", "", "3"], ["1", "a", "  "], ["1", " ", "4"]]
        assert codes(entity_type, mapping_of(entity_type), ["id", "name", "age"], rows) == expected


def test_a_derived_key_comes_of_path_and_whole_row() -> None:
    visit = interaction_type(NAME, AGE)
    header = ["name", "age", "note"]
    rows = [["a", "1", "x"], ["a", "1", "x"], ["a", "1", "y"], ["a1", "", "x"], ["", "", ""], ["a", "01", "x"]]
    found = keys(visit, header, rows)
    assert found[0] == found[1]
    assert len(set(found)) == 5, "equal rows have equal keys, and only these"
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in found)
    assert keys(visit, header, [*rows, ["b", "2", "z"]])[: len(rows)] == found, "a grown file keeps its keys"
    assert not set(keys(visit, header, rows, path="daily/other.csv")) & set(found)
    assert not set(keys(visit, header, rows, path=f"another account/{PATH}")) & set(found)
    assert keys(visit, header, rows, folder="inbox/daily") == found, "a mapping's prefix is no part of them"


def test_a_key_of_an_interaction_is_its_id() -> None:
    visit = interaction_type(ID, NAME, key=("id",))
    assert keys(visit, ["id", "name"], [["7", "a"], ["7", "b"]]) == ["7", "7"]
    assert codes(visit, mapping_of(visit), ["id", "name"], [["", "a"]]) == [(2, "id", "EmptyKey")]


@pytest.mark.parametrize(
    "blank",
    ["\t", "\v", "\x85", "\u00a0", "\u1680", "\u2003", "\u2009", "\u2028", "\u202f", "\u205f", "\u3000"],
    ids=ascii,
)
def test_a_key_that_nobody_can_see_is_none(blank: str) -> None:
    visit = interaction_type(ID, NAME, key=("id",))
    rows = [[blank, "a"], [f" {blank}", "a"], [f"{blank}7", "a"]]
    assert codes(visit, mapping_of(visit), ["id", "name"], rows) == [(2, "id", "EmptyKey"), (3, "id", "EmptyKey")]


def test_three_hundred_columns() -> None:
    fields = [{"fieldName": f"f{number}", "fieldType": "Edm.Int32"} for number in range(300)]
    entity_type = profile_type(ID, *fields)
    header = ["id", *(field["fieldName"] for field in fields)]
    with typer_of(entity_type, mapping_of(entity_type), header) as typer:
        typed, rejects = type_file(
            typer, header, [["a", *map(str, range(300))], ["b", *["1"] * 299, "x"], ["c", *[""] * 300]]
        )
    assert [typed[0][f"f{number}"] for number in range(300)] == list(range(300))
    assert [(reject.column, reject.code) for reject in rejects] == [("f299", "NotAnInteger")]


def test_a_typer_works_in_another_thread_than_its_maker() -> None:
    with typer_of(PERSON, mapping_of(PERSON), ["id", "name", "age"]) as typer, ThreadPoolExecutor(1) as pool:
        typed, _ = pool.submit(type_file, typer, ["id", "name", "age"], [["1", "a", "2"]]).result()
    assert typed[0]["age"] == 2


def test_a_batch_without_rows_is_typed() -> None:
    reader = read_csv([b"id,name,age\n1,2\n"], CsvDialect())
    assert reader.read_header() is not None
    with typer_of(PERSON, mapping_of(PERSON), ["id", "name", "age"]) as typer:
        for batch in reader:
            result = typer.type(batch)
            assert result.table.equals(changes_schema(PERSON).empty_table())
            assert result.rejects == []


def test_memory_stays_flat_over_batches() -> None:
    text = "id,name,age\n" + "".join(f"{number},some text,{number % 90}\n" for number in range(60_000))
    header = ["id", "name", "age"]
    with typer_of(PERSON, mapping_of(PERSON), header) as typer:
        held = []
        for _ in range(6):
            reader = read_csv([text.encode()], CsvDialect())
            assert reader.read_header() == header
            for batch in reader:
                assert typer.type(batch).table.num_rows == batch.cells.num_rows
            del batch
            held.append(pa.total_allocated_bytes())
    assert held[-1] <= held[1] + 1_000_000
