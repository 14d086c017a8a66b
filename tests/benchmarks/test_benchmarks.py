"""Every benchmark runs, on sizes that say nothing about speed, and says what it measured."""

import os
from pathlib import Path

import pytest

from benchmarks.__main__ import MEASUREMENTS, main, measurement
from benchmarks.bench import Bench, Sizes
from benchmarks.report import Bar
from tests.thorough import only_thorough

pytestmark = pytest.mark.lengthy

TINY = Sizes(
    runs=1,
    starts=1,
    large_rows=2_000,
    flat_rows=(1_000,),
    export_rows=1_000,
    dlt_rows=1_000,
    table_rows=200,
    blobs=4,
    rows_per_blob=10,
    reader_rows=1_000,
    broken_rows=100,
    scan_bytes=1_000_000,
    rejects=300,
)
BARS = {"start": 2, "scan": 7, "rejects": 3, "blobs": 1, "peers": 2, "ingest": 3, "export": 2}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in {"start", "scan"} else only_thorough) for name in MEASUREMENTS]
)
def test_a_benchmark_says_what_it_measured(name: str, tmp_path: Path) -> None:
    if name == "peers" and not Path(os.environ.get("BENCH_DLT_PYTHON", ".cache/dlt/bin/python")).exists():
        pytest.skip("dlt is installed by `make bench` only")
    bars = list(measurement(name)(Bench(tmp_path, TINY)))
    assert len(bars) == BARS[name]
    assert all(bar.figure > 0 for bar in bars)


@pytest.mark.parametrize(
    ("figure", "at_most", "is_met"),
    [(2.0, False, True), (1.9, False, False), (2.0, True, True), (2.1, True, False)],
)
def test_a_bar_says_whether_it_is_met(figure: float, at_most: bool, is_met: bool) -> None:
    bar = Bar("ingest", figure, 2, " s", at_most=at_most, measured="one run")
    assert bar.is_met is is_met
    assert str(bar).endswith("met" if is_met else "MISSED")
    assert f"{figure:g} s" in str(bar)


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "speed" in capsys.readouterr().err
