"""Deleting the tables of a type or a KPI that is deleted."""

import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from shared.domain.entity_types import EntityType
from shared.lake.store import Lake, changes_path, kpi_path

logger = logging.getLogger(__name__)

_PARALLEL_REQUESTS = 8


def delete_tables(lake: Lake, hub: str, entity_type: EntityType) -> None:
    """Deletes every blob of a type's tables; what is gone already does not matter.

    Call it before the definition goes: when it is interrupted, it can be called again.

    Raises:
        UnavailableError: storage does not answer.
    """
    _delete(lake, changes_path(hub, entity_type).removesuffix("changes"))


def delete_kpi_table(lake: Lake, hub: str, kpi_name: str) -> None:
    """Deletes every blob of a KPI's table."""
    _delete(lake, f"{kpi_path(hub, kpi_name)}/")


def _delete(lake: Lake, folder: str) -> None:
    paths = [blob.path for blob in lake.blobs.list(folder)]
    # Without a log there is no table, so nobody reads half of one.
    log = [path for path in paths if "/_delta_log/" in path]
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        for part in (log, [*{*paths} - {*log}]):
            deque(pool.map(lake.blobs.delete, part), maxlen=0)
    if paths:
        logger.info("%s blobs of %s deleted", len(paths), folder)
