"""What is known of the sweeps of mappings: two more kinds of row in the table `runs`.

`sweep|INSTANCE` says when a mapping's container was looked through last, `backfill|INSTANCE` what became of the
newest sweep that somebody asked for. Both are kept apart from the definition, whose ETag they must not change.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from shared.domain.errors import ConflictError, PreconditionError
from shared.domain.names import name_key
from shared.domain.run import RunError
from shared.storage.tables import ETAG, Row, Table, rows_below

_SWEEP, _BACKFILL = "sweep|", "backfill|"


@dataclass(frozen=True)
class Sweep:
    """The last sweep of a mapping that came to its end.

    Attributes:
        instance: of the mapping.
        mapping_etag, connector_etag: of the definitions that it went by.
        began: when, by the app's clock.
        complete_began: when the last sweep began, by the app's clock, that looked for the run of every blob.
        seen: machine time at which it began: what the container held then has been looked at.
    """

    instance: str
    mapping_etag: str
    connector_etag: str
    began: datetime
    complete_began: datetime
    seen: datetime


@dataclass(frozen=True)
class Backfill:
    """A sweep that somebody asked for.

    Attributes:
        instance: of the mapping.
        number: tells it from an earlier or later one of the mapping.
        asked: when, by the app's clock.
        ended: when every blob had been looked at; None while that goes on.
        found: how many blob versions were queued.
        error: why the container could not be looked through.
    """

    instance: str
    number: str
    asked: datetime
    ended: datetime | None = None
    found: int = 0
    error: RunError | None = None

    def found_all(self, found: int, now: datetime) -> Self:
        """The backfill with everything that it was to find in the queue."""
        return replace(self, found=found, ended=now, error=None)

    def failed(self, error: RunError, now: datetime) -> Self:
        """The backfill given up."""
        return replace(self, ended=now, error=error)


class Sweeps:
    """The sweeps of all mappings of all hubs."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, hub: str, instance: str) -> Sweep | None:
        """The last sweep of a mapping, or None."""
        row = self._table.get(name_key(hub), f"{_SWEEP}{instance}")
        return _sweep(row) if row else None

    def of_hub(self, hub: str) -> dict[str, Sweep]:
        """The last sweep of each mapping of a hub, by the mapping's instance."""
        rows = self._table.query(*rows_below(name_key(hub), _SWEEP))
        return {sweep.instance: sweep for sweep in map(_sweep, rows)}

    def save(self, hub: str, sweep: Sweep) -> None:
        """Records a sweep.

        Of two at once the later writer stays, with what it has looked at: what it has not is looked at again.
        """
        self._table.upsert(
            {
                "PartitionKey": name_key(hub),
                "RowKey": f"{_SWEEP}{sweep.instance}",
                "instance": sweep.instance,
                "mappingEtag": sweep.mapping_etag,
                "connectorEtag": sweep.connector_etag,
                "began": sweep.began,
                "completeBegan": sweep.complete_began,
                "seen": sweep.seen,
            }
        )

    def backfill(self, hub: str, instance: str) -> Backfill | None:
        """The newest backfill of a mapping, or None."""
        row = self._table.get(name_key(hub), f"{_BACKFILL}{instance}")
        return _backfill(row) if row else None

    def ask(self, hub: str, backfill: Backfill) -> None:
        """Records a new backfill in the place of an earlier one."""
        self._table.upsert(_backfill_row(hub, backfill))

    def change_backfill(self, hub: str, instance: str, number: str, change: Callable[[Backfill], Backfill]) -> None:
        """Records how a backfill went on, unless a newer one has taken its place."""
        while True:
            row = self._table.get(name_key(hub), f"{_BACKFILL}{instance}")
            if row is None or row["number"] != number:
                return
            try:
                self._table.replace(_backfill_row(hub, change(_backfill(row))), row[ETAG])
            except (ConflictError, PreconditionError):
                continue  # asked for anew, or ended twice: look again
            return


def _sweep(row: Row) -> Sweep:
    return Sweep(
        instance=row["instance"],
        mapping_etag=row["mappingEtag"],
        connector_etag=row["connectorEtag"],
        began=row["began"],
        complete_began=row["completeBegan"],
        seen=row["seen"],
    )


def _backfill(row: Row) -> Backfill:
    code = row.get("errorCode")
    return Backfill(
        instance=row["instance"],
        number=row["number"],
        asked=row["asked"],
        ended=row.get("ended"),
        found=row["found"],
        error=RunError(code=code, message=row["errorMessage"]) if code else None,
    )


def _backfill_row(hub: str, backfill: Backfill) -> Row:
    return {
        "PartitionKey": name_key(hub),
        "RowKey": f"{_BACKFILL}{backfill.instance}",
        "instance": backfill.instance,
        "number": backfill.number,
        "asked": backfill.asked,
        "ended": backfill.ended,
        "found": backfill.found,
        "errorCode": backfill.error.code if backfill.error else None,
        "errorMessage": backfill.error.message[:4096] if backfill.error else None,
    }
