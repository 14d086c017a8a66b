"""The rules of the house that a machine can check: who imports what, sizes, and words."""

import ast
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = sorted(ROOT.glob("shared/**/*.py"))
PYTHON = [ROOT / "function_app.py", *SHARED, *sorted(ROOT.glob("infra/**/*.py")), *sorted(ROOT.glob("honesty/*.py"))]
PYTHON = [path for path in PYTHON if "node_modules" not in path.parts]
TREE = [
    *PYTHON,
    *(path for folder in ("tests", "benchmarks") for path in sorted(ROOT.glob(f"{folder}/**/*.py"))),
]

# Who may import what: a module's prefix, and the paths (below the root) that may.
OWNERS = {
    "azure.functions": ("shared/triggers/", "function_app.py"),
    "azure": ("shared/storage/", "infra/local/"),
    "deltalake": ("shared/lake/",),
    "duckdb": ("shared/engine/",),
    "fastapi": ("shared/http/",),
    "opentelemetry": ("shared/telemetry/",),
    "starlette": ("shared/http/", "infra/local/"),
}
BANNED = re.compile(r"(?:^|_)(manager|helpers?|utils?|common|base|handler|processor|misc)(?:_|$)", re.IGNORECASE)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_library_is_imported_where_it_belongs(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    for name in imports(path):
        owner = next((module for module in OWNERS if within(name, module)), None)
        if owner is None or name == "azure":
            continue
        assert place.startswith(OWNERS[owner]), f"{place} imports {name}, which belongs into {OWNERS[owner]}"


def test_no_folder_is_a_drawer() -> None:
    """A folder is a room with a subject; one of more than 15 modules has several."""
    modules = [path for path in TREE if path.name not in {"__init__.py", "__main__.py"}]
    sizes = Counter(str(path.parent.relative_to(ROOT)) for path in modules)
    assert {folder: size for folder, size in sizes.items() if size > 15} == {}


def test_no_module_imports_one_that_imports_it() -> None:
    """Not by way of others either, and not for types alone or within a function: a circle can only be read whole."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in PYTHON}
    below = {name: {found for found in imports(path) if found in modules} for name, path in modules.items()}
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' -> '.join(error.args[1])}")


def test_imports_run_one_way() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            limit = 15 if path.parent == ROOT / "shared" / "triggers" else 60
            assert length <= limit, f"{node.name} has {length} lines, {limit} are allowed"


def test_the_median_file_is_short() -> None:
    sizes = [count for path in SHARED if (count := path.read_text(encoding="utf-8").count("\n")) > 5]
    assert statistics.median(sizes) <= 120


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_says_nothing(path: Path) -> None:
    names = [path.stem, *path.parent.relative_to(ROOT).parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.append(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name))
    found = [name for name in names if BANNED.search(name)]
    assert not found
