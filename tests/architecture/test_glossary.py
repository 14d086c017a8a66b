"""The glossary and the code speak the same words: one per notion, and the field's own where it has one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
MODULES = sorted((ROOT / "shared").rglob("*.py"))
MOST_WORDS = 40

# Home-made words, and what the glossary calls the notion.
NO_NAMES = {
    "turn": "permit",
    "turns": "permits",
    "look": "consistent read",
    "looks": "consistent reads",
    "fold": "merge, or rebase",
    "folded": "merged, or rebased",
    "vain": "unsuccessful",
    "mended": "fixed",
    "brought": "committed",
    "dear": "expensive",
}
NO_PHRASES = {
    r"\bin vain\b": "unsuccessful, exhausted",
    r"\bbrought in\b": "committed",
    r"\bput back\b": "requeued",
    r"\bmended\b": "fixed",
    r"\bdear\b": "expensive",
    r"\bblotted out\b": "redacted",
    r"\bgiven up for dead\b": "presumed lost",
    r"\bNone where there (?:is|are) none\b": "or None",
}


def words() -> list[str]:
    """What stands in the first column of the glossary's tables."""
    rows = re.findall(r"^\| (?!word |---)([^|]+) \|", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    return [word.strip() for row in rows for word in row.split(",")]


def names(tree: ast.Module) -> Iterator[str]:
    """What a module names itself: functions, classes, arguments, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def parts(name: str) -> list[str]:
    """The words of a name: `has_turn` and `AccountTurns` hold `turn` and `turns`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")


def texts(tree: ast.Module) -> Iterator[str]:
    """Docstrings and messages, in one line each."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())


def test_the_glossary_is_short_and_names_nothing_twice() -> None:
    found = words()
    assert len(found) == len(set(found)) <= MOST_WORDS


def test_every_word_of_the_glossary_is_used() -> None:
    """In names, docstrings or messages; a compound by its last word."""
    sources = " ".join(path.read_text(encoding="utf-8") for path in MODULES).lower()
    assert [word for word in words() if not re.search(rf"\b{re.escape(word.split()[-1].lower())}", sources)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_and_no_text_uses_a_home_made_word(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [*names(tree), path.stem]
    assert {name: NO_NAMES[part] for name in named for part in parts(name) if part in NO_NAMES} == {}
    found = {phrase: text for text in texts(tree) for phrase in NO_PHRASES if re.search(phrase, text)}
    assert {NO_PHRASES[phrase]: text for phrase, text in found.items()} == {}
