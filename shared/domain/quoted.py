"""How a text from outside is shown in a message of ours: between quotes, and no more of it than tells it apart."""

SHOWN_CHARACTERS = 128  # as long as the longest name that is allowed


def quoted(text: object) -> str:
    """The text between quotes, control characters escaped; of a longer one its first characters and `...`.

    Every message that repeats what a caller, a file or a stored definition says takes it through here.
    """
    return repr(shortened(str(text)))


def shortened(text: str) -> str:
    """The text itself; of one that is longer than SHOWN_CHARACTERS as many characters, and `...`."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
