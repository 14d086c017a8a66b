"""The peer `dlt`: its filesystem source, read by DuckDB, into a local Delta table. Runs in an environment of its own.

Its best configuration here: rows travel as Arrow batches, not as Python objects, and the parts are Parquet.
Usage: dlt_peer.py WARM_UP_CSV CSV FOLDER RUNS; prints the seconds and rows of each run as JSON.
"""

import json
import os
import sys
import time
from pathlib import Path

_CHUNK_ROWS = 100_000


def main() -> None:
    """Runs the pipeline once to warm up, then as often as asked, each time into the same table, as the app does."""
    warm_up, source, folder, runs = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    os.environ.update(
        {
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "ERROR",
            "DATA_WRITER__DISABLE_COMPRESSION": "true",
            "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "false",
        }
    )
    _run(warm_up, folder, "warm_up")
    print(json.dumps([_run(source, folder, "run") for _ in range(runs)]))


def _run(source: Path, folder: Path, name: str) -> dict[str, float]:
    import dlt  # type: ignore[import-not-found]
    from dlt.sources.filesystem import filesystem, read_csv_duckdb  # type: ignore[import-not-found]

    files = filesystem(bucket_url=source.parent.as_uri(), file_glob=source.name)
    reader = read_csv_duckdb(chunk_size=_CHUNK_ROWS, use_pyarrow=True, header=True)
    pipeline = dlt.pipeline(
        pipeline_name=f"peer_{name}",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.filesystem(bucket_url=(folder / "tables").as_uri()),
        dataset_name=name,
    )
    path = folder / "tables" / name / "customers"
    before = _rows(path)
    began = time.perf_counter()
    pipeline.run(
        (files | reader).with_name("customers"),
        table_format="delta",
        write_disposition="append",
        loader_file_format="parquet",
    )
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "rows": _rows(path) - before}


def _rows(path: Path) -> int:
    from deltalake import DeltaTable

    if not path.exists():
        return 0
    return sum(DeltaTable(str(path)).get_add_actions(flatten=True)["num_records"].to_pylist())


if __name__ == "__main__":
    main()
