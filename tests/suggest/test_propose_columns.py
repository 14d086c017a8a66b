"""Which type a column is proposed for: by all of its cells, and only where nothing is lost or mistaken."""

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.csv.reading_time import ReadingTime
from shared.domain.documents.csv_format import MappingFormat
from shared.domain.errors import DataError
from shared.engine.workspace import workspace
from shared.settings import Settings
from shared.suggest.propose_columns import Column, propose_columns, usable_columns
from shared.suggest.scan_columns import Scan
from tests.thorough import examples

type Cells = Sequence[str | None]


def proposed(columns: dict[str, Cells], form: MappingFormat | None = None) -> tuple[list[Column], str, list[str]]:
    cells = pa.table({f"c{at}": pa.array(list(column), pa.string()) for at, column in enumerate(columns.values())})
    with workspace(Settings(azure_functions_environment="Development")) as opened:
        usable, _ = usable_columns(list(columns))
        found, taken, notes = propose_columns(Scan(opened, cells, ReadingTime(None)), usable, form or MappingFormat())
    return found, taken.accept_language, notes


def test_the_search_for_types_ends_when_the_time_is_up() -> None:
    with workspace(Settings(azure_functions_environment="Development")) as opened:
        scan = Scan(opened, pa.table({"c0": ["1", "2"]}), ReadingTime(0))
        for ask in (lambda: scan.counted({0: None}), lambda: scan.pair((0, None), (0, None))):
            with pytest.raises(DataError, match="up to the search for the types") as refused:
                ask()
            assert refused.value.code == "TooSlow"


def one(cells: Cells, name: str = "value") -> tuple[str, str | None]:
    (column,), _, _ = proposed({name: cells})
    return column.kind.value.removeprefix("Edm."), column.specifier


@pytest.mark.parametrize(
    ("cells", "kind", "specifier"),
    [
        (["true", "FALSE", None], "Boolean", None),
        (["0", "1"], "Int32", None),
        (["true", "1"], "String", None),
        (["t", "f"], "String", None),
        (["0", "-5", " 7 "], "Int32", None),
        (["2147483647", "-2147483648"], "Int32", None),
        (["2147483648", "1"], "Int64", None),
        (["9223372036854775807"], "Int64", None),
        (["9223372036854775808"], "String", None),
        (["4111111111111111111111"], "String", None),
        (["007", "12"], "String", None),
        (["+49", "12"], "String", None),
        (["00.5", "1.5"], "String", None),
        (["1.", "2."], "String", None),
        (["1.5", "2"], "Decimal", None),
        ([".5", "-0.25"], "Decimal", None),
        (["1e5", "2.5E-3"], "Double", None),
        (["0.1234567890123456789", "1.5"], "Double", None),
        (["0x1F", "1"], "String", None),
        (["nan", "1.5"], "String", None),
        (["1_000", "5"], "String", None),
        (["555 123 456"], "String", None),
        (["0f8fad5b-d9cb-469f-a165-70867728950e", "{7C9E6679-7425-40DE-944B-E07FC1F90AE7}"], "Guid", None),
        (["0f8fad5bd9cb469fa16570867728950e"], "String", None),
        (["2026-01-31", "2024-02-29"], "Date", None),
        (["2026-02-29"], "String", None),
        (["2026-01-31", "2026-01-31T10:00Z"], "DateTimeOffset", None),
        (["2026-01-31 10:00:00.123456"], "DateTimeOffset", None),
        (["2026-01-31T10:00:00.1234567+01:00"], "DateTimeOffset", "o"),
        (["31/12/2025", "1/2/2026"], "Date", "dd/MM/yyyy"),
        (["12/31/2025", "1/2/2026"], "Date", "MM/dd/yyyy"),
        (["01/02/2026", "12/12/2026"], "String", None),
        (["13/01/2026", "01/13/2026"], "String", None),
        (["31.12.2025"], "Date", "dd.MM.yyyy"),
        (["01.12.2025"], "String", None),
        (["31-12-2025"], "Date", "dd-MM-yyyy"),
        (["2025/12/31"], "Date", "yyyy/MM/dd"),
        (["20251231", "20260101"], "Date", "yyyyMMdd"),
        (["20251201", "20260101"], "Int32", None),
        (["31.12.2025 9:05", "01.02.2026 23:59"], "DateTimeOffset", "dd.MM.yyyy HH:mm"),
        (["12/31/2025 1:05:09 PM"], "DateTimeOffset", "MM/dd/yyyy h:mm:ss tt"),
        (["31.12.25"], "String", None),
        ([None, " ", "\t"], "String", None),
        ([], "String", None),
    ],
)
@pytest.mark.lengthy
def test_types(cells: Cells, kind: str, specifier: str | None) -> None:
    assert one(cells) == (kind, specifier)


