"""When the upkeep of each table was begun last: one more kind of row in the table `runs`.

The rows of all hubs are in one partition, whose name no hub can have: a night reads them with few requests.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from enum import StrEnum

from shared.domain.names import name_key
from shared.storage.tables import Row, Table

_PARTITION = "|upkeep"
_NEVER = datetime.min.replace(tzinfo=UTC)


class Upkeep(StrEnum):
    """What is done for a table; the value is the column of its time."""

    REFRESH = "refreshed"
    WHOLE = "upkept"


class UpkeepTimes:
    """The times that a table of storage has, read once; tables of the lake go by the instance of their definition."""

    def __init__(self, table: Table) -> None:
        self._table = table
        rows = table.query("PartitionKey eq @partition", {"partition": _PARTITION})
        self._rows: dict[str, Row] = {row["RowKey"]: row for row in rows}

    def last(self, instance: str, what: Upkeep) -> datetime:
        """When it was begun for a table; long ago where it never was."""
        return _last(self._rows.get(instance, {}), what)

    def last_of_hubs(self, what: Upkeep) -> dict[str, datetime]:
        """When it was begun last for any table of each hub, by the hub's name in lower case."""
        rows = sorted(self._rows.values(), key=lambda row: _last(row, what))
        return {row["hub"]: _last(row, what) for row in rows}

    def note(self, hub: str, instance: str, what: Upkeep, now: datetime) -> None:
        """Notes that it is begun; the whole of upkeep refreshes too.

        It is noted before the work: what fails, hangs or ends the process has had its turn as well.
        """
        row = self._rows.get(instance, {}) | {"PartitionKey": _PARTITION, "RowKey": instance, "hub": name_key(hub)}
        row |= {Upkeep.REFRESH.value: now, what.value: now}
        self._table.upsert(row)
        self._rows[instance] = row

    def keep_hubs(self, hubs: Collection[str]) -> None:
        """Forgets the tables of all hubs but these."""
        keys = {name_key(hub) for hub in hubs}
        self._forget([instance for instance, row in self._rows.items() if row["hub"] not in keys])

    def keep_tables(self, hub: str, instances: Collection[str]) -> None:
        """Forgets all tables of a hub but these."""
        of_hub = [instance for instance, row in self._rows.items() if row["hub"] == name_key(hub)]
        self._forget([instance for instance in of_hub if instance not in instances])

    def _forget(self, instances: Collection[str]) -> None:
        for instance in instances:
            self._table.delete(_PARTITION, instance)
            del self._rows[instance]


def _last(row: Row, what: Upkeep) -> datetime:
    return row.get(what.value) or _NEVER
