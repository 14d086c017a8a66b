"""Interactions without an id of their own: equal rows of one file stay apart by their number.

Their key is derived from path and content. The second, third, ... row of a key gets `#2`, `#3`, ..., counted by line,
so a file that has grown and is uploaded again gives its old rows their old keys.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from shared.lake.engine import Workspace, workspace
from shared.lake.parts import Part, lower_bound, upper_bound
from shared.lake.schema import KEY, LINE
from shared.lake.sql import literal, quoted
from shared.settings import Settings

_KEY = quoted(KEY)
_LINE = quoted(LINE)


def number_repeats(settings: Settings, parts: Sequence[Part]) -> list[Part]:
    """The parts of one blob with every key once; a part without repeats is left as it is.

    The work spills to disk, so the number of rows is bounded by the disk alone.
    """
    with workspace(settings) as work:
        paths = []
        for index, part in enumerate(parts):
            os.link(part.path, link := work.folder / f"{index}.parquet")
            paths.append(literal(str(link)))
        found = work.connection.execute(
            f"""
            CREATE TEMP TABLE repeats AS
            SELECT {_LINE}, row_number() OVER (PARTITION BY {_KEY} ORDER BY {_LINE}) AS number
            FROM read_parquet([{", ".join(paths)}]) rows
            SEMI JOIN (
                SELECT {_KEY} FROM read_parquet([{", ".join(paths)}]) GROUP BY ALL HAVING count(*) > 1
            ) USING ({_KEY})
            QUALIFY number > 1
            """
        ).fetchone()
        if found is None or found[0] == 0:
            return list(parts)
        return [_renumber(work, part, path) for part, path in zip(parts, paths, strict=True)]


def _renumber(work: Workspace, part: Part, path: str) -> Part:
    found = work.connection.execute(
        f"SELECT count(*) FROM read_parquet({path}) SEMI JOIN repeats USING ({_LINE})"
    ).fetchone()
    if found is None or found[0] == 0:
        return part
    new = work.folder / f"numbered-{part.path.name}"
    work.connection.execute(
        f"""
        COPY (
            SELECT rows.* REPLACE (concat({_KEY}, '#' || number) AS {_KEY})
            FROM read_parquet({path}) rows LEFT JOIN repeats USING ({_LINE}) ORDER BY {_LINE}
        ) TO {literal(str(new))} (FORMAT parquet, COMPRESSION zstd)
        """
    )
    low, high = _bounds(work, new)
    new.replace(part.path)
    return Part(part.path, part.rows, part.path.stat().st_size, lower_bound(low), upper_bound(high))


def _bounds(work: Workspace, path: Path) -> tuple[str, str]:
    sql = f"SELECT min({_KEY}), max({_KEY}) FROM read_parquet({literal(str(path))})"
    found = work.connection.execute(sql).fetchone()
    return ("", "") if found is None else (found[0], found[1])
