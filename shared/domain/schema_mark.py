"""Whose a `metadata.json` is: the blob's metadata bear the mark of the connector that wrote it.

A container may be shared by a partner's own tools, by several connectors and by several hubs, and cannot be read, only
listed. So what bears no mark of ours is somebody else's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from shared.domain.names import same_name

FOREIGN_METADATA = (
    "was not written by this connector, so its entity is not exported; delete it or move it away, or take it over by "
    'POST .../test with {"takeOver": true}'
)
"""What there is to say of a `metadata.json` of somebody else, behind its path."""
_HUB, _CONNECTOR, _SHA256 = "hubid", "connector", "sha256"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Owner(Enum):
    """Whose a `metadata.json` is; `EARLIER_RELEASE` bears what those wrote instead of a mark, its digest alone."""

    OURS = auto()
    EARLIER_RELEASE = auto()
    OTHERS = auto()


@dataclass(frozen=True, slots=True)
class Writer:
    """The connector that writes to a destination.

    Attributes:
        hub_id: instance id of its hub, which no other hub has, of this app or another.
        connector: its name.
        neighbours: names of the other Outbound connectors of the hub.
    """

    hub_id: str
    connector: str
    neighbours: frozenset[str]

    def describes(self, digest: str) -> dict[str, str]:
        """The metadata of a `metadata.json` of this connector whose content has a digest (SHA-256, hexadecimal)."""
        return {_SHA256: digest, _HUB: self.hub_id, _CONNECTOR: self.connector}

    def takes_over(self, metadata: Mapping[str, str]) -> dict[str, str]:
        """The metadata of a `metadata.json` of somebody else that the next export is to replace."""
        kept = {name: value for name, value in metadata.items() if name != _SHA256}
        return {**kept, _HUB: self.hub_id, _CONNECTOR: self.connector}

    def owner_of(self, metadata: Mapping[str, str]) -> Owner:
        """Whose the `metadata.json` with this metadata is."""
        if metadata.get(_HUB) == self.hub_id:
            return Owner.OTHERS if self.is_neighbour(metadata.get(_CONNECTOR, "")) else Owner.OURS
        if set(metadata) == {_SHA256} and _DIGEST.fullmatch(metadata[_SHA256]):
            return Owner.EARLIER_RELEASE
        return Owner.OTHERS

    def is_neighbour(self, connector: str) -> bool:
        """Whether what a connector of the hub wrote is not ours.

        What one left that was deleted since is: a connector that is made anew goes on with it.
        """
        return any(same_name(connector, neighbour) for neighbour in self.neighbours)
