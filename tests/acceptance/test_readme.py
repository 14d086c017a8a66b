"""The README's walk with curl does what it says, word for word."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.local.state_dir import Stack

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk needs curl")
def test_the_walk_with_curl(stack: Stack) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    walk = text[text.index("## A walk with curl") : text.index("## Deploy")]
    starts, *blocks = re.findall(r"```sh\n(.*?)```", walk, re.DOTALL)
    assert starts == "make up\n"
    state_dir = Path(stack.clock_file).parent
    script = "set -eu\n" + "\n".join(blocks)
    result = subprocess.run(
        ["sh", "-c", script],
        cwd=ROOT,
        env={**os.environ, "STATE_DIR": str(state_dir)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert '"state":"PartiallySucceeded"' in result.stdout
    assert "7,city,TextAfterQuote" in result.stdout
    assert re.search(r"Profile/Customer/year=\d{4}/month=\d\d/day=\d\d/hour=\d\d/min=\d\d/data\.csv", result.stdout)
    assert re.search(r"^C0003,München,2210,2023-07-01T00:00:00\.000000Z,20", result.stdout, re.MULTILINE)
