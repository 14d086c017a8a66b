"""Several worker processes, as `FUNCTIONS_WORKER_PROCESS_COUNT` asks for."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.azurite import StartError
from infra.local.stack import RunningStack, running_stack, start_stack
from tests.host.host import SAMPLE_APP
from tests.local.conftest import SampleApp
from tests.local.test_lifecycle import gone
from tests.local.waiting import eventually
from tests.thorough import only_thorough

pytestmark = pytest.mark.lengthy

TWO = {"FUNCTIONS_WORKER_PROCESS_COUNT": "2"}


def workers(running: RunningStack) -> set[int]:
    """Process ids of all that run functions."""
    app = SampleApp(running)
    try:
        return {int(app.http.get("/pid").text) for _ in range(4)}
    finally:
        app.close()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleApp]:
    with running_stack(tmp_path_factory.mktemp("two"), TWO, SAMPLE_APP) as running:
        app = SampleApp(running)
        yield app
        app.close()


def test_two_processes_take_turns(two: SampleApp) -> None:
    found = workers(two.running)
    assert len(found) == 2
    assert two.running.functions_host_pid() in found
    body = os.urandom(3_000_000)
    for _ in range(2):
        assert two.http.post("/echo/x", content=body).content == body


def test_failures_in_either_are_told(two: SampleApp) -> None:
    for _ in range(2):
        assert two.http.get("/broken").status_code == 500
    two.queue("work").send_message("fail at once")
    poison = two.queue("work-poison")
    eventually(lambda: poison.get_queue_properties().approximate_message_count == 1)
    done = two.queue("done")
    done.create_queue()
    for text in ("one", "another"):
        two.queue("work").send_message(text)
    eventually(lambda: done.get_queue_properties().approximate_message_count == 2)


def test_the_second_has_a_log_of_its_own_without_secrets(two: SampleApp) -> None:
    workers(two.running)
    for name in ("functions.log", "functions-2.log"):
        text = (two.running.state_dir / name).read_text()
        assert "[http_api " in text
        assert "asked for its pid, AccountKey=***;" in text
        assert "verysecret" not in text


def test_no_worker_outlives_the_host(tmp_path: Path) -> None:
    running = start_stack(tmp_path, TWO, SAMPLE_APP)
    pids = list(workers(running))
    assert running.kill_functions_host() == 1
    eventually(lambda: gone(pids))


@only_thorough
def test_the_host_ends_with_a_worker(tmp_path: Path) -> None:
    running = start_stack(tmp_path, TWO, SAMPLE_APP)
    [second] = workers(running) - {running.functions_host_pid()}
    os.kill(second, signal.SIGKILL)
    assert running.process.wait(15) == 1
    assert "Worker 2 ended" in (tmp_path / "functions.log").read_text()


@only_thorough
def test_an_app_that_the_second_cannot_load_fails_the_start(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    app = (SAMPLE_APP / "function_app.py").read_text(encoding="utf-8")
    only_once = "import os, pathlib\nmark = pathlib.Path(__file__).with_name('mark')\nmark.mkdir()\n"
    (tmp_path / "function_app.py").write_text(only_once + app.partition('"""')[2].partition('"""')[2], encoding="utf-8")
    with pytest.raises(StartError, match="mark"):
        start_stack(tmp_path / "state", TWO | {"WORK_QUEUE": "work", "TICK_SCHEDULE": "0 0 0 1 1 *"}, tmp_path)
