"""The outcome of trying a connection."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried; `message` says what was found and, where it is not ok, what to do."""

    name: str
    ok: bool
    message: str


def failures(checks: Sequence[Check]) -> str | None:
    """The messages of what is not ok, for `stateDetail`; None where everything is."""
    return "; ".join(check.message for check in checks if not check.ok) or None
