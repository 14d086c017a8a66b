"""Whatever is logged about a run names it, so that an operator finds all of it by one search."""

import logging
from collections.abc import Iterator

import pytest

from shared.deadline import new_thread, pool_of_threads
from shared.messages.ingest import give_up, handle_message
from shared.telemetry.logs import at_run, name_runs_in_logs
from tests.ingest.conftest import World

logger = logging.getLogger("shared.tests")


@pytest.fixture(autouse=True)
def _named(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    factory = logging.getLogRecordFactory()
    caplog.set_level(logging.DEBUG)
    name_runs_in_logs()
    yield
    logging.setLogRecordFactory(factory)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.partition(".")[0] == "shared"]


def test_every_line_of_an_ingestion_does(world: World, caplog: pytest.LogCaptureFixture) -> None:
    run_id = world.queue(world.upload("a.csv", 'page\n/home\n"x"y\n'))
    caplog.clear()
    handle_message(world.services, {"hub": world.hub, "connector": "Landing", "runId": run_id}, "message-1")
    assert any("files of 1 blobs committed" in line for line in lines(caplog))
    assert any(line.startswith("run finished") for line in lines(caplog))
    assert [line for line in lines(caplog) if run_id not in line] == []


def test_so_does_what_went_wrong(world: World, caplog: pytest.LogCaptureFixture) -> None:
    run_id = world.queue(world.upload("a.csv", "nothing that fits\n1\n"))
    caplog.clear()
    for work in (handle_message, lambda services, message, _: give_up(services, message)):
        work(world.services, {"hub": world.hub, "connector": "Landing", "runId": run_id}, "message-1")
    assert lines(caplog)
    assert [line for line in lines(caplog) if run_id not in line] == []


def test_threads_that_work_for_a_run_do_too(caplog: pytest.LogCaptureFixture) -> None:
    with at_run("a1"):
        with pool_of_threads(1) as pool:
            pool.submit(logger.info, "100 %% of %s", "it").result()
        thread = new_thread(lambda: logger.info("done"), "worker")
        thread.start()
        thread.join()
    logger.info("at no run")
    logging.getLogger("azure").info("with at_run or not")
    assert lines(caplog) == ["100 % of it [run a1]", "done [run a1]", "at no run"]
    assert [getattr(record, "run_id", None) for record in caplog.records] == ["a1", "a1", None, None]
