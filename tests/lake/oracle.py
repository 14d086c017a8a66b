"""What the lake must say, by a dictionary and the plainest reading of the rules."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

FIELDS = ("CustomerId", "Name", "Age", "Spend", "Tags", "SeenAt")
EMPTY: dict[str, Any] = dict.fromkeys(FIELDS)

Row = Mapping[str, Any]


class Oracle:
    """The instances of a profile type."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self._refreshed: dict[str, dict[str, Any]] = {}
        self._unexported: set[str] = set()

    def change(self, changes: Sequence[Row]) -> None:
        """Applies changes in their order."""
        for change in changes:
            key = change["_key"]
            if change.get("_deleted"):
                self.rows.pop(key, None)
            else:
                fields = {name: value for name, value in change.items() if not name.startswith("_")}
                self.rows[key] = {**self.rows.get(key, EMPTY), **fields}

    def refresh(self) -> set[str]:
        """The keys that differ from the refresh before; gone ones are among them."""
        changed = {
            key for key in self.rows.keys() | self._refreshed.keys() if self.rows.get(key) != self._refreshed.get(key)
        }
        self._refreshed = deepcopy(self.rows)
        self._unexported |= changed
        return changed

    def export(self) -> set[str]:
        """The keys of the next slot: what refreshes changed since the slot before, and what is still there."""
        slot = self._unexported & self.rows.keys()
        self._unexported = set()
        return slot
