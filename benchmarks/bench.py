"""What every measurement is given: a folder of its own, how much to measure, and how often."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. The sizes of the defaults are those of the bars.

    Attributes:
        runs: repetitions whose median counts.
        starts: fresh processes whose median counts.
        large_rows: rows of the file that is compared with DuckDB; 1 GB.
        flat_rows: rows of further files, whose peaks of memory must be about those of the large one.
        export_rows: profiles that are exported.
        dlt_rows, table_rows: rows that are compared with `dlt`, and that go to Table Storage.
        blobs, rows_per_blob: small blobs that come in at once.
        reader_rows: rows of the files that are read with and without faults.
        broken_rows: rows of the file of which every one is broken.
        scan_bytes: bytes that are scanned.
        rejects: rows of a file of nothing but rejects; five times as many for the memory.
    """

    runs: int = 3
    starts: int = 5
    large_rows: int = 6_600_000
    flat_rows: Sequence[int] = (660_000,)
    export_rows: int = 1_000_000
    dlt_rows: int = 200_000
    table_rows: int = 5_000
    blobs: int = 1_000
    rows_per_blob: int = 1_000
    reader_rows: int = 1_000_000
    broken_rows: int = 50_000
    scan_bytes: int = 64 * 1024**2
    rejects: int = 200_000


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of the benchmarks."""

    folder: Path
    sizes: Sizes = field(default_factory=Sizes)
