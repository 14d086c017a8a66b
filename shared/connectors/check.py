"""The outcome of trying a connection."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from shared.deadline import seconds_left
from shared.domain.errors import HubError, TransientError, told


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried; `message` says what was found and, where it is not ok, what to do."""

    name: str
    ok: bool
    message: str


def failures(checks: Sequence[Check]) -> str | None:
    """The messages of what is not ok, for `stateDetail`, of many the first; None where everything is."""
    failed = [check.message for check in checks if not check.ok]
    return told(failed) if failed else None


def each_in_time[T](
    items: Sequence[T], name: Callable[[T], str], check: Callable[[T], Check | None], what: str
) -> Iterator[Check]:
    """Checks one thing after the other for as long as whoever waits for the outcome does.

    What there was no time for is a failure of its own: nobody knows how it is.

    Args:
        items: what is checked.
        name: of the check of one.
        check: tries one; None where there is nothing to say. A HubError is what was found.
        what: all of them, for the message.
    """
    for at, item in enumerate(items):
        if seconds_left() <= 0:
            message = (
                f"there was time to try {at} of the {len(items)} {what}, so how the others are is not known; "
                "what is wrong with one of them, its own run says"
            )
            yield Check("time", False, message)
            return
        try:
            found = check(item)
        except HubError as error:
            yield Check(name(item), False, error.message)
            if isinstance(error, TransientError):
                return  # each of the others would be waited for as long
        else:
            if found is not None:
                yield found
