"""Requests that call accounts and vaults of others: they take turns, so that there are threads left for all others.

Requests are served in forty threads, and each of these may wait for ten seconds and more.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from shared.domain.errors import ThrottledError
from shared.domain.names import name_key
from shared.permits import Permits

_OF_ONE_HUB, _OF_ALL = 8, 24
_CALLS = Permits(most_of_one=12, most=32, within_s=3.0, at_once_of_one=_OF_ONE_HUB, at_once=_OF_ALL)


def calling_outside_if_free(hub: str) -> AbstractContextManager[bool]:
    """Holds a permit of the hub where one is free, for what can be done later as well; gives whether it does."""
    return _CALLS.permit_now(name_key(hub))


@contextmanager
def calling_outside(hub: str) -> Iterator[None]:
    """Holds a permit of the hub; to be entered before anything is stored.

    Raises:
        ThrottledError: it has too many, or all hubs together have, and none has come free.
    """
    with _CALLS.permit(name_key(hub)) as has_permit:
        if not has_permit:
            message = (
                f"{_OF_ONE_HUB} requests of this hub, or {_OF_ALL} of all, wait for storage accounts or vaults already "
                "(PUT and test of connectors, preview, suggest); nothing was done. Repeat the request, fewer at once"
            )
            raise ThrottledError("OutsideCallsBusy", message)
        yield
