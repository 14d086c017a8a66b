"""Commits of changes, each with the row `guard` of the partition that it changes."""

import uuid
from collections.abc import Callable

from shared.domain.errors import ConflictError, PreconditionError, UnavailableError
from shared.storage.tables import Operation, Row, Table

GUARD = "guard"
# Earlier releases noted that a hub is closed, and not by which deletion.
_BY_AN_EARLIER_RELEASE = "earlier"


def closing_in(guard: Row | None) -> str:
    """Which deletion has closed the hub of a guard; empty where it is open."""
    if guard is None or not guard["closed"]:
        return ""
    return str(guard.get("closing") or _BY_AN_EARLIER_RELEASE)


def emptied_since_in(guard: Row | None) -> str:
    """When the records of a closed hub were deleted first; empty where they were not yet."""
    return str(guard.get("emptiedSince") or "") if guard is not None else ""


def commit(table: Table, partition: str, operations: Callable[[str], list[Operation]]) -> bool:
    """Commits a change; False where another one came first.

    Args:
        table: of the documents.
        partition: that is changed.
        operations: of the change, the guard's with this id among them.
    """
    write_id = uuid.uuid4().hex
    try:
        table.transact(operations(write_id))
    except (ConflictError, PreconditionError):
        return _is_ours(table, partition, write_id)
    except UnavailableError:
        if not _is_ours(table, partition, write_id):
            raise
    return True


def _is_ours(table: Table, partition: str, write_id: str) -> bool:
    """Whether a commit that seemed to fail is there: its answer alone may have been lost."""
    guard = table.get(partition, GUARD)
    return guard is not None and guard["writeId"] == write_id
