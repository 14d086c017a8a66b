"""The commands of the pages can be run as they stand, and only the app is published."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient

from infra.local.state_dir import Stack
from shared.domain.function_names import FUNCTIONS
from tests.infra.test_bicep import AZURE, MAIN, ROOT, TEMPLATES

PAGES = [AZURE / "README.md", ROOT / "docs" / "runbook.md"]
# Variables that a person sets by hand, as the pages say.
BY_HAND = {"HUB", "RUN_ID", "CONNECTOR", "MAPPING", "LANDING_ID", "VAULT_ID"}
PUBLISHED = ["function_app.py", "host.json", "requirements.txt", "shared/app.py", "shared/domain/names.py"]
LOCAL = [
    ".venv/bin/python",
    ".ci/run",
    "benchmarks/__main__.py",
    "docs/runbook.md",
    "honesty/__main__.py",
    "infra/azure/main.bicep",
    "infra/local/stack.py",
    "local.settings.json",
    "local.settings.sample.json",
    "samples/customers.csv",
    "tests/conftest.py",
]


def test_the_page_counts_the_functions() -> None:
    assert f"must show {len(FUNCTIONS)} functions" in PAGES[0].read_text(encoding="utf-8")


def run(block: str, stack: Stack) -> str:
    """Runs commands of the page against the local stack, which asks for no key."""
    environment = {"URL": stack.functions_url, "KEY": "none", "SECRET_URL": stack.storage_secret_url}
    [api] = [
        line for page in PAGES for each in commands(page) for line in each.splitlines() if line.startswith("api()")
    ]
    shell = ["bash", "-euo", "pipefail", "-c", f"{api}\n{block}"]
    return subprocess.run(shell, check=True, capture_output=True, text=True, env={**os.environ, **environment}).stdout


def test_the_check_of_the_page_finds_its_run(stack: Stack) -> None:
    ready, define, find = [block for block in commands(PAGES[0]) if re.search(r"^api ", block, re.M)]
    assert '"Ready"' in run(ready.splitlines()[-1], stack)
    # The stack is that of other tests as well, whose hubs read a container of this name.
    container = "smoke-inbox"
    assert '"inbox/smoke"' in define
    run(define.replace('"inbox/smoke"', f'"{container}/smoke"'), stack)
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as storage:
        inbox = storage.create_container(container)
        inbox.upload_blob("smoke/customers.csv", (ROOT / "samples" / "customers.csv").read_bytes())
    answer = run(find, stack)
    assert "smoke/customers.csv" in answer
    assert '"CustomerId":"C0001"' in answer


def commands(page: Path) -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_shell(page: Path) -> None:
    blocks = commands(page)
    assert blocks
    for block in blocks:
        checked = subprocess.run(["bash", "-n"], check=False, input=block, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr + block


def test_commands_use_variables_that_were_set_before() -> None:
    known = set(BY_HAND)
    for block in [block for page in PAGES for block in commands(page)]:
        for line in block.splitlines():
            used = set(re.findall(r"(?<!\\)\$\{?([A-Za-z_]\w*)", line))
            assigned = set(re.findall(r"(?:^|[ ;(])([A-Za-z_]\w*)=", line)) | set(re.findall(r"\bfor (\w+) in", line))
            assert used <= known | assigned, f"{used - known} is used before it is set: {line}"
            known |= assigned


def test_outputs_and_parameters_that_commands_name_exist() -> None:
    text = "\n".join(block for page in PAGES for block in commands(page))
    outputs = set(re.findall(r"\$\(output (\w+)\)", text))
    assert outputs
    assert outputs <= set(MAIN.outputs)
    parameters = set(re.findall(r"^ +(\w+)=", text, re.M))
    assert parameters
    assert parameters <= {*MAIN.parameters, *TEMPLATES["subscription.bicep"].parameters}


def ignored(path: str, folder: Path) -> bool:
    """Whether `.funcignore`, which has the rules of `.gitignore`, keeps a path from being published."""
    rules = f"core.excludesFile={ROOT / '.funcignore'}"
    asked = ["git", "-c", rules, "check-ignore", "--no-index", "-q", path]
    found = subprocess.run(asked, check=False, cwd=folder)
    assert found.returncode in {0, 1}
    return found.returncode == 0


def test_only_the_app_is_published(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert (ROOT / ".funcignore").is_file()
    assert [path for path in PUBLISHED if ignored(path, tmp_path)] == []
    assert [path for path in LOCAL if not ignored(path, tmp_path)] == []
