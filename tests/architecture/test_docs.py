"""The documents say what the code does."""

import json
import re
from pathlib import Path

from infra.configuration_page import PAGE, render
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
# Links and paths in back quotes that lead into the repository.
PATH_IN_TEXT = re.compile(
    r"`((?:shared|infra|tests|docs|samples|benchmarks|honesty)/[\w./-]*)`|\]\((?!https?:)([\w./-]+)\)"
)

SINGLE_TEST = re.compile(r"`(tests/[\w./-]+\.py)::(\w+)`")
GUARANTEES = ROOT / "docs" / "guarantees.md"


def test_the_configuration_page_is_generated_from_the_settings() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `make docs`"


def test_the_sample_settings_hold_every_schedule_and_limit() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    for name in Settings.model_fields:
        if name.endswith("_schedule") or name.startswith("max_") or name == "export_retention_days":
            default = Settings.model_fields[name].default
            assert sample[name.upper()] == str(default)


def test_schedules_of_triggers_are_settings() -> None:
    declared = {f"%{name.upper()}%" for name in Settings.model_fields}
    used = {
        match
        for path in (ROOT / "shared" / "triggers").glob("*.py")
        for match in re.findall(r"%[A-Z_]+%", path.read_text(encoding="utf-8"))
    }
    assert used
    assert used <= declared


def test_paths_in_documents_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md"), *(ROOT / "infra").glob("azure/*.md")]
    for page in pages:
        for quoted, linked in PATH_IN_TEXT.findall(page.read_text(encoding="utf-8")):
            target = ROOT / quoted if quoted else page.parent / linked
            assert target.exists(), f"{page.name} names {quoted or linked}, which does not exist"


def test_each_guarantee_names_the_single_tests_that_prove_it() -> None:
    rows = [line.split(" | ") for line in GUARANTEES.read_text(encoding="utf-8").splitlines() if line[:4] == "| **"]
    assert rows
    for promise, *_, proof in rows:
        assert SINGLE_TEST.search(proof), f"nothing proves {promise}"
        assert not SINGLE_TEST.sub("", proof).strip(" ,|"), f"the proof of {promise} names more than single tests"
