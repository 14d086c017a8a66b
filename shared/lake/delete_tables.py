"""Deleting the tables of a type or a KPI that is deleted."""

import logging

from shared.domain.entity_types import EntityType
from shared.lake.faults import translated
from shared.lake.store import Lake, changes_path, kpi_path

logger = logging.getLogger(__name__)


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
    import obstore

    with translated(folder):
        paths = [blob["path"] for blobs in obstore.list(lake.store, folder) for blob in blobs]
        # Without a log there is no table, so nobody reads half of one.
        paths.sort(key=lambda path: "/_delta_log/" not in path)
        for start in range(0, len(paths), 256):
            obstore.delete(lake.store, paths[start : start + 256])
    if paths:
        logger.info("%s blobs of %s deleted", len(paths), folder)
