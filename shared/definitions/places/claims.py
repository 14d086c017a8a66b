"""Which claims of a container stand, and whom they keep out: whoever comes later gives way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from shared.domain.names import name_key, same_name


class Use(IntEnum):
    """What a hub does with a container: its mappings read it, its mappings move files to it, or it exports to it."""

    READ = 0
    MOVE = 1
    EXPORT = 2

    def goes_with(self, other: "Use") -> bool:
        """Whether two hubs may use a container so without a word: both move files to it, or both export to it.

        What one hub moves would lie where another is to export, or be taken for its export.
        """
        return self is other and self is not Use.READ


@dataclass(frozen=True)
class Claim:
    """A hub's claim of a container.

    Attributes:
        since: when each use of it began.
        is_shared: whether the hub lets others use the container.
    """

    hub: str
    since: Mapping[Use, datetime]
    is_shared: bool


def standing(claims: Sequence[Claim]) -> list[Claim]:
    """The claims of one container without what is refused, which is in nobody's way; who came first stands first.

    Of claims of one moment the name of the hub decides.
    """
    parts = sorted(
        (moment, name_key(claim.hub), use, at) for at, claim in enumerate(claims) for use, moment in claim.since.items()
    )
    found: dict[int, Claim] = {}
    for moment, _, use, at in parts:
        if in_the_way([*found.values()], claims[at].hub, use) is not None:
            continue
        claim = found.get(at) or replace(claims[at], since={})
        found[at] = replace(claim, since={**claim.since, use: moment})
    return [*found.values()]


def in_the_way(standing: Sequence[Claim], hub: str, use: Use) -> Claim | None:
    """The claim of another hub that keeps a hub from using a container so; None where nobody does.

    What a hub reads by right it may write to as well. Readers stand in the way of everybody, and writers in that of
    readers and of writers of the other kind; the leave of the first hub of all is enough.

    Args:
        standing: claims of the container that stand, the first first.
        hub: that wants to use it.
        use: what for.
    """
    for claim in standing:
        if same_name(claim.hub, hub) and not claim.since.keys().isdisjoint({Use.READ, use}):
            return None
    others = [claim for claim in standing if not same_name(claim.hub, hub)]
    if others and others[0] is standing[0] and others[0].is_shared:
        return None
    kept = (other for other in others if not other.is_shared and not all(map(use.goes_with, other.since)))
    return next(kept, None)
