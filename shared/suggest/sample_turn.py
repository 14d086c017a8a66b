"""Turns at reading a sample of a file while somebody waits for the answer: one at a time, of previews and suggestions.

A sample of an ugly file takes hundreds of megabytes, which several at once would add up in the process that works for
all hubs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.domain.errors import ThrottledError
from shared.domain.names import name_key
from shared.turns import Turns

# Most samples take a moment. Who waits has one of the forty threads that answer requests.
_SAMPLES = Turns(most_of_one=6, most=12, within_s=60.0)


@contextmanager
def sample_turn(hub: str, code: str) -> Iterator[None]:
    """Waits for a turn and keeps it while the context is open.

    Args:
        hub: name of the hub; those that ask have turns one after the other.
        code: of the error, where there is no turn to be had.

    Raises:
        ThrottledError: others are asking; those of other hubs only as long as each of them takes one turn.
    """
    with _SAMPLES.turn(name_key(hub)) as has_turn:
        if not has_turn:
            message = "previews and suggestions are being made for others; repeat the request, or ask one by one"
            raise ThrottledError(code, message)
        yield
