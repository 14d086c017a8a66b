"""Ranges of keys: what is done range by range needs memory for one of them only."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from shared.engine.sql import ALL_KEYS, Bounds, first_row, literal, quoted
from shared.engine.workspace import Connection
from shared.lake.files.row_sizes import slices
from shared.lake.files.rows_sql import between
from shared.lake.schema import KEY
from shared.settings import Settings

_KEY = quoted(KEY)
_SAMPLED_KEYS = 20_000
_SHARE = 8  # of the engine's memory that the rows of a range may take; sorting, joining and writing need the rest
_VALUE_BYTES = 16  # what a value takes in memory beside its text


def ranges(
    connection: Connection,
    settings: Settings,
    keys: str,
    files: Sequence[Path],
    bounds: Bounds = ALL_KEYS,
    sizes: str | None = None,
) -> list[Bounds]:
    """Divides `bounds` into ranges whose rows fit into memory.

    Args:
        connection: of a workspace.
        settings: say how much memory there is.
        keys: a query for the keys of all rows, a key once for each row.
        files: where the rows are.
        bounds: the keys that count.
        sizes: where rows may be large, a query for the `size` of all that belongs to a `_key`.
    """
    limit = settings.engine_memory_mb * 1024**2 // _SHARE
    if sizes is not None:
        return [part.bounds for part in slices(connection, sizes, bounds, limit)]
    inside = f"SELECT {_KEY} FROM ({keys}) WHERE {between(*bounds)}"
    found = first_row(connection, f"SELECT count(*) FILTER (WHERE {between(*bounds)}), count(*) FROM ({keys})")
    rows, all_rows = found or (0, 0)
    if rows == 0:
        return []
    size = _bytes_in_memory(connection, files) * rows // all_rows
    count = -(-size // limit)
    if count <= 1:
        return [bounds]
    sample = connection.execute(
        f"SELECT * FROM ({inside}) USING SAMPLE reservoir({_SAMPLED_KEYS} ROWS) REPEATABLE (1) ORDER BY 1"
    ).fetchall()
    cuts = dict.fromkeys(sample[len(sample) * index // count][0] for index in range(1, count))
    return list(pairwise([bounds[0], *cuts, bounds[1]]))


def _bytes_in_memory(connection: Connection, files: Sequence[Path]) -> int:
    paths = ", ".join(literal(str(file)) for file in files)
    found = first_row(
        connection,
        f"""
        SELECT sum(total_uncompressed_size)::BIGINT + sum(num_values)::BIGINT * {_VALUE_BYTES}
        FROM parquet_metadata([{paths}])
        """,
    )
    return int(found[0] or 0) if found else 0
