"""Spans and metrics cost nothing where no endpoint is set, and hold up no work where it does not answer."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.deadline import new_thread, pool_of_threads
from shared.domain.errors import CommitConflictError
from shared.lake.log.retry import until_won
from shared.settings import Settings
from shared.telemetry.logs import at_run
from shared.telemetry.spans import function_span, span
from tests.telemetry.otlp_collector import exported, facts

ROOT = Path(__file__).parents[2]


def loaded_after(work: str, **settings: str) -> set[str]:
    """The packages of OpenTelemetry that a new process has loaded after some work."""
    tell = (
        "import os, sys; print(*(name for name in sys.modules if name.startswith('opentelemetry')), flush=True); "
        "os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{work}; {tell}"],
        cwd=ROOT,
        env={"HUB_STORAGE": "UseDevelopmentStorage=true", **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


START = "from shared.app import services; services()"
RECORD = "from shared.telemetry.spans import span; span('stage').__enter__()"


def test_nothing_is_loaded_without_an_endpoint() -> None:
    assert loaded_after(f"import function_app; {START}; {RECORD}") == set()


def test_with_one_it_is_loaded_for_the_first_span() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert loaded_after(f"import function_app; {START}", **endpoint) == set()
    assert "opentelemetry.sdk.trace" in loaded_after(f"{START}; {RECORD}", **endpoint)


def test_the_host_exports_none_of_it_a_second_time() -> None:
    """Told so, it sends logs and requests to the same endpoint, and has the worker record what libraries do."""
    assert "telemetryMode" not in json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    settings = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    assert not settings.keys() & {"PYTHON_ENABLE_OPENTELEMETRY", "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"}


def test_what_is_set_must_be_a_url() -> None:
    with pytest.raises(ValueError, match="otel_exporter_otlp_endpoint"):
        Settings(otel_exporter_otlp_endpoint="collector:4318")


def test_no_work_waits_for_a_collector_that_does_not_answer() -> None:
    with exported(Settings()) as collected:
        collected.may_answer.clear()
        began = time.monotonic()
        for _ in range(1000):
            with span("stage"):
                pass
        assert time.monotonic() - began < 2
    assert len(collected.spans) == 1000


def test_threads_that_work_for_a_step_are_within_it() -> None:
    def read() -> None:
        with span("read"):
            pass

    with exported(Settings()) as collected, at_run("a1"), function_span("ingest_blob"):
        with pool_of_threads(1) as pool:
            pool.submit(read).result()
        thread = new_thread(read, "worker")
        thread.start()
        thread.join()
    work = collected.span("ingest_blob")
    read_by_threads = [each for each in collected.spans if each.name == "read"]
    assert [each.parent_span_id for each in read_by_threads] == [work.span_id] * 2
    assert [facts(each.attributes)["run.id"] for each in read_by_threads] == ["a1", "a1"]


def test_commits_that_are_done_again_are_counted() -> None:
    others = iter([CommitConflictError("CommitConflict", "another was first")] * 2)

    def commit() -> bool:
        if (lost := next(others, None)) is not None:
            raise lost
        return True

    with exported(Settings()) as collected:
        assert until_won(commit)
    retries = collected.metrics["connector.commit.retries"]
    assert (retries.unit, [point.as_int for point in retries.sum.data_points]) == ("{retry}", [2])
