"""`make bench`: each figure against its bar and, where there is one, a peer that was measured in the same run."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from benchmarks.bench import Bench, Sizes
from benchmarks.report import Bar

# Each in a module of its own, loaded when it is asked for: the processes whose memory is measured load this one too.
MEASUREMENTS = ("start", "scan", "rejects", "blobs", "peers", "ingest", "export")
LONG_ROWS = 13_200_000
"""Rows of a file of 2 GB."""


def main(arguments: Sequence[str]) -> int:
    """Runs the measurements that are named, or all; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[[], *MEASUREMENTS], help=f"of {', '.join(MEASUREMENTS)}; else all")
    parser.add_argument("--long", action="store_true", help="also what takes minutes, as TEST_ALL=1 does")
    parser.add_argument("--runs", type=int, default=Sizes().runs, help="repetitions whose median counts")
    asked = parser.parse_args(arguments)
    sizes = Sizes(runs=asked.runs)
    if asked.long or os.environ.get("TEST_ALL"):
        sizes = replace(sizes, flat_rows=(*sizes.flat_rows, LONG_ROWS))
    return 0 if run(asked.name or list(MEASUREMENTS), sizes) else 1


def measurement(name: str) -> Callable[[Bench], Iterator[Bar]]:
    """The function that measures what is named."""
    found: Callable[[Bench], Iterator[Bar]] = getattr(import_module(f"benchmarks.{name}"), f"measure_{name}")
    return found


def run(names: Sequence[str], sizes: Sizes) -> bool:
    """Prints a line for each bar as soon as it is known; whether all are met."""
    missed = []
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="connector-hub-bench-") as folder:
            for bar in measurement(name)(Bench(Path(folder), sizes)):
                print(bar, flush=True)
                if not bar.is_met:
                    missed.append(bar)
        print(f"  {name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{len(missed)} bars missed" if missed else "every bar is met", flush=True)
    return not missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
