"""Deleting the tables of a type or a KPI that is deleted."""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from shared.deadline import pool_of_threads
from shared.domain.entity_types import EntityKind
from shared.domain.errors import PreconditionError
from shared.lake.store import Lake, kpi_path, type_path
from shared.storage.blobs import BlobEntry

logger = logging.getLogger(__name__)

_PARALLEL_REQUESTS = 8


def delete_tables(lake: Lake, hub: str, kind: EntityKind, name: str, may_go: Callable[[], bool]) -> None:
    """Deletes every blob of the tables of a type that is no more; what is gone already does not matter.

    Args:
        lake: the container.
        hub, kind, name: of the type.
        may_go: whether there is no such type; asked before the blobs are listed, and after. A type that is made later
            has blobs of its own, which are not among those.

    Raises:
        UnavailableError: storage does not answer; to be called again.
    """
    _delete(lake, type_path(hub, kind, name), may_go)


def delete_kpi_table(lake: Lake, hub: str, kpi_name: str, may_go: Callable[[], bool]) -> None:
    """Deletes every blob of a KPI's table; see `delete_tables`."""
    _delete(lake, kpi_path(hub, kpi_name), may_go)


def _delete(lake: Lake, folder: str, may_go: Callable[[], bool]) -> None:
    if not may_go():
        return
    found = list(lake.blobs.list(f"{folder}/"))
    if not found or not may_go():
        return

    def delete(blob: BlobEntry) -> None:
        # A blob of the same name, as commits have them, may have been made since: that is somebody else's.
        with suppress(PreconditionError):
            lake.blobs.delete(blob.path, blob.etag)

    # Without a log there is no table, so nobody reads half of one.
    in_log = [blob for blob in found if "/_delta_log/" in blob.path]
    others = [blob for blob in found if "/_delta_log/" not in blob.path]
    with pool_of_threads(_PARALLEL_REQUESTS) as pool:
        for part in (in_log, others):
            deque(pool.map(delete, part), maxlen=0)
    logger.info("%s blobs of %s deleted", len(found), folder)
