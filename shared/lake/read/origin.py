"""Where the values of an instance come from: for each field the change that its value stands in.

Changes are kept for ever, row by row, so a refresh, a rebase or the merging of small files takes nothing from this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.deadline import seconds_left
from shared.domain.documents.entity_types import EntityType
from shared.engine.sql import quoted
from shared.engine.workspace import workspace
from shared.lake.container.store import Lake
from shared.lake.files.linked import change_rows, link_files
from shared.lake.log.tables import Snapshot, open_snapshot
from shared.lake.paths import changes_path
from shared.lake.read.instances import instance
from shared.lake.schema import DELETED, KEY, LINE, ORDER, RUN, SET, changes_schema

_NEEDED = (KEY, SET, DELETED, RUN, LINE, ORDER)
_MOST_READS = 10


@dataclass(frozen=True, slots=True)
class Origin:
    """A row of a blob: the run that brought it, and the physical line on which it starts."""

    run_id: str
    line: int


@dataclass(frozen=True, slots=True)
class Traced:
    """An instance as JSON values, and where each of its fields that is not null comes from."""

    values: dict[str, Any]
    origins: dict[str, Origin]


def traced_instance(lake: Lake, entity_type: EntityType, key: str) -> Traced | None:
    """The present instance of a key with the origins of its values, or None.

    Raises:
        As `instance`.
    """
    reads = 0
    while True:
        changes = open_snapshot(lake, changes_path(entity_type))
        values = instance(lake, entity_type, key)
        if changes is None or values is None:
            return None
        latest = _last_changes(lake, changes, entity_type, key)
        now = open_snapshot(lake, changes_path(entity_type))
        reads += 1
        if now is None or now.version == changes.version or reads == _MOST_READS or seconds_left() <= 0:
            break  # values and origins are of one state of the table, or it never rests
    shown = (field.field_name for field in entity_type.fields if values[field.field_name] is not None)
    return Traced(values, {name: latest[name.casefold()] for name in shown if name.casefold() in latest})


def _last_changes(lake: Lake, changes: Snapshot, entity_type: EntityType, key: str) -> dict[str, Origin]:
    """For each field, its name in lower case, the last change that sets it and comes after the last deletion."""
    files = [file for file in changes.files if file.may_hold(key[:-1] if key else None, key)]
    columns = [column for column in changes_schema(entity_type) if column.name in _NEEDED]
    names = ", ".join(quoted(name) for name in (SET, DELETED, RUN, LINE))
    with workspace(lake.settings) as work:
        rows = change_rows(link_files(lake, work, changes.table, files), columns)
        found = work.connection.execute(
            f"SELECT {names} FROM {rows} WHERE {quoted(KEY)} = ? ORDER BY _at", [key]
        ).fetchall()
    return _replay(found)


def _replay(changes: Sequence[tuple[str, bool, str, int]]) -> dict[str, Origin]:
    latest: dict[str, Origin] = {}
    for names, is_deleted, run_id, line in changes:
        if is_deleted:
            latest.clear()
        else:
            latest.update(dict.fromkeys((names or "").casefold().split(","), Origin(run_id, line)))
    return latest
