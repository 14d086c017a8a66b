"""What is known of the sweeps of mappings: four more kinds of row in the table `runs`, at most one each for a mapping.

`sweep|INSTANCE` says when a mapping's container was looked through last, `search|INSTANCE` how far a sweep by the
schedule has come that takes more than one message, and `backfill|INSTANCE` how far the newest sweep has come that
somebody asked for, and what became of it. `completion|INSTANCE` says that the files are to be moved or deleted that
could not be when their rows had come in, and by which message, once one has come. They are kept apart from the
definition, whose ETag they must not change.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from shared.domain.documents.run import RunError
from shared.domain.errors import ConflictError, PreconditionError
from shared.domain.names import name_key
from shared.storage.tables import ETAG, Row, Table, rows_below

_SWEEP, _BACKFILL, _OPEN, _COMPLETION = "sweep|", "backfill|", "search|", "completion|"
# Longer than a message works, so that one that was lost ends no sweeps for ever: another goes on in its place.
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
class OpenSweep:
    """A sweep that has not come to its end, which more than one message may carry out.

    Attributes:
        sweep: what is to be recorded at its end.
        since: blobs that were changed before need no look, by the service's clock; None where it is complete.
        number: of the backfill; empty for a sweep by the schedule.
        marker: of the listing's next page; empty at the beginning.
        queued: how many blob versions were queued so far.
        noted: machine time at which this was written; None where it never was.
        is_left: whether no message is to go on with it: the next sweep by the schedule does.
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


@dataclass(frozen=True)
class Backfill:
    """A sweep that somebody asked for.

    Attributes:
        instance: of the mapping.
        number: tells it from an earlier or later one of the mapping.
        asked: when, by the app's clock.
        noted: machine time at which its message was sent or last worked on it; None where it could not be sent.
        sent_again: how many more messages were sent for it, the ones before being taken for lost.
        begun: how far it has come; None before the first note of it, and after its end.
        ended: when every blob had been looked at; None while that goes on.
        found: how many blob versions were queued.
        error: why the container could not be looked through.
    """

    instance: str
    number: str
    asked: datetime
    noted: datetime | None = None
    sent_again: int = 0
    begun: OpenSweep | None = None
    ended: datetime | None = None
    found: int = 0
    error: RunError | None = None

    @property
    def is_open(self) -> bool:
        """Whether there are blobs that it has not looked at."""
        return self.ended is None

    def is_lost(self, now: datetime) -> bool:
        """Whether, at a machine time, its message is to be sent again: what there was may be lost.

        It may just as well wait, behind a queue of hours or for a source that hangs for days, so each time twice as
        long is waited, or its messages would become ever more.
        """
        return self.is_open and (self.noted is None or now >= self.noted + _LOST_AFTER * 2**self.sent_again)

    def found_all(self, found: int, now: datetime) -> Self:
        """The backfill with everything that it was to find in the queue."""
        return replace(self, found=found, ended=now, begun=None, error=None)

    def failed(self, error: RunError, now: datetime, noted: datetime) -> Self:
        """The backfill given up, at a time of the app's clock and a machine time."""
        return replace(self, ended=now, noted=noted, begun=None, error=error)

    def is_made_up_for(self, last: Sweep | None) -> bool:
        """Whether the last sweep began after this backfill was given up."""
        return self.error is not None and last is not None and (self.noted is None or last.seen > self.noted)


