"""Interactions without an id of their own: equal rows of one file stay apart by their number.

Their key is derived from path and content. The second, third, ... row of a key gets `#2`, `#3`, ..., counted by line,
so a file that has grown and is uploaded again gives its old rows their old keys.
"""

import os
from collections.abc import Sequence
from dataclasses import replace

from shared.engine.sql import first_row, fresh_name, literal, quoted
from shared.engine.workspace import Workspace, workspace
from shared.lake.files.parts import Layout, PartWriter, write_rows
from shared.lake.log.part import Part
from shared.lake.schema import KEY, LINE
from shared.settings import Settings

_ONE_PART = 1 << 62
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
        found = first_row(
            work.connection,
            f"""
            CREATE TEMP TABLE repeats AS
            SELECT {_LINE}, row_number() OVER (PARTITION BY {_KEY} ORDER BY {_LINE}) AS number
            FROM read_parquet([{", ".join(paths)}]) rows
            SEMI JOIN (
                SELECT {_KEY} FROM read_parquet([{", ".join(paths)}]) GROUP BY ALL HAVING count(*) > 1
            ) USING ({_KEY})
            QUALIFY number > 1
            """,
        )
        if found is None or found[0] == 0:
            return list(parts)
        return [_renumber(work, part, path) for part, path in zip(parts, paths, strict=True)]


def _renumber(work: Workspace, part: Part, path: str) -> Part:
    import pyarrow.parquet as pq

    found = first_row(work.connection, f"SELECT count(*) FROM read_parquet({path}) SEMI JOIN repeats USING ({_LINE})")
    if found is None or found[0] == 0:
        return part
    folder = work.folder / fresh_name()
    folder.mkdir()
    writer = PartWriter(pq.read_schema(part.path), folder, Layout(part_bytes=_ONE_PART))
    numbered = f"""
        SELECT rows.* REPLACE (concat({_KEY}, '#' || number) AS {_KEY})
        FROM read_parquet({path}) rows LEFT JOIN repeats USING ({_LINE}) ORDER BY {_LINE}
        """
    for _ in write_rows(work.connection, numbered, writer):
        pass
    new = writer.close()[0]
    new.path.replace(part.path)
    return replace(new, path=part.path)
