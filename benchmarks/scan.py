"""The CSV reader alone, in seconds of CPU: how fast its structural scan is, and what faults in a file cost."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from benchmarks.bench import Bench
from benchmarks.report import Bar
from shared.csv.read_csv import WINDOW_BYTES, read_csv
from shared.csv.structure import scan
from shared.domain.csv_dialect import CsvDialect

GB_PER_S = 0.4
ONE_BAD_TIMES, ONE_PERCENT_TIMES, ALL_BROKEN_TIMES = 1.2, 5, 1.1
RUNS = 5
_HEADER = b"id,name,city,points,note\n"
_PLAIN = b"%d,customer %d,Utrecht,%d,a note about number %d\n"
_QUOTED = b'%d,"customer, %d",Utrecht,%d,"a ""note"" about number %d"\n'
# A quote inside a bare cell.
_STRAY = b'%d,customer %d,Utr"echt,%d,a note about number %d\n'
_CHUNK = 4 * 1024**2


def measure_scan(bench: Bench) -> Iterator[Bar]:
    """The scan in bytes a second, and dirty files against a clean one of the same rows."""
    for name, row in (("quote-free", _PLAIN), ("quoted", _QUOTED)):
        yield _scan_speed(name, row, bench.sizes.scan_bytes)
    for name, row in (("quote-free", _PLAIN), ("quoted", _QUOTED)):
        yield from _dirty(name, row, bench.sizes.reader_rows)
    yield _all_broken(bench.sizes.broken_rows)


def _scan_speed(name: str, row: bytes, size: int) -> Bar:
    data = _file(row, rows=size // len(row) + 1)
    seconds = median(_cpu_s(lambda: _scan_all(data)) for _ in range(RUNS))
    figure = len(data) / 1e9 / seconds
    return Bar(f"scan  structural scan, {name}", figure, GB_PER_S, " GB/s", measured=f"{len(data) / 1e6:.0f} MB")


def _scan_all(data: bytes) -> None:
    at = 0
    while at < len(data):
        stop = min(at + WINDOW_BYTES, len(data))
        found = scan(data, at, stop, at_end=stop == len(data), delimiter=ord(","), quote=ord('"'), max_row_lines=1_000)
        at += found.used


def _dirty(name: str, row: bytes, rows: int) -> Iterator[Bar]:
    clean = _file(row, rows)
    one_bad, one_percent = _file(row, rows, every=rows), _file(row, rows, every=100)
    seconds: dict[bytes, list[float]] = {clean: [], one_bad: [], one_percent: []}
    # In turns, so that whatever else the machine does falls on all of them.
    for _ in range(RUNS):
        for data, taken in seconds.items():
            taken.append(_cpu_s(partial(_read, data, rows)))
    peer = median(seconds[clean])
    for what, data, bound in (
        (f"1 bad row in {rows:,}", one_bad, ONE_BAD_TIMES),
        ("1 % stray quotes", one_percent, ONE_PERCENT_TIMES),
    ):
        figure = median(seconds[data]) / peer
        measured = f"{median(seconds[data]):.2f} s, clean {peer:.2f} s of CPU"
        yield Bar(f"scan  {what} / clean file, {name}", figure, bound, at_most=True, measured=measured)


def _all_broken(rows: int) -> Bar:
    data = _file(_STRAY, rows)
    ours, peer = [], []
    for _ in range(RUNS):
        ours.append(_cpu_s(lambda: _read(data, rows)))
        peer.append(_cpu_s(lambda: _read(data, rows, carefully=True)))
    measured = f"{rows:,} rows, {median(ours):.2f} s, the careful reader {median(peer):.2f} s of CPU"
    figure = median(ours) / median(peer)
    return Bar(
        "scan  every row broken / careful reader alone", figure, ALL_BROKEN_TIMES, at_most=True, measured=measured
    )


def _file(row: bytes, rows: int, every: int = 0) -> bytes:
    """A file; of each `every` rows the one in the middle has a stray quote."""
    middle = every // 2
    parts = [_HEADER]
    for number in range(rows):
        form = _STRAY if every and number % every == middle else row
        parts.append(form % (number, number, number % 1000, number))
    return b"".join(parts)


def _read(data: bytes, rows: int, *, carefully: bool = False) -> None:
    reader = read_csv((data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)), CsvDialect())
    if carefully:
        reader.read_header()
        # The peer: the scan never gets anything to do.
        reader.pace.careful_rows = rows
    for _ in reader:
        pass
    if reader.rows + reader.rejected != rows:
        raise RuntimeError(f"{reader.rows} rows and {reader.rejected} rejects instead of {rows}")


def _cpu_s(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
