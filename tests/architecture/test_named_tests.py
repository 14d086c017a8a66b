"""Tests that the pages name as proof exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md"), *(ROOT / "infra").glob("**/README.md")])
NAMED = re.compile(r"(tests/[\w/.-]*\.py)::(\w+)")


def named(page: Path) -> list[tuple[str, str]]:
    return NAMED.findall(page.read_text(encoding="utf-8"))


@cache
def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("page", [page for page in PAGES if named(page)], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tests_that_a_page_names_exist(page: Path) -> None:
    for path, name in named(page):
        assert (ROOT / path).is_file(), f"{page.name} names {path}, which does not exist"
        assert name in names_in(ROOT / path), f"{page.name} names {path}::{name}, which does not exist"
