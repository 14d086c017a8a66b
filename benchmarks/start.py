"""Cold start: importing the app, and the first HTTP answer of a fresh functions process."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

import httpx

from benchmarks.bench import Bench
from benchmarks.report import Bar
from infra.local.children import Child
from infra.local.settings import REPOSITORY, app_settings, host_environment
from infra.local.stack import running_azurite

IMPORT_S, ANSWER_S = 0.8, 1.5
ENDS_WITHIN_S = 12
PATIENCE_S = 60


def measure_start(bench: Bench) -> Iterator[Bar]:
    """Seconds, each from the start of a new process."""
    imports = [_import_seconds() for _ in range(bench.sizes.starts)]
    yield Bar("start  import function_app", median(imports), IMPORT_S, " s", at_most=True, measured=_each(imports))
    with running_azurite(bench.folder / "start-azurite") as azurite:
        answers = [_answer_seconds(bench, azurite.connection_string) for _ in range(bench.sizes.starts)]
    yield Bar(
        "start  first answer of GET /hubs", median(answers), ANSWER_S, " s", at_most=True, measured=_each(answers)
    )


def _import_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import function_app"], cwd=REPOSITORY, check=True)
    return time.perf_counter() - began


def _answer_seconds(bench: Bench, storage: str) -> float:
    """From the start of the process to the answer; the request waits at its port from the beginning."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/hubs"
        state = bench.folder / "start-host"
        state.mkdir(exist_ok=True)
        computed = {
            "AzureWebJobsStorage": storage,
            "HUB_STORAGE": storage,
            "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
            # Nothing that is measured asks it.
            "KEY_VAULT_URL": "http://127.0.0.1:1",
        }
        command = [sys.executable, "-m", "infra.local.functions_host", "--fd", str(listener.fileno())]
        command += ["--app", str(REPOSITORY), "--state", str(state)]
        environment = host_environment(app_settings(REPOSITORY, None), computed, os.environ)
        began = time.perf_counter()
        host = Child("the functions host", command, environment, cwd=str(REPOSITORY), pass_fds=[listener.fileno()])
        try:
            answer = httpx.get(url, timeout=PATIENCE_S, trust_env=False)
            seconds = time.perf_counter() - began
        finally:
            host.stop(ENDS_WITHIN_S)
    answer.raise_for_status()
    return seconds


def _each(seconds: list[float]) -> str:
    return "each " + ", ".join(f"{second:.2f}" for second in seconds) + " s"