@dataclass(frozen=True)
class Known:
    """What is recorded of the sweeps of one mapping: the last one, that of the schedule under way, the backfill."""

    last: Sweep | None = None
    scheduled: OpenSweep | None = None
    backfill: Backfill | None = None


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

    def known(self, hub: str) -> dict[str, Known]:
        """All that is recorded of a hub, by the mapping's instance, also of mappings that are gone."""
        last, partition = self.of_hub(hub), name_key(hub)
        open_rows = self._table.query(*rows_below(partition, _OPEN))
        scheduled = {row["instance"]: _scheduled(row) for row in open_rows}
        backfill_rows = self._table.query(*rows_below(partition, _BACKFILL))
        backfills = {row["instance"]: _backfill(row) for row in backfill_rows}
        instances = last.keys() | scheduled.keys() | backfills.keys()
        return {one: Known(last.get(one), scheduled.get(one), backfills.get(one)) for one in instances}

    def forget(self, hub: str, instance: str) -> None:
        """Deletes all that is recorded of a mapping."""
        for prefix in (_SWEEP, _OPEN, _BACKFILL, _COMPLETION):
            self._table.delete(name_key(hub), f"{prefix}{instance}")

    def scheduled(self, hub: str, instance: str) -> OpenSweep | None:
        """How far a sweep by the schedule has come that did not end yet, or None."""
        row = self._table.get(name_key(hub), f"{_OPEN}{instance}")
        return _scheduled(row) if row else None

    def note(self, hub: str, sweep: OpenSweep, now: datetime) -> bool:
        """Records how far a sweep has come, at a machine time.

        Of two messages at one sweep the later writer stays: what lies behind its place has been looked at by either.

        Returns:
            Whether it is to be gone on with; False for a backfill that is over, or in whose place there is a newer one.
        """
        sweep = replace(sweep, noted=now)
        if not sweep.number:
            self._table.upsert(_open_row(hub, _OPEN, sweep))
            return True

        def go_on(backfill: Backfill) -> Backfill:
            return replace(backfill, begun=sweep, noted=now)

        return self.change_backfill(hub, sweep.sweep.instance, sweep.number, go_on)

    def forget_scheduled(self, hub: str, instance: str) -> None:
        """Deletes what was recorded of a sweep by the schedule that needs no going on."""
        self._table.delete(name_key(hub), f"{_OPEN}{instance}")

    def backfill(self, hub: str, instance: str) -> Backfill | None:
        """The newest backfill of a mapping, or None."""
        row = self._table.get(name_key(hub), f"{_BACKFILL}{instance}")
        return _backfill(row) if row else None

    def ask_completion(self, hub: str, instance: str, now: datetime) -> bool:
        """Records at a machine time that a message is to complete the files of a mapping; False if one is under way.

        One that was noted an hour ago may be lost, or wait in a long queue, so it is whichever comes first.
        """
        row = _completion_row(hub, instance, "", now)
        present = self._table.get(row["PartitionKey"], row["RowKey"])
        if present is not None and now < present["noted"] + _LOST_AFTER:
            return False
        try:
            if present is None:
                self._table.insert(row)
            else:
                self._table.replace(row, present[ETAG])
        except (ConflictError, PreconditionError):
            return False  # somebody else has asked just now
        return True

    def note_completion(self, hub: str, instance: str, number: str, now: datetime) -> bool:
        """Records that the message works, at a machine time; False where it is over, or another one is at it."""
        while True:
            present = self._table.get(name_key(hub), f"{_COMPLETION}{instance}")
            if present is None or present["number"] not in {"", number}:
                return False
            try:
                self._table.replace(_completion_row(hub, instance, number, now), present[ETAG])
            except PreconditionError:
                continue  # a second delivery of it, or another one was faster: look again
            return True

    def end_completion(self, hub: str, instance: str) -> None:
        """Records that no message is to complete the files of a mapping."""
        self._table.delete(name_key(hub), f"{_COMPLETION}{instance}")

    def ask(self, hub: str, backfill: Backfill) -> None:
        """Records a new backfill in the place of an earlier one."""
        self._table.upsert(_backfill_row(hub, backfill))

    def change_backfill(self, hub: str, instance: str, number: str, change: Callable[[Backfill], Backfill]) -> bool:
        """Records how a backfill went on, unless it is over, or a newer one has taken its place.

        Two messages may work at one backfill: what the first makes of it stays.

        Args:
            hub: of the mapping.
            instance: of the mapping.
            number: of the backfill.
            change: makes the new record of the present one.

        Returns:
            Whether it was recorded.
        """
        while True:
            row = self._table.get(name_key(hub), f"{_BACKFILL}{instance}")
            if row is None or row["number"] != number or not (present := _backfill(row)).is_open:
                return False
            try:
                self._table.replace(_backfill_row(hub, change(present)), row[ETAG])
            except (ConflictError, PreconditionError):
                continue  # asked for anew, or ended twice: look again
            return True


def _completion_row(hub: str, instance: str, number: str, now: datetime) -> Row:
    return {"PartitionKey": name_key(hub), "RowKey": f"{_COMPLETION}{instance}", "number": number, "noted": now}


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


def _open(row: Row) -> OpenSweep:
    return OpenSweep(
        sweep=_sweep(row),
        since=row.get("since"),
        number=row["number"],
        marker=row["marker"],
        queued=row["queued"],
        noted=row.get("noted"),
        is_left=row["isLeft"],
    )


def _scheduled(row: Row) -> OpenSweep:
    # Earlier releases noted backfills here too; such a one is complete, so the schedule can go on with it.
    return replace(_open(row), number="")


def _open_row(hub: str, prefix: str, sweep: OpenSweep) -> Row:
    return _sweep_row(hub, prefix, sweep.sweep) | {
        "since": sweep.since,
        "number": sweep.number,
        "marker": sweep.marker,
        "queued": sweep.queued,
        "noted": sweep.noted,
        "isLeft": sweep.is_left,
    }


def _backfill(row: Row) -> Backfill:
    code = row.get("errorCode")
    return Backfill(
        instance=row["instance"],
        number=row["number"],
        asked=row["asked"],
        noted=row.get("noted"),
        sent_again=row.get("sentAgain", 0),
        begun=_open(row) if "began" in row else None,
        ended=row.get("ended"),
        found=row["found"],
        error=RunError(code=code, message=row["errorMessage"]) if code else None,
    )


def _backfill_row(hub: str, backfill: Backfill) -> Row:
    begun = _open_row(hub, _BACKFILL, backfill.begun) if backfill.begun else {}
    return begun | {
        "PartitionKey": name_key(hub),
        "RowKey": f"{_BACKFILL}{backfill.instance}",
        "instance": backfill.instance,
        "number": backfill.number,
        "asked": backfill.asked,
        "noted": backfill.noted,
        "sentAgain": backfill.sent_again,
        "ended": backfill.ended,
        "found": backfill.found,
        "errorCode": backfill.error.code if backfill.error else None,
        "errorMessage": backfill.error.message[:4096] if backfill.error else None,
    }
