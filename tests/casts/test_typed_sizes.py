"""Rows that would be too large once they are typed are refused before they are; large batches are typed in pieces."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared.casts import typed_sizes
from shared.casts.type_rows import RowTyper
from shared.csv.read_csv import read_csv
from shared.csv.rejects import Rejects
from shared.domain.csv_dialect import CsvDialect
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping
from shared.ingest.lines_apart import LinesApart
from shared.ingest.stage import header_of, typed_rows
from shared.lake.files.widest import widest_of
from shared.repair.corrected_rows import Corrected
from shared.settings import Settings
from tests.abuse.spending import Spending
from tests.casts.typing_cases import NOW, ORDER, PATH, RUN, interaction_type, mapping_of, profile_type

ID = {"fieldName": "id", "fieldType": "Edm.String"}
MB = 1024**2


def field(name: str, kind: str = "String", **more: Any) -> dict[str, Any]:
    return {"fieldName": name, "fieldType": f"Edm.{kind}", **more}


def mapping_from(entity_type: EntityType, columns: list[tuple[str, str]]) -> Mapping:
    """A mapping of columns to fields, where a column may fill several."""
    body = mapping_of(entity_type).to_json()
    body["mappingProperties"]["structure"] = [{"columnName": name, "propertyName": to} for name, to in columns]
    return Mapping.from_request(body)


def type_all(
    entity_type: EntityType, mapping: Mapping, text: str, limit: int = 16 * MB, batch_bytes: int = 3 << 20
) -> Iterator[tuple[pa.Table, Rejects]]:
    """The typed rows and rejects of each piece, as staging gets them."""
    reader = read_csv([text.encode()], CsvDialect(), batch_bytes=batch_bytes)
    settings = Settings(max_row_bytes=limit)
    with (
        RowTyper(entity_type, mapping, header_of(reader), PATH, RUN, ORDER, NOW, settings) as typer,
        typed_rows(iter(reader), apart := LinesApart(reader, typer)) as typed,
    ):
        rows = rejects = 0
        for table, refused in typed:
            rows, rejects = rows + table.num_rows, rejects + len(refused)
            yield table, refused
    assert reader.rows + reader.rejected + apart.more == rows + rejects


CELLS = {
    "text": (field("value"), "ü" * 3000),
    "a text of blanks and quotes": (field("value"), '""' * 3000),
    "numbers": (field("value", "Decimal", isArray=True), ";".join(["1.5"] * 500)),
    "texts": (field("value", isArray=True), ";".join(["ab"] * 500)),
    "empty texts": (field("value", isArray=True), ";" * 500),
    "escaped separators": (field("value", isArray=True), r"a\;b;\\;c\\\;d;" * 100),
    "a separator of two bytes": (field("value", isArray=True, arrayValueSeparator="§"), "a§b\\§" * 100),
    "a backslash between": (field("value", isArray=True, arrayValueSeparator="\\"), "a\\b\\\\c;" * 100),
    "guids": (field("value", "Guid", isArray=True), ";".join(["00000000-0000-0000-0000-000000000001"] * 50)),
    "nothing": (field("value", isArray=True), ""),
    "a number": (field("value", "Int64"), "12"),
}


@pytest.mark.parametrize(("kind", "cell"), CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("is_profile", [True, False])
def test_rows_are_reckoned_as_the_lake_counts_them(kind: dict[str, Any], cell: str, is_profile: bool) -> None:
    entity_type = profile_type(ID, kind) if is_profile else interaction_type(ID, kind)
    mapping, text = mapping_of(entity_type), f'id,value\na,"{cell}"\n'
    ((table, refused),) = type_all(entity_type, mapping, text)
    assert len(refused) == 0
    size = widest_of(table).row
    for limit, is_good in ((max(1024, size + 300), True), (size - 1, False)):
        if limit < 1024:
            continue
        ((typed, rejects),) = type_all(entity_type, mapping, text, limit)
        assert (typed.num_rows, [reject.code for reject in rejects]) == ((1, []) if is_good else (0, ["RowTooLong"]))


def test_a_reject_says_the_size_the_limit_and_the_column() -> None:
    entity_type = profile_type(ID, field("one"), field("two"), field("list", "Decimal", isArray=True))
    mapping = mapping_from(entity_type, [("id", "id"), ("text", "one"), ("text", "two"), ("list", "list")])
    text = f"id,text,list\nx,{'t' * 700},1\ny,t,{';'.join('1' * 40)}\nz,t,1\n"
    ((table, rejects),) = type_all(entity_type, mapping, text, 1500)
    assert table.column("_key").to_pylist() == ["z"]
    first, second = rejects
    assert (first.line, first.column, first.code, first.raw[:4]) == (2, "text", "RowTooLong", "x,tt")
    assert (second.line, second.column) == (3, "list")
    assert "1500 of MAX_ROW_BYTES" in first.message
    assert "1400 of them are made" in first.message
    assert "fills 2 fields" in first.message
    assert "2560 of them are made" in second.message


def test_rows_that_are_too_long_stand_between_other_rejects_in_their_order() -> None:
    entity_type = profile_type(ID, field("number", "Int32"), field("tags", isArray=True))
    lines = ["id,number,tags"]
    for number in range(300):
        what = number % 4
        n = "no" if what == 1 else str(number)
        lines.append(f"k{number},{n},{';' * 99 if what == 2 else 'a'}" + (",more" if what == 3 else ""))
    pieces = list(type_all(entity_type, mapping_of(entity_type), "\n".join(lines) + "\n", 4000))
    rejects = [reject for _, refused in pieces for reject in refused]
    assert [reject.line for reject in rejects] == [n + 2 for n in range(300) if n % 4]
    assert [reject.code for reject in rejects] == ["NotAnInteger", "RowTooLong", "RowWidth"] * 75
    assert [reject.raw for reject in rejects] == [line for number, line in enumerate(lines[1:]) if number % 4]
    assert [line for table, _ in pieces for line in table.column("_line").to_pylist()] == list(range(2, 302, 4))


@pytest.mark.parametrize("faults", [0, 1])
def test_a_batch_that_a_mapping_multiplies_is_typed_in_pieces(monkeypatch: pytest.MonkeyPatch, faults: int) -> None:
    monkeypatch.setattr(typed_sizes, "PIECE_BYTES", 256 * 1024)
    fields = [f"f{number}" for number in range(50)]
    entity_type = profile_type(ID, field("number", "Int32"), *map(field, fields))
    mapping = mapping_from(entity_type, [("id", "id"), ("number", "number"), *(("text", name) for name in fields)])
    rows = [f"k{n},{'x' if faults and n % 10 == 3 else n},{'t' * 1000}" for n in range(100)]
    rows.insert(40, "too,many,cells,here")
    pieces = list(type_all(entity_type, mapping, "\n".join(["id,number,text", *rows]) + "\n"))
    assert max(table.num_rows for table, _ in pieces) == 256 * 1024 // 51_000
    assert [line for table, _ in pieces for line in table.column("_line").to_pylist()] == [
        line for line in range(2, 103) if line != 42 and not (faults and rows[line - 2].split(",")[1] == "x")
    ]
    refused = [reject.line for _, rejects in pieces for reject in rejects]
    assert refused == sorted(refused)
    assert len(refused) == 1 + 10 * faults


def test_an_ordinary_batch_stays_whole() -> None:
    entity_type = profile_type(ID, *(field(f"f{n}") for n in range(10)), field("tags", isArray=True))
    row = ",".join(["value"] * 10)
    text = "\n".join(
        ["id," + ",".join(f"f{n}" for n in range(10)) + ",tags", *(f"k{n},{row},a;b" for n in range(9000))]
    )
    ((table, _),) = type_all(entity_type, mapping_of(entity_type), text + "\n")
    assert table.num_rows == 9000


def test_typing_takes_no_more_memory_however_a_mapping_multiplies() -> None:
    """Of 64 rows of 40 KB for 300 fields every other one is refused, so that the others are copied: 384 MB of text."""
    fields = [f"f{number}" for number in range(300)]
    entity_type = profile_type(ID, field("number", "Int32"), *map(field, fields))
    mapping = mapping_from(entity_type, [("id", "id"), ("number", "number"), *(("text", name) for name in fields)])
    rows = "".join(f"k{n},{n if n % 2 else 'x'},{'t' * 40_000}\n" for n in range(64))
    spending = Spending(os.getpid())
    with spending.watched() as spent:
        good = sum(table.num_rows for table, _ in type_all(entity_type, mapping, f"id,number,text\n{rows}"))
    assert good == 32
    assert spent.memory_mb < 250


def test_a_row_of_millions_of_items_is_refused_before_they_are_made() -> None:
    names = ["one", "two", "three"]
    entity_type = profile_type(ID, *(field(name, "Decimal", isArray=True) for name in names))
    cell = ";".join(["1"] * 1_000_000)
    text = "id,one,two,three\n" + f"k,{cell},{cell},{cell}\n" + "l,1,2,3\n"
    spending = Spending(os.getpid())
    with spending.watched() as spent:
        pieces = list(type_all(entity_type, mapping_of(entity_type), text))
    assert [reject.code for _, refused in pieces for reject in refused] == ["RowTooLong"]
    assert [key for table, _ in pieces for key in table.column("_key").to_pylist()] == ["l"]
    assert spent.memory_mb < 150


def test_corrected_rows_are_typed_in_the_order_of_their_rejects() -> None:
    entity_type = profile_type(ID, field("number", "Int32"))
    text = "id,number\n" + "".join(f"k{n},{'x' if n % 2 else n}\n" for n in range(6))
    reader = read_csv([text.encode()], CsvDialect(), batch_rows=1, window_bytes=24)
    header = header_of(reader)
    corrected = Corrected(header, list(reader), None)
    assert len(corrected.batches) > 1
    rows = corrected.relined(np.array([40, 50, 60, 10, 20, 30]))
    with RowTyper(entity_type, mapping_of(entity_type), header, PATH, RUN, ORDER, NOW, Settings()) as typer:
        typed = typer.type(rows)
    found = typed.table.select(["_line", "number"]).to_pydict()
    assert found == {"_line": [20, 40, 60], "number": [4, 0, 2]}
    assert [(reject.line, reject.raw) for reject in typed.rejects] == [(10, "k3,x"), (30, "k5,x"), (50, "k1,x")]
