"""How a text from outside is shown in a message of ours: between quotes, and no more of it than tells it apart.

Every message that repeats what a caller, a file or a stored definition says takes it through here, so that none repeats
more than SHOWN_CHARACTERS of it.
"""

from collections.abc import Iterable

SHOWN_CHARACTERS = 192  # the longest name that is allowed, in the longest path that an export makes of it
_NAMES_SHOWN = 8


def shown(text: object) -> str:
    """The text between quotes, control characters escaped; of a longer one its first characters and `...`."""
    return repr(shortened(str(text)))


def shortened(text: str) -> str:
    """The text itself; of one that is longer than SHOWN_CHARACTERS as many characters, and `...`."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def listed(names: Iterable[str]) -> str:
    """The first of the names as `shown` gives them, and how many more there are."""
    given = list(names)
    more = len(given) - _NAMES_SHOWN
    return ", ".join(map(shown, given[:_NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")
