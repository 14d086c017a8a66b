"""Paths in the lake: each is given to one definition, once and for ever.

A type or KPI that was deleted may still have writers, which began before: a refresh, a calculation, an ingest that was
paused. They cannot take the next one of its name for theirs, since that lies elsewhere. The first of a name has the
plain path, which readers know; those that come after it have paths of their own.

A row `path|...` of the hub's partition says that a path was given away, and in the end that it is retired. It outlives
the definition and the hub.
"""

import uuid
from collections.abc import Callable, Iterator

from shared.definitions.store.definition_store import Change, DefinitionStore
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.kpis import Kpi
from shared.domain.errors import MissingError
from shared.domain.own_names import CONTAINER_LAKE, plain_lake_path
from shared.settings import Settings
from shared.storage.accounts import hub_account
from shared.storage.blob.blobs import BlobContainer

_ROWS = "path|"
_SIGN = "-"  # no name has it, and no reader's library escapes it, as some do with `~`
_DIGITS = 12


def assign_path(
    store: DefinitionStore, change: Change, document: EntityType | Kpi, is_used: Callable[[str], bool]
) -> str:
    """The path of a definition that is being created.

    Args:
        store: of all definitions.
        change: by which it is created.
        document: the definition.
        is_used: whether anything lies at a path. So it may where nothing is known of the plain one: an earlier release,
            or a table of definitions that was lost, has left it there.
    """
    path = plain = document.plain_lake_path
    is_known = store.noted(document.tenant_id, _key(plain)) is not None
    if is_known or is_used(plain):
        path += f"{_SIGN}{uuid.uuid4().hex[:_DIGITS]}"
    if path != plain and not is_known:
        # Nobody can say whose it is, so upkeep does not touch it.
        change.note(_key(plain), {"path": plain, "isRetired": False})
    change.note(_key(path), {"path": path, "isRetired": False})
    return path


def is_used(settings: Settings, path: str) -> bool:
    """Whether anything lies at a path in the lake."""
    lake = BlobContainer(hub_account(settings), CONTAINER_LAKE)
    try:
        return next(lake.list(f"{path}/"), None) is not None
    except MissingError:
        return False


def retire_path(change: Change, document: EntityType | Kpi) -> str:
    """Notes that nobody looks for anything at the path of a definition any more, and returns it."""
    # What earlier releases made has no row before this one.
    change.note(_key(document.lake_path), {"path": document.lake_path, "isRetired": True})
    return document.lake_path


def retired_paths(store: DefinitionStore) -> Iterator[str]:
    """The paths of all definitions that were deleted, of all hubs, also of those that are gone."""
    return (row["path"] for row in store.all_noted(_ROWS) if row["isRetired"])


def paths_retired_before(store: DefinitionStore, hub: str, folder: str, name: str) -> list[str]:
    """The paths of the definitions of one name that were deleted; `folder` is that of their kind."""
    plain = plain_lake_path(hub, folder, name)
    rows = store.noted_below(hub, _key(plain))
    return [
        row["path"]
        for row in rows
        if row["isRetired"] and (row["path"] == plain or row["path"].startswith(plain + _SIGN))
    ]


def _key(path: str) -> str:
    return _ROWS + path.replace("/", "|")
