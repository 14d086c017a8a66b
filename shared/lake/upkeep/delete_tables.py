"""Deleting the tables of types and KPIs that were deleted."""

import logging
import random
from collections import deque
from collections.abc import Iterable

from shared.deadline import pool_of_threads, seconds_left
from shared.lake.container.faults import translated
from shared.lake.container.store import Lake
from shared.storage.blob.blobs import BlobEntry

logger = logging.getLogger(__name__)

_PARALLEL_REQUESTS = 8
_LEAST_S = 60.0


def delete_tables(lake: Lake, paths: Iterable[str]) -> None:
    """Deletes every blob of the tables at paths that no definition has any more; what is gone already does not matter.

    Raises:
        UnavailableError: storage does not answer; to be called again.
    """
    for path in paths:
        _delete(lake, path)


def remaining(lake: Lake, paths: Iterable[str]) -> list[str]:
    """Those of the paths at which there is anything, as far as there is time to look.

    Raises:
        UnavailableError: storage does not answer.
    """
    import obstore

    wanted = sorted(paths)
    found: set[str] = set()
    folders = [*{path.rpartition("/")[0] for path in wanted}]
    random.shuffle(folders)  # of nights that are too short none leaves out the same ones
    for folder in folders:
        if seconds_left() < _LEAST_S:
            logger.warning("looking for what deleted types left goes on with the next maintenance, for want of time")
            break
        with translated(folder):
            found.update(str(path) for path in obstore.list_with_delimiter(lake.store, folder)["common_prefixes"])
    return [path for path in wanted if path in found]


def _delete(lake: Lake, path: str) -> None:
    found = list(lake.blobs.list(f"{path}/"))

    def delete(blob: BlobEntry) -> None:
        lake.blobs.delete(blob.path)

    # Without a log there is no table, so nobody reads half of one.
    in_log = [blob for blob in found if "/_delta_log/" in blob.path]
    others = [blob for blob in found if "/_delta_log/" not in blob.path]
    with pool_of_threads(_PARALLEL_REQUESTS) as pool:
        for part in (in_log, others):
            deque(pool.map(delete, part), maxlen=0)
    if found:
        logger.info("%s blobs of %s deleted", len(found), path)
