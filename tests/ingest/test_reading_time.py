"""When the time for a file is up: one that takes too long itself is refused, one that was held up is tried again."""

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from shared.app import Services
from shared.casts.type_rows import RowTyper
from shared.csv.read_csv import read_csv
from shared.csv.reading_time import OF_SAMPLE, ReadingTime
from shared.csv.rows import Rows
from shared.domain.blob_version import BlobVersion
from shared.domain.csv_dialect import CsvDialect
from shared.domain.documents.run import RunState
from shared.domain.errors import DataError, HubError, Recovery, UnavailableError, recovery
from shared.failpoints import FailPoint, arm
from shared.ingest.lines_apart import LinesApart
from shared.ingest.stage import typed_rows
from shared.messages.ingest import carry_out_run
from shared.settings import Settings
from tests.casts.typing_cases import NOW, RUN
from tests.csv.test_lines_apart import KIND, MAPPING
from tests.ingest.conftest import MESSAGE, World
from tests.ingest.working_clock import WorkingClock

PIECES = [b"word,count\n", *(b"w,%d\n" % number for number in range(40))]
# Seconds for a batch: of a processor, and of waiting for one, or for others.
WORK, WAIT = (10.0, 0.0), (0.0, 10.0)
MOSTLY_WORK, MOSTLY_WAIT = (9.0, 1.0), (1.0, 9.0)


class Typing(LinesApart):
    """Typing that takes its time."""

    def __init__(self, clock: WorkingClock, takes: tuple[float, float], *parts: Any) -> None:
        super().__init__(*parts)
        self._clock, self._takes = clock, takes

    def type(self, rows: Rows) -> Any:
        self._clock.take(*self._takes)
        return super().type(rows)


def read(clock: WorkingClock, steps: dict[str, tuple[float, float]], seconds: float | None) -> int:
    """Reads, types and takes the rows in their threads, each step as slow as it is said to be; gives their number."""

    def batches() -> Iterator[Rows]:
        for batch in reader:
            clock.take(*steps.get("reading", (0, 0)))
            yield batch

    time = ReadingTime(seconds)
    reader = read_csv(iter(PIECES), CsvDialect(), time=time, window_bytes=4, batch_rows=1)
    rows = 0
    with RowTyper(KIND, MAPPING, reader.read_header() or [], "a.csv", RUN, 7, NOW, Settings()) as typer:
        apart = Typing(clock, steps.get("typing", (0, 0)), reader, typer)
        with typed_rows(batches(), apart, time) as typed:
            for table, _ in time.working(typed):
                clock.take(*steps.get("writing", (0, 0)))
                rows += table.num_rows
    return rows


@pytest.mark.parametrize("step", ["reading", "typing", "writing"])
@pytest.mark.parametrize(
    ("takes", "code"),
    [(WORK, "TooSlow"), (MOSTLY_WORK, "TooSlow"), (MOSTLY_WAIT, "ReadingHeldUp"), (WAIT, "ReadingHeldUp")],
    ids=["work", "mostly work", "mostly waiting", "waiting"],
)
def test_a_file_is_judged_by_the_work_of_all_its_steps(
    monkeypatch: pytest.MonkeyPatch, step: str, takes: tuple[float, float], code: str
) -> None:
    clock = WorkingClock(monkeypatch)
    with pytest.raises(HubError, match="within 120 seconds") as ended:
        read(clock, {step: takes}, 120)
    assert ended.value.code == code
    assert clock.now < 240, "it ends when its time is up"
    assert isinstance(ended.value, DataError if code == "TooSlow" else UnavailableError)
    assert (recovery(ended.value) is Recovery.RETRY) == (code == "ReadingHeldUp")


def test_steps_that_work_side_by_side_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WorkingClock(monkeypatch)
    with pytest.raises(DataError, match="TooSlow"):
        read(clock, dict.fromkeys(("reading", "typing", "writing"), (3.0, 1.0)), 120)


def test_a_file_that_is_read_in_its_time_is_read_however_slowly_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WorkingClock(monkeypatch)
    assert read(clock, {"writing": WAIT}, 1000) == len(PIECES) - 1
    assert clock.now == 400


def test_what_other_work_a_thread_did_before_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WorkingClock(monkeypatch)
    clock.work(1000)
    with pytest.raises(UnavailableError, match=r"the work at it took 0\.0 of them"):
        read(clock, {"writing": WAIT}, 120)


@pytest.mark.parametrize("code", ["TooSlow", "ReadingHeldUp", "SourceTooSlow"])
def test_a_run_and_whoever_asks_for_a_sample_are_told_what_they_can_do(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    clock = WorkingClock(monkeypatch)
    told = []
    for options in ([], [OF_SAMPLE]):
        time = ReadingTime(60, *options)
        match code:
            case "TooSlow":
                clock.work(60)
            case "ReadingHeldUp":
                clock.wait(60)
            case _:
                list(time.waiting(clock.slow([b"x"], 60)))
        with pytest.raises(HubError) as ended:
            time.check("its byte 7")
        assert ended.value.code == code
        told.append(ended.value.message)
    of_run, of_sample = told
    assert "up to its byte 7" in of_run
    assert "fewer rows" not in of_run
    assert "run" not in of_sample
    assert "MAX_READ_MINUTES" not in of_sample


def test_a_run_that_was_held_up_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows wait for the lake for longer than a file may be read."""
    clock = WorkingClock(monkeypatch)
    rows = 24
    content = gzip.compress(b"page,beside\n" + b"/home,%s\n" % (b"x" * (1 << 20)) * rows, 1)
    etag = world.storage.get_blob_client(world.container, "a.csv.gz").upload_blob(content)["etag"]
    version = BlobVersion(world.container, "a.csv.gz", str(etag).strip('"'), len(content))
    settings = world.services.settings.model_copy(update={"max_read_minutes": 1, "max_gzip_ratio": 2000})
    services = Services(settings)
    arm(FailPoint.BATCH_STAGED, lambda: clock.wait(90))
    run_id = world.queue(version)
    with pytest.raises(UnavailableError, match="ReadingHeldUp"):
        carry_out_run(services, world.hub, run_id, MESSAGE)
    run = world.stored(run_id).run
    assert (run.state, run.error and run.error.code) == (RunState.QUEUED, "ReadingHeldUp")
    assert world.committed_rows == 0
    arm(FailPoint.BATCH_STAGED, lambda: None)
    carry_out_run(services, world.hub, run_id, MESSAGE)
    run = world.stored(run_id).run
    assert (run.state, run.rows_ingested) == (RunState.SUCCEEDED, rows)
