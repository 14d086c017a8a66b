"""The end of a hub, and its beginning: between them nothing of it is left that another hub of its name could read."""

import logging
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shared.app import Services
from shared.deadline import pool_of_threads, seconds_left
from shared.definitions.store.definition_store import Conditions, Stored
from shared.domain.documents.hubs import Hub
from shared.domain.errors import ConflictError, DeferredError, NotFoundError
from shared.domain.own_names import run_files_of
from shared.failpoints import FailPoint, failpoint
from shared.storage.blob.blobs import BlobEntry
from shared.telemetry.logs import failing_alone

logger = logging.getLogger(__name__)

_PARALLEL_REQUESTS = 8
_FILES_AT_ONCE = 200
# A step is begun with so much time left: it takes less, unless storage is slow.
_STEP_S = 2.0
# Of upkeep, for the hubs that are gone.
_HUB_S = 60.0


class _InUseError(Exception):
    """Somebody has made the hub, or has kept it, meanwhile."""


def put_hub(services: Services, name: str, hub: Hub, conditions: Conditions) -> tuple[Stored[Hub], bool]:
    """Creates or replaces a hub, as `Definitions.put_hub`; one that is made finds nothing of an earlier one.

    Raises:
        ConflictError: `HubDeleting`, somebody else deletes an earlier one now.
        DeferredError: `TimeIsUp`, there is more of an earlier one than could be deleted; repeated, it goes on.
    """
    return services.definitions.put_hub(name, hub, conditions, lambda closing: _empty(services, name, closing))


def delete_hub(services: Services, name: str, conditions: Conditions) -> None:
    """Deletes a hub that has no definitions any more, and before it its runs with their files, its slots and sweeps.

    Repeated, it goes on where it was interrupted. The hub takes no definitions meanwhile.

    Raises:
        ConflictError: it has definitions, was PUT meanwhile, or somebody else deletes it now (`HubDeleting`).
        PreconditionError: the conditions are not met.
        DeferredError: `TimeIsUp`, there was no time for all of it; repeated, it goes on.
    """

    def empty(closing: str) -> None:
        failpoint(FailPoint.HUB_CLOSED)
        _empty(services, name, closing)
        failpoint(FailPoint.HUB_EMPTIED)

    services.definitions.delete_hub(name, conditions, empty)


def delete_remains_of_hubs(services: Services) -> None:
    """Deletes the records of hubs that were deleted, or whose deletion came not to its end, while there is time.

    Earlier releases left them all, and somebody who was at work when the hub went may have written one behind it.
    """
    names = services.definitions.closed_hubs()
    random.shuffle(names)  # so that of nights that are too short none leaves out the same hubs
    for name in names:
        if seconds_left() < _HUB_S:
            logger.warning("removing what deleted hubs left goes on with the next maintenance, for want of time")
            return
        with failing_alone("removing what a deleted hub left", hub=name):
            closing = services.definitions.closing_of(name)
            if closing and _delete_records(services, name, closing):  # or somebody else is about it
                services.definitions.note_emptied(name, closing)


def delete_files_of_gone_run(services: Services, hub: str, run_id: str) -> None:
    """Deletes the files of a run that has no record any more, since its hub was deleted: nobody would find them."""
    if services.runs.get(hub, run_id) is None:
        _delete_files(services, run_files_of(hub, run_id), lambda: None)


def is_still(find: Callable[[], Stored[Any]], stored: Stored[Any]) -> bool:
    """Whether a definition still exists; one made anew is another one. Not for use in a consistent read."""
    try:
        return find().instance_id == stored.instance_id
    except NotFoundError:
        return False


def _empty(services: Services, name: str, closing: str) -> None:
    if not _delete_records(services, name, closing):
        message = f"the hub {name!r} is being deleted by another request; repeat this one when that is answered"
        raise ConflictError("HubDeleting", message, name)


def _delete_records(services: Services, name: str, closing: str) -> bool:
    """Deletes all that is recorded of a hub while this deletion keeps it closed; False where another thread does."""

    def check() -> None:
        if services.definitions.closing_of(name) != closing:
            raise _InUseError
        if seconds_left() < _STEP_S:
            message = f"there was no time to delete all runs of an earlier hub {name!r}; repeat the request, it goes on"
            raise DeferredError("TimeIsUp", message, name)

    with services.hub_rows.deletion(name) as has_permit, suppress(_InUseError):
        if has_permit:
            services.hub_rows.delete(name, check)
            failpoint(FailPoint.HUB_ROWS_DELETED)
            _delete_files(services, run_files_of(name), check)
    return has_permit


def _delete_files(services: Services, prefix: str, check: Callable[[], None]) -> None:
    files = services.run_files

    def delete(file: BlobEntry) -> None:
        files.delete(file.path)

    with pool_of_threads(_PARALLEL_REQUESTS) as pool:
        for page, _ in files.pages(prefix, most=_FILES_AT_ONCE):
            check()
            deque(pool.map(delete, page), maxlen=0)
