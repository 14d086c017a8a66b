"""What a refused row costs, from the bytes of the file to the file of rejects, in CPU time, against a good row."""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.ingest import NOW
from benchmarks.measure import Measured, measure
from benchmarks.report import Bar
from shared.connectors.azure_blob.reader import read_rows
from shared.domain.documents.entity_types import ProfileType
from shared.domain.documents.mappings import Mapping
from shared.ingest.reject_file import RejectFile
from shared.ingest.stage import header_of, typed_rows
from shared.settings import Settings

REJECT_US = 8
PEAK_MB = 160
_CHUNK = 4 * 1024**2
_TYPES = {"id": "String", "name": "String", "age": "Int64", "amount": "Double", "born": "Date", "active": "Boolean"}
_PROFILE = ProfileType.from_request(
    {
        "fields": [{"fieldName": name, "fieldType": f"Edm.{kind}"} for name, kind in _TYPES.items()],
        "strongIds": [{"strongIdName": "ById", "keyPropertyNames": ["id"]}],
    }
)
_MAPPING = Mapping.from_request(
    {
        "entityType": "Profile",
        "entityTypeName": "Customer",
        "mappingProperties": {
            "folderPath": "bench",
            "errorManagement": {"errorManagementType": "RejectAndContinue"},
            "structure": [{"propertyName": name, "columnName": name} for name in _TYPES],
        },
    }
)
_GOOD = b"%d,a customer,42,12.5,2026-01-31,true\n"
# Where there are several forms, each has its share.
KINDS: dict[str, list[bytes]] = {
    "lone quotes": [b'"\n'],
    "open quotes": [b'%d,"a customer,42,12.5,2026-01-31,true\n'],
    "bare quotes": [b'%d,a cust"omer,42,12.5,2026-01-31,true\n'],
    "text after quotes": [b'%d,"a" customer,42,12.5,2026-01-31,true\n'],
    "other widths": [b"%d\n", b"%d,a customer,42,12.5,2026-01-31,true,more\n"],
    "glued lines": [b'%d,"a\n', b'customer",42\n'],
    "NUL and bad bytes": [b"%d,a \0,42,12.5,2026-01-31,true\n", b"%d,a \xff,42,12.5,2026-01-31,true\n"],
    "empty keys": [b",a customer,42,12.5,2026-01-31,true\n"],
    "unreadable values": [
        b"%d,a customer,x42,12.5,2026-01-31,true\n",
        b"%d,a customer,42,x12.5,2026-01-31,true\n",
        b"%d,a customer,42,12.5,x2026-01-31,true\n",
        b"%d,a customer,42,12.5,2026-01-31,xtrue\n",
    ],
    "unreadable values of rows over two lines": [b'%d,"a\ncustomer",x42,12.5,2026-01-31,true\n'],
}


def measure_rejects(bench: Bench) -> Iterator[Bar]:
    """Every kind alone, every kind beside as many good rows, and the memory of a file of nothing but rejects."""
    rows = bench.sizes.rejects
    good = _median_us(bench, [_GOOD], rows)
    costs = {name: _median_us(bench, kind, rows) for name, kind in KINDS.items()}
    worst = max(costs, key=lambda name: costs[name])
    told = ", ".join(f"{name} {cost:.2f}" for name, cost in costs.items())
    yield Bar(
        f"rejects  a refused row, of the dearest kind ({worst})",
        costs[worst],
        REJECT_US,
        " us",
        at_most=True,
        measured=f"a good row {good:.2f} us, so {costs[worst] / good:.1f} times as much; {told}",
    )
    mixed = {name: 2 * _median_us(bench, [_GOOD, *kind], rows) - good for name, kind in KINDS.items() if len(kind) == 1}
    worst = max(mixed, key=lambda name: mixed[name])
    told = ", ".join(f"{name} {cost:.2f}" for name, cost in mixed.items())
    name = f"rejects  a refused row beside each good one, of the dearest kind ({worst})"
    yield Bar(name, mixed[worst], REJECT_US, " us", at_most=True, measured=told)
    peak = measure(refuse, bench.folder, [b"%d\n"], rows * 5).peak_mb
    few = measure(refuse, bench.folder, [b"%d\n"], 1_000).peak_mb
    name = f"rejects  memory for {rows * 5:,} of them"
    yield Bar(name, peak - few, PEAK_MB, " MB", at_most=True, measured=f"{peak:.0f} MB, with 1,000 {few:.0f} MB")


def _median_us(bench: Bench, kinds: list[bytes], rows: int) -> float:
    runs: list[Measured] = [measure(refuse, bench.folder, kinds, rows) for _ in range(bench.sizes.runs)]
    return median(run.seconds for run in runs) / rows * 1e6


def refuse(folder: Path, kinds: list[bytes], rows: int) -> tuple[float, int]:
    """Reads, types and refuses a file; gives the seconds of CPU and how many rows were refused."""
    settings = Settings.model_validate({})
    _read(folder, _file(kinds, 100), settings)
    data = _file(kinds, rows)
    began = time.process_time()
    refused = _read(folder, data, settings)
    return time.process_time() - began, refused


def _read(folder: Path, data: bytes, settings: Settings) -> int:
    from shared.casts.type_rows import RowTyper
    from shared.ingest.lines_apart import LinesApart

    pieces = (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))
    reader = read_rows(pieces, _MAPPING, settings, gzipped=False)
    header = header_of(reader)
    with (
        RejectFile(folder / "rejects.csv", _MAPPING.mapping_properties.error_management) as rejects,
        RowTyper(_PROFILE, _MAPPING, header, "rows.csv", "bench", 1, NOW, settings) as typer,
        typed_rows(iter(reader), LinesApart(reader, typer)) as typed,
    ):
        for _, refused in typed:
            rejects.add(refused)
    return rejects.count


def _file(kinds: list[bytes], rows: int) -> bytes:
    forms = [kinds[number % len(kinds)] for number in range(rows)]
    lines = [form % number if b"%d" in form else form for number, form in enumerate(forms)]
    return b",".join(name.encode() for name in _TYPES) + b"\n" + b"".join(lines)
