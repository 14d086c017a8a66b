"""Permits to read large rows: one request at a time, and none for longer than others can wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any

from shared.deadline import new_thread
from shared.domain.errors import ThrottledError, UnavailableError
from shared.engine.workspace import Workspace
from shared.permits import Permits

if TYPE_CHECKING:
    import pyarrow as pa

ENDED_AFTER_S = 20.0
"""What one permit takes at most; a statement at work then is interrupted."""

# One at a time: what several read at once would add up. Whoever reads ordinary rows does not wait, and finds one of the
# forty threads that answer requests: few may wait for their permit, and not for long.
_LARGE_ROWS = Permits(most_of_one=8, most=16, within_s=60.0)
_AGAIN_S = 0.5
_ITEMS_AT_ONCE = 4096


@contextmanager
def large_rows_permit(work: Workspace, hub: str) -> Iterator[float]:
    """Waits for a permit and keeps it while the context is open; gives the moment of the monotonic clock when it ends.

    Raises:
        ThrottledError: others are reading large rows; those of other hubs only as long as each of them takes one page.
        duckdb.InterruptException: from a statement that goes on to the end of the permit.
    """
    with _LARGE_ROWS.permit(hub) as has_permit:
        if not has_permit:
            message = "others are reading large rows of this app; repeat the request, or ask for them one after another"
            raise ThrottledError("LargeRowsBusy", message)
        until = monotonic() + ENDED_AFTER_S
        is_done = Event()

        def end() -> None:
            left = ENDED_AFTER_S
            # Again and again: an interruption between two statements is lost.
            while not is_done.wait(left):
                work.connection.interrupt()
                left = _AGAIN_S

        ending = new_thread(end, "end-of-permit")
        ending.start()
        try:
            yield until
        finally:
            is_done.set()
            ending.join()


class Items:
    """The items of an array in a large row: a few at a time become objects, which take many times as much.

    Iterating raises UnavailableError `LargeRowsTooSlow` when the time is up.
    """

    def __init__(self, items: "pa.Array", until: float) -> None:
        self._items = items
        self._until = until

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self._items), _ITEMS_AT_ONCE):
            if monotonic() > self._until:
                raise too_slow()
            yield from self._items.slice(start, _ITEMS_AT_ONCE).to_pylist()


def rows_with_items(table: "pa.Table", until: float) -> list[tuple[Any, ...]]:
    """The rows of a table, their arrays as `Items`."""
    import pyarrow as pa

    columns = []
    for column in table.columns:
        if pa.types.is_list(column.type):
            columns.append([Items(cell.values, until) if cell.is_valid else None for cell in column])
        else:
            columns.append(column.to_pylist())
    return list(zip(*columns, strict=True))


def too_slow() -> UnavailableError:
    """What is raised where no row of all that were asked for could be read in one permit."""
    return UnavailableError(
        "LargeRowsTooSlow",
        f"the rows are so large that none was read within {ENDED_AFTER_S:.0f} s; repeat the request when the app has "
        "less to do, and where that does not help, bring them in anew with smaller cells or fewer fields",
    )
