"""Which claims of a container stand, and whom they keep out: whoever comes later gives way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.names import name_key, same_name


@dataclass(frozen=True)
class Claim:
    """A hub's claim of a container.

    Attributes:
        read_since: when its mappings began to read the container; None where they do not.
        written_since: when it began to move files, or to export, to it; None where it does not.
        is_shared: whether the hub lets others use the container.
    """

    hub: str
    read_since: datetime | None
    written_since: datetime | None
    is_shared: bool


def standing(claims: Sequence[Claim]) -> list[Claim]:
    """The claims of one container without what is refused, which is in nobody's way; who came first stands first.

    Of claims of one moment the name of the hub decides.
    """
    parts = sorted(
        (moment, name_key(claim.hub), is_write, at)
        for at, claim in enumerate(claims)
        for is_write, moment in ((False, claim.read_since), (True, claim.written_since))
        if moment is not None
    )
    found: dict[int, Claim] = {}
    for moment, _, is_write, at in parts:
        if in_the_way([*found.values()], claims[at].hub, is_write=is_write) is not None:
            continue
        claim = found.get(at) or replace(claims[at], read_since=None, written_since=None)
        found[at] = replace(claim, written_since=moment) if is_write else replace(claim, read_since=moment)
    return [*found.values()]


def in_the_way(standing: Sequence[Claim], hub: str, *, is_write: bool) -> str | None:
    """The other hub that keeps a hub from reading a container, or from writing to it; None where nobody does.

    What a hub reads by right it may write to as well. Readers stand in the way of writers and readers, writers in that
    of readers; the leave of the first hub of all is enough.

    Args:
        standing: claims of the container that stand, the first first.
        hub: that wants to use it.
        is_write: whether files are only moved or exported to it.
    """
    for claim in standing:
        if same_name(claim.hub, hub) and (claim.read_since is not None or (is_write and claim.written_since)):
            return None
    others = [claim for claim in standing if not same_name(claim.hub, hub)]
    if others and others[0] is standing[0] and others[0].is_shared:
        return None
    kept = (other for other in others if not other.is_shared and (other.read_since is not None or not is_write))
    return next((other.hub for other in kept), None)
