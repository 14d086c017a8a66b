"""How a cell of each type is read: a table of cases, and a slow second reading that must always agree."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.casts.type_rows import RowTyper
from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.fields import Field
from tests.casts.time_oracle import RefusedError
from tests.casts.type_oracle import Value, read_cell, same
from tests.casts.typing_cases import mapping_of, profile_type, type_cells, typer_of
from tests.thorough import examples

SCENARIOS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("typing.json").read_text(encoding="utf-8"))
IDS = [scenario["name"] for scenario in SCENARIOS]


def typer_for(scenario: dict[str, Any]) -> RowTyper:
    entity_type = profile_type(
        {"fieldName": "id", "fieldType": "Edm.String"}, {"fieldName": "value", **scenario["field"]}
    )
    formats = {"value": scenario["specifier"]} if "specifier" in scenario else None
    return typer_of(entity_type, mapping_of(entity_type, form=scenario.get("format"), formats=formats), ["id", "value"])


def oracle_for(scenario: dict[str, Any]) -> Callable[[str], tuple[Value, str | None]]:
    field = Field.from_request({"fieldName": "value", **scenario["field"]})
    form = MappingFormat.from_request(scenario.get("format", {}))

    def read(cell: str) -> tuple[Value, str | None]:
        try:
            return read_cell(cell, field, form, scenario.get("specifier")), None
        except RefusedError as refused:
            return None, refused.code

    return read


def in_json(value: Value) -> Any:
    match value:
        case list():
            return [in_json(item) for item in value]
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Decimal():
            text = f"{value:f}".rstrip("0").rstrip(".")
            return text.removeprefix("-") if value == 0 else text
        case _:
            return value


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_cells_are_read_or_refused_as_the_table_says(scenario: dict[str, Any]) -> None:
    expected: list[tuple[str, Any, str | None]] = [
        *((cell, value, None) for cell, value in scenario["reads"].items()),
        *((cell, None, code) for code, cells in scenario.get("refuses", {}).items() for cell in cells),
    ]
    with typer_for(scenario) as typer:
        found = type_cells(typer, [cell for cell, _, _ in expected])
    oracle = oracle_for(scenario)
    for (cell, value, code), (read, refused) in zip(expected, found, strict=True):
        assert (in_json(read), refused) == (value, code), cell
        assert type(in_json(read)) is type(value), cell
        second, second_refused = oracle(cell)
        assert (in_json(second), second_refused) == (value, code), f"the oracle, {cell}"


def mutated(seed: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A cell with up to two characters put in, taken out or replaced."""
    letters = st.sampled_from("0123456789+-.,:;TtZz eE'\\/|_xaAnif\u00a0\u202f\u2019\t\n{}()٣₂é😀 ")
    edits = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("+-=~"), letters), max_size=2)

    def edit(cell: str, changes: list[tuple[int, str, str]]) -> str:
        for at, kind, letter in changes:
            keep = cell[at + 1 :] if kind in "-=" else cell[at:]
            cell = cell[:at] + ("" if kind == "-" else letter) + keep
        return cell

    return st.builds(edit, seed, edits)


def near(scenario: dict[str, Any]) -> st.SearchStrategy[str]:
    """Cells of the table, numbers, dates and times as they are commonly written, and what comes of small changes."""
    known = [*scenario["reads"], *(cell for cells in scenario.get("refuses", {}).values() for cell in cells)]
    seeds = st.one_of(
        st.sampled_from(known),
        st.sampled_from([cell for other in SCENARIOS for cell in other["reads"]]),
        st.integers(-(2**70), 2**70).map(str),
        st.integers(-999_999, 999_999).map("{:,}".format),
        st.floats().map(repr),
        st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: f"{number:.25f}"),
        st.dates().map(str),
        st.datetimes(timezones=st.timezones() | st.none()).map(lambda moment: moment.isoformat()),
        st.datetimes().map(lambda moment: moment.strftime("%d/%m/%Y")),
        st.uuids().map(str),
        st.lists(st.sampled_from(known), max_size=3).map(";".join),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    )
    return mutated(seeds)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_two_readings_of_any_cell_agree(scenario: dict[str, Any]) -> None:
    oracle = oracle_for(scenario)
    typer = typer_for(scenario)

    @settings(
        max_examples=examples(40),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(near(scenario), min_size=1, max_size=40))
    def agree(cells: list[str]) -> None:
        for cell, (value, code) in zip(cells, type_cells(typer, cells), strict=True):
            expected, refused = oracle(cell)
            assert code == refused, cell
            assert same(value, expected), cell

    with typer:
        agree()


MARKS = st.text(st.characters(exclude_categories=["Cs", "L", "Nd"], exclude_characters="\0%"), max_size=2)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    directives=st.permutations(["%Y", "%m", "%d", "%H", "%M", "%S", "%%", "%a"]),
    marks=st.lists(MARKS, min_size=7, max_size=7),
    moments=st.lists(st.datetimes(), min_size=1, max_size=20),
)
def test_any_declared_format_reads_what_is_written_in_it(
    directives: list[str], marks: list[str], moments: list[datetime]
) -> None:
    specifier = "".join(part for pair in zip(directives, [*marks, ""], strict=True) for part in pair)
    typer = typer_for({"field": {"fieldType": "Edm.DateTimeOffset"}, "specifier": specifier})
    cells = [moment.strftime(specifier.strip().replace("%Y", f"{moment.year:04d}")) for moment in moments]
    with typer:
        found = type_cells(typer, cells)
    expected = [(moment.replace(microsecond=0, tzinfo=UTC), None) for moment in moments]
    assert found == expected
