"""The page about CSV and the scenarios name the same outcomes."""

import json
import re
from pathlib import Path

from shared.domain.documents.csv_format import MappingFormat
from tests.architecture.test_docs import ROOT

PAGE = (ROOT / "docs" / "csv-format.md").read_text(encoding="utf-8")
TESTS = ROOT / "tests"


def codes_of_the_page() -> set[str]:
    """Every code in the first column of a table."""
    first_cells = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    return {code for cell in first_cells for code in re.findall(r"`([A-Z]\w+)`", cell)}


def codes_of(expected: Path) -> set[str]:
    said = json.loads(expected.read_text(encoding="utf-8"))
    whole = {said[name] for name in ("error", "refusal") if name in said}
    return whole | {reject["code"] for reject in said.get("rejects", [])}


def test_every_outcome_of_the_page_has_a_scenario_and_the_other_way_round() -> None:
    typing = json.loads((TESTS / "casts" / "typing.json").read_text(encoding="utf-8"))
    tried = {code for scenario in typing for code in scenario.get("refuses", {})}
    for expected in TESTS.glob("*/scenarios/*/expected.json"):
        tried |= codes_of(expected)
    assert codes_of_the_page() == tried


def test_scenarios_that_the_page_names_exist() -> None:
    named = re.findall(r"`((?:csv|ingest)/[\w-]+)`", PAGE)
    assert named
    places = [TESTS / folder / "scenarios" / name for folder, name in (path.split("/") for path in named)]
    assert [place for place in places if not (place / "expected.json").is_file()] == []


def test_every_option_of_the_format_is_on_the_page() -> None:
    options = {name for name in MappingFormat().to_json() if name != "formatType"}
    assert {name for name in options if f"`format.{name}`" not in PAGE} == set()
