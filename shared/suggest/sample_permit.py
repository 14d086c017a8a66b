"""Permits to read a sample of a file while somebody waits for the answer: one at a time, for previews and suggestions.

A sample of an ugly file takes hundreds of megabytes, which several at once would add up in the process that works for
all hubs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.domain.errors import ThrottledError
from shared.domain.names import name_key
from shared.permits import Permits

# Most samples take a moment. Who waits has one of the forty threads that answer requests.
_SAMPLES = Permits(most_of_one=6, most=12, within_s=60.0)


@contextmanager
def sample_permit(hub: str, code: str) -> Iterator[None]:
    """Waits for a permit and keeps it while the context is open.

    Args:
        hub: name of the hub; those that ask have permits one after the other.
        code: of the error, where there is no permit to be had.

    Raises:
        ThrottledError: others are asking; those of other hubs only as long as each of them takes one permit.
    """
    with _SAMPLES.permit(name_key(hub)) as has_permit:
        if not has_permit:
            message = "previews and suggestions are being made for others; repeat the request, or ask one by one"
            raise ThrottledError(code, message)
        yield
