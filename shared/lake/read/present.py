"""The present rows of a type: the last row of each key, with what was ingested a moment ago, without deleted ones."""

from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.engine.sql import ALL_KEYS, Bounds, fresh_name, quoted, quoted_list, replace_table, temporary
from shared.engine.workspace import Workspace
from shared.lake.changes.late import link_changes
from shared.lake.changes.pending import pending_files
from shared.lake.container.store import Lake
from shared.lake.files.linked import change_rows, link_files
from shared.lake.files.row_sizes import row_bytes
from shared.lake.files.rows_sql import between, chosen
from shared.lake.files.widest import Widest, widest_in, widest_merged
from shared.lake.log.tables import open_snapshot
from shared.lake.paths import changes_path, states_path
from shared.lake.schema import (
    DELETED,
    INGESTED_AT,
    KEY,
    LINE,
    ORDER,
    PROCESSING_TIME,
    RUN,
    changes_schema,
)
from shared.lake.states.merge import Merge
from shared.lake.states.state_rows import APP_ORDER, APP_REFRESH, StateRows, reach

_KEY, _DELETED, _TIME = quoted(KEY), quoted(DELETED), quoted(PROCESSING_TIME)
_ROW_COLUMNS = (KEY, DELETED, RUN, LINE, INGESTED_AT, ORDER)
_NO_KEYS = f"SELECT NULL::VARCHAR AS {_KEY} WHERE false"
_NO_SIZES = f"SELECT NULL::VARCHAR AS {_KEY}, 0::BIGINT AS size WHERE false"
_NO_ROWS = f"SELECT NULL::VARCHAR AS {_KEY}, NULL AS {_TIME} WHERE false"


def present(
    lake: Lake, work: Workspace, entity_type: EntityType, bounds: Bounds = ALL_KEYS, most_bytes: int | None = None
) -> "PresentProfiles | PresentInteractions":
    """What the tables have now for keys in `bounds`; the files needed are put into the workspace.

    Merged profiles are sorted: with `most_bytes`, the keys end where files of about so many bytes do.

    Raises:
        FatalError: a table is damaged. UnavailableError: storage does not answer, or the disk has not so much room.
        ThrottledError: others have the room.
    """
    if entity_type.kind is EntityKind.PROFILE:
        return PresentProfiles(lake, work, entity_type, bounds, most_bytes)
    return PresentInteractions(lake, work, entity_type, bounds)


def present_relation(lake: Lake, work: Workspace, entity_type: EntityType) -> str:
    """A query, good in the workspace, for all present rows: `_key`, the fields as the type spells them, and stamps.

    The stamps are `System_ProcessingTime` of profiles (null where no refresh has merged the last change yet), and
    `_ingested_at` and `_line` of interactions.

    Raises:
        FatalError: a table is damaged. UnavailableError: storage does not answer.
    """
    return present(lake, work, entity_type).rows()


