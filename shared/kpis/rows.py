"""The present instances of a type with their times, for the engine to calculate over."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.engine.sql import quoted, temporary
from shared.engine.workspace import Workspace, workspace
from shared.lake.container.store import Lake
from shared.lake.files.linked import change_rows, link_files
from shared.lake.files.rows_sql import chosen
from shared.lake.log.tables import open_snapshot
from shared.lake.paths import changes_path
from shared.lake.schema import DELETED, INGESTED_AT, KEY, LINE, ORDER, RUN, changes_schema
from shared.lake.states.refresh import refresh
from shared.lake.states.slot_rows import slot_rows

POSITION = "_at"
"""Column of interactions: greater for a row that came in later."""

_KEY, _DELETED = quoted(KEY), quoted(DELETED)
_NEEDED = (KEY, DELETED, RUN, LINE, INGESTED_AT, ORDER)


@contextmanager
def kpi_rows(lake: Lake, entity_type: EntityType, now: datetime) -> Iterator[tuple[Workspace, str]]:
    """A workspace, and a view in it of the present instances.

    It has `_key`, the fields as the type spells them, and what tells when a row came in: `System_ProcessingTime` of a
    profile, `_ingested_at` and `_at` of an interaction. Profiles are refreshed first, stamped `now`.

    Raises:
        TransientError: storage does not answer, or others refresh at the same time, many times over.
        FatalError: a table is damaged.
    """
    if entity_type.kind is EntityKind.PROFILE:
        done = refresh(lake, entity_type, now)
        every = slot_rows(lake, entity_type, 0, done.to_version, done.table_version, is_first=True)
        with every as slot:
            yield Workspace(slot.connection, slot.folder), temporary(slot.connection, "VIEW", slot.sql)
    else:
        with workspace(lake.settings) as work:
            yield work, temporary(work.connection, "VIEW", _interactions(lake, work, entity_type))


def _interactions(lake: Lake, work: Workspace, entity_type: EntityType) -> str:
    """A query for the last row of each key."""
    changes = open_snapshot(lake, changes_path(entity_type))
    fields = changes.fields if changes else []
    needed = [column for column in changes_schema(entity_type) if column.name in _NEEDED]
    files = link_files(lake, work, changes.table, changes.files) if changes else []
    rows = temporary(work.connection, "VIEW", f"SELECT * FROM {change_rows(files, [*needed, *fields])}")
    repeated = temporary(
        work.connection,
        "TABLE",
        f"SELECT {_KEY}, max({POSITION}) AS last FROM {rows} GROUP BY {_KEY} HAVING count(*) > 1",
    )
    return f"""
        SELECT {rows}.{_KEY}, {chosen(entity_type.fields, fields)}, {quoted(INGESTED_AT)}, {POSITION}
        FROM {rows} LEFT JOIN {repeated} ON {rows}.{_KEY} = {repeated}.{_KEY}
        WHERE ({repeated}.{_KEY} IS NULL OR {POSITION} = last) AND NOT {_DELETED}
        """
