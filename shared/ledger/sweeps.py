"""What is known of the sweeps of mappings: three more kinds of row in the table `runs`.

`sweep|INSTANCE` says when a mapping's container was looked through last, `backfill|INSTANCE` what became of the
newest sweep that somebody asked for, and `search|INSTANCE` how far a sweep has come that takes more than one message.
They are kept apart from the definition, whose ETag they must not change.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from shared.domain.errors import ConflictError, PreconditionError
from shared.domain.names import name_key
from shared.domain.run import RunError
from shared.storage.tables import ETAG, Row, Table, rows_below

_SWEEP, _BACKFILL, _SEARCH = "sweep|", "backfill|", "search|"
# Longer than a message works, so that one that was lost ends no sweeps for ever: the next one goes on in its place.
_LOST_AFTER = timedelta(hours=1)


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


@dataclass(frozen=True)
class Search:
    """A sweep under way, which more than one message may carry out.

    Attributes:
        sweep: what is to be recorded at its end.
        since: blobs that were changed before need no look, by the service's clock; None where it is complete.
        number: of the backfill; empty for a sweep by the schedule.
        marker: of the listing's next page; empty at the beginning.
        queued: how many blob versions were queued so far.
        noted: machine time at which this was written; None where it never was.
        is_left: whether no message is to go on with it: the next sweep does.
    """

    sweep: Sweep
    since: datetime | None
    number: str = ""
    marker: str = ""
    queued: int = 0
    noted: datetime | None = None
    is_left: bool = False

    def is_under_way(self, now: datetime) -> bool:
        """Whether a message works on it, or waits to, at a machine time."""
        return not self.is_left and self.noted is not None and now < self.noted + _LOST_AFTER


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
        self._table.upsert(_sweep_row(hub, _SWEEP, sweep))

    def search(self, hub: str, instance: str) -> Search | None:
        """How far a sweep of a mapping has come that did not end yet, or None."""
        row = self._table.get(name_key(hub), f"{_SEARCH}{instance}")
        return _search(row) if row else None

    def searches_of_hub(self, hub: str) -> dict[str, Search]:
        """Those of all mappings of a hub, by the mapping's instance."""
        rows = self._table.query(*rows_below(name_key(hub), _SEARCH))
        return {search.sweep.instance: search for search in map(_search, rows)}

    def note(self, hub: str, search: Search, now: datetime) -> Search:
        """Records how far a sweep has come, at a machine time, unless another one has taken its place.

        Of two messages at one sweep the later writer stays: what lies behind its place has been looked at by either.
        """
        search = replace(search, noted=now)
        present = self.search(hub, search.sweep.instance)
        if present is not None and present.number not in {"", search.number}:
            return search
        more = {
            "since": search.since,
            "number": search.number,
            "marker": search.marker,
            "queued": search.queued,
            "noted": search.noted,
            "isLeft": search.is_left,
        }
        self._table.upsert(_sweep_row(hub, _SEARCH, search.sweep) | more)
        return search

    def forget_search(self, hub: str, instance: str, number: str) -> None:
        """Deletes what was recorded of a sweep that needs no going on, unless another one has taken its place."""
        present = self.search(hub, instance)
        if present is not None and present.number == number:
            self._table.delete(name_key(hub), f"{_SEARCH}{instance}")

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


def _sweep_row(hub: str, prefix: str, sweep: Sweep) -> Row:
    return {
        "PartitionKey": name_key(hub),
        "RowKey": f"{prefix}{sweep.instance}",
        "instance": sweep.instance,
        "mappingEtag": sweep.mapping_etag,
        "connectorEtag": sweep.connector_etag,
        "began": sweep.began,
        "completeBegan": sweep.complete_began,
        "seen": sweep.seen,
    }


def _search(row: Row) -> Search:
    return Search(
        sweep=_sweep(row),
        since=row.get("since"),
        number=row["number"],
        marker=row["marker"],
        queued=row["queued"],
        noted=row["noted"],
        is_left=row["isLeft"],
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
