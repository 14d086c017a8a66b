"""Changes of one hub's definitions go one after another: side by side each would undo what the others have read.

Requests are served in forty threads, and those that wait here keep one each.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.deadline import EVENT_S, seconds_left
from shared.domain.errors import ThrottledError
from shared.permits import Permits

MOST_WAITING = 24
_OF_ALL = 32


class ChangeQueue:
    """The line of this process before each partition of the definitions."""

    def __init__(self) -> None:
        self._permits = Permits(most_of_one=MOST_WAITING + 1, most=_OF_ALL, within_s=10.0, at_once=_OF_ALL)

    @contextmanager
    def permit(self, partition: str, *, is_begun: bool = False) -> Iterator[None]:
        """Holds the permit at a partition; whoever gets none, and is not to be refused, goes on without.

        Args:
            partition: that is changed.
            is_begun: whether something was done for the change already, so that it is not refused.

        Raises:
            ThrottledError: `ChangesBusy`, too many wait already.
        """
        with self._permits.permit(partition) as has_permit:
            # Callers of HTTP, and events, have no more time, and can be told to come again; a step of a tick has more.
            if not has_permit and not is_begun and seconds_left() <= EVENT_S:
                message = (
                    f"too many changes of definitions wait: {MOST_WAITING} of one hub, or {_OF_ALL} of "
                    "all together. Repeat the request, fewer at once"
                )
                raise ThrottledError("ChangesBusy", message)
            yield
