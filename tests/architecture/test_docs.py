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