class PresentProfiles:
    """Merged rows, and over them what no refresh has merged yet, of keys in `bounds`."""

    def __init__(
        self, lake: Lake, work: Workspace, entity_type: EntityType, bounds: Bounds, most_bytes: int | None
    ) -> None:
        self._lake = lake
        self._work = work
        self._type = entity_type
        # In this order: what a refresh takes from the changes meanwhile is then seen twice, not missed.
        states = open_snapshot(lake, states_path(entity_type))
        changes = open_snapshot(lake, changes_path(entity_type))
        if states is not None and most_bytes is not None:
            end = reach(states, bounds[0], most_bytes)
            bounds = bounds if end is None else (bounds[0], end)
        self.bounds = bounds
        self._columns = list(changes.columns.values()) if changes else []
        self._fields = changes.fields if changes else []
        self._states: StateRows | None = None
        if states is not None and states.files:
            self._states = StateRows(lake, work, states, self._fields, bounds)
        watermark = (states.transaction(APP_REFRESH) if states else None) or 0
        pending = pending_files(lake, changes, watermark) if changes else []
        merged_to = (states.transaction(APP_ORDER) if states else None) or 0
        self._pending = link_changes(lake, work, changes, pending, merged_to) if changes else []
        self._merged = fresh_name()

    @property
    def widest(self) -> Widest:
        """How large a row gets."""
        return widest_merged(self._pending, self._states.files if self._states else [])

    @property
    def keys(self) -> str:
        """A query for all keys, some of them more than once or of deleted rows."""
        found = [] if self._states is None else [self._states.keys]
        if self._pending:
            found.append(f"SELECT {_KEY} FROM {change_rows(self._pending, self._columns)}")
        return " UNION ALL ".join(found) or _NO_KEYS

    @property
    def sizes(self) -> str:
        """A query for `_key` and the `size` of all that a row is made of."""
        found = [] if self._states is None else [self._states.sizes]
        if self._pending:
            size = row_bytes(self._columns)
            found.append(f"SELECT {_KEY}, {size} AS size FROM {change_rows(self._pending, self._columns)}")
        return " UNION ALL ".join(found) or _NO_SIZES

    def rows(self, bounds: Bounds | None = None) -> str:
        """A query for the rows in `bounds`, good until the next is made; `present_relation` says what it gives."""
        wanted = bounds or self.bounds
        merged = self._merge(wanted) if self._pending else None
        names = quoted_list([KEY, *(column.name for column in self._fields)])
        found = [] if merged is None else [f"SELECT {names}, NULL AS {_TIME} FROM {merged} WHERE NOT {_DELETED}"]
        if self._states is not None:
            untouched = "" if merged is None else f"ANTI JOIN {merged} USING ({_KEY})"
            found.append(f"SELECT {names}, {_TIME} FROM ({self._states.last(wanted)}) {untouched} WHERE NOT {_DELETED}")
        there, rows = (self._fields, " UNION ALL ".join(found)) if found else ([], _NO_ROWS)
        return f"SELECT {_KEY}, {chosen(self._type.fields, there)}, {_TIME}::TIMESTAMPTZ AS {_TIME} FROM ({rows})"

    def _merge(self, bounds: Bounds) -> str | None:
        """Name of a table of the rows that the pending changes change; None where they change none."""
        merge = Merge(self._work, self._lake.settings, self._pending, self._columns, self._states, bounds)
        is_first = True
        for part in merge.merged():
            if is_first:
                replace_table(self._work.connection, self._merged, part)
            else:
                self._work.connection.execute(f"INSERT INTO {self._merged} {part}")
            is_first = False
        return None if is_first else self._merged


class PresentInteractions:
    """The last row of each key in `bounds`."""

    def __init__(self, lake: Lake, work: Workspace, entity_type: EntityType, bounds: Bounds) -> None:
        self._connection = work.connection
        self._type = entity_type
        self.bounds = bounds
        changes = open_snapshot(lake, changes_path(entity_type))
        self._fields = changes.fields if changes else []
        needed = [column for column in changes_schema(entity_type) if column.name in _ROW_COLUMNS]
        files = [file for file in changes.files if file.may_hold(*bounds)] if changes else []
        self._files = link_files(lake, work, changes.table, files) if changes else []
        self._columns = [*needed, *self._fields]
        self._rows = temporary(work.connection, "VIEW", f"SELECT * FROM {change_rows(self._files, self._columns)}")
        self._repeated = fresh_name()

    @property
    def widest(self) -> Widest:
        """How large a row gets."""
        return widest_in(self._files)

    @property
    def keys(self) -> str:
        """A query for all keys, some of them more than once or of deleted rows."""
        return f"SELECT {_KEY} FROM {self._rows}"

    @property
    def sizes(self) -> str:
        """A query for `_key` and the `size` of all rows that it has."""
        return f"SELECT {_KEY}, {row_bytes(self._columns)} AS size FROM {self._rows}"

    def rows(self, bounds: Bounds | None = None) -> str:
        """A query for the rows in `bounds`, good until the next is made; `present_relation` says what it gives."""
        wanted = bounds or self.bounds
        rows, repeated = self._rows, self._repeated
        replace_table(
            self._connection,
            repeated,
            f"""
            SELECT {_KEY}, max(_at) AS last FROM {rows} WHERE {between(*wanted)} GROUP BY {_KEY} HAVING count(*) > 1
            """,
        )
        last = f"""
            SELECT {rows}.* FROM {rows} LEFT JOIN {repeated} ON {rows}.{_KEY} = {repeated}.{_KEY}
            WHERE {between(*wanted, rows)} AND ({repeated}.{_KEY} IS NULL OR _at = last) AND NOT {_DELETED}
            """
        stamps = quoted_list([INGESTED_AT, LINE])
        return f"SELECT {_KEY}, {chosen(self._type.fields, self._fields)}, {stamps} FROM ({last})"