@pytest.mark.lengthy
def test_the_last_cell_decides_as_much_as_the_first() -> None:
    many: list[str | None] = ["5"] * 10_000
    assert one([*many, "5"])[0] == "Int32"
    assert one([*many, "5.5"])[0] == "Decimal"
    assert one([*many, "five"])[0] == "String"
    assert one([*[None] * 10_000, "5"])[0] == "Int32"
    assert one([*["01/01/2026"] * 10_000, "01/13/2026"]) == ("Date", "MM/dd/yyyy")


@pytest.mark.lengthy
def test_digits_of_an_id_are_no_date() -> None:
    assert one(["20251231"], "order_id") == ("Int32", None)


@pytest.mark.parametrize(
    ("columns", "culture", "kinds"),
    [
        ({"a": ["12,50", "1.234,5"], "b": ["7", "8"]}, "de-DE", ["Decimal", "Int32"]),
        ({"a": ["1,234.50"], "b": ["1,234"]}, "en-US", ["Decimal", "Int32"]),
        ({"a": ["1'234.50"]}, "de-CH", ["Decimal"]),
        ({"a": ["1,234"]}, "", ["String"]),
        ({"a": ["12,5"], "b": ["1.5"]}, "", ["String", "Decimal"]),
        ({"a": ["12,5"], "b": ["1.5"], "c": ["0,75"]}, "de-DE", ["Decimal", "String", "Decimal"]),
        ({"a": ["12,5"], "b": ["555 123 456"]}, "de-DE", ["Decimal", "String"]),
        ({"a": ["12.5"]}, "", ["Decimal"]),
        ({"a": ["a,b"]}, "", ["String"]),
    ],
)
@pytest.mark.lengthy
def test_cultures(columns: dict[str, Cells], culture: str, kinds: list[str]) -> None:
    found, taken, notes = proposed(columns)
    assert (taken, [column.kind.value.removeprefix("Edm.") for column in found]) == (culture, kinds)
    assert any("acceptLanguage" in note for note in notes) is (bool(culture) or columns == {"a": ["1,234"]})


@pytest.mark.lengthy
def test_a_culture_that_is_given_stays() -> None:
    for culture in ("", "en-US"):
        found, taken, _ = proposed({"a": ["12,50"]}, MappingFormat.from_request({"acceptLanguage": culture}))
        assert (taken, found[0].kind.value) == (culture, "Edm.String")


@pytest.mark.lengthy
def test_what_cannot_be_told_is_said() -> None:
    _, _, notes = proposed({"zip": ["01099"], "day": ["01/02/2026"], "void": [None], "n": ["1"]})
    assert [("'zip'" in note, "'day'" in note, "'void'" in note) for note in notes] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


@pytest.mark.lengthy
def test_counts_are_those_of_the_values() -> None:
    (number, guid, text), _, _ = proposed(
        {
            "n": ["1.50", "1.5", None, " "],
            "g": ["0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B-D9CB-469F-A165-70867728950E", None, None],
            "t": ["a", "a ", "A", "  "],
        }
    )
    assert [(c.counted.empty, c.counted.filled, c.counted.distinct) for c in (number, guid, text)] == [
        (2, 2, 1),
        (2, 2, 1),
        (1, 3, 3),
    ]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=0, max_size=9)))
@settings(max_examples=examples(12))
@pytest.mark.lengthy
def test_columns_are_typed_each_for_itself(cells: list[str]) -> None:
    """However columns are laid together, each is proposed and counted as it is alone."""
    columns: dict[str, Cells] = {
        "mixed": cells,
        "numbers": [str(len(cell)) for cell in cells],
        "dates": [f"2026-01-{len(cell) + 1:02}" for cell in cells],
        "reversed": [cell[::-1] or None for cell in cells],
    }
    together, _, _ = proposed(columns, MappingFormat.from_request({"acceptLanguage": ""}))
    for column in together:
        ((alone,), _, _) = proposed(
            {column.name: columns[column.name]}, MappingFormat.from_request({"acceptLanguage": ""})
        )
        assert (alone.kind, alone.specifier, alone.counted) == (column.kind, column.specifier, column.counted)


def test_columns_that_no_mapping_can_name_are_left_out() -> None:
    usable, notes = usable_columns(["a", "", "b", "b", "x" * 600, "sig=abc", "A"])
    assert usable == {0: "a", 6: "A"}
    assert len(notes) == 4
    assert "abc" not in "".join(notes)
    assert "x" * 100 not in "".join(notes)
