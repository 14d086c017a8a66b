"""The record of all runs, in the table `runs`.

A run has two rows in the partition of its hub, always written in one transaction: `run|ID`, by which it is
found and whose ETag guards every change, and `time|INVERTED TICKS|ID`, by which lists are newest first. While
it is not finished it has a third, `open|ID`; while it is Failed and to be tried again by itself, `retry|ID`.
`blob|KEY` holds the newest version number of a blob, and its order; `correction|ID|DIGEST` says that a run was given a
correction.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic

from shared.clock import Clock
from shared.deadline import deadline, seconds_left
from shared.domain.documents.correction import Correction
from shared.domain.documents.run import Run, RunKind, RunState
from shared.domain.errors import CommitConflictError, ConflictError, PreconditionError, TransientError
from shared.domain.names import name_key
from shared.ledger.run_document import read_run
from shared.ledger.run_rows import (
    OPEN,
    RETRY,
    RUN,
    TIME,
    correction_key,
    counter_key,
    deleting,
    inserting,
    replacing,
    rows_of,
    run_key,
    stored_of,
)
from shared.ledger.stored_run import Standing, StoredRun
from shared.storage.tables import (
    ETAG,
    REQUEST_S,
    Delete,
    Insert,
    Operation,
    Replace,
    Row,
    Table,
)

# The SDK cuts the fractions off a time in a filter.
_FILTER_STEP = timedelta(seconds=1)
_RACES = 20
# Begins the place of a part of `owing` that lies before its beginning; no token holds it.
_PAST_END = "<"
# A sweep that knows the states of its mapping's runs asks for none of them; with more it asks for each blob's.
_STATES_S = 60.0
_MOST_STATES = 200_000
# The newest run of a mapping is sought for two seconds.
_NEWEST_S = REQUEST_S + 2.0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a blob version is to stand among those of all blobs.

    Attributes:
        order: its place; ascends.
        newest: what says how far the versions of its blob are numbered; None where none is, or this one is.
    """

    order: int
    newest: Row | None


class Runs:
    """All runs of all hubs."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def create(self, stored: StoredRun) -> bool:
        """Records a run; False if it is recorded already. Of many callers at once, one gets True."""
        stored = replace(stored, changed=self._clock.machine_now())
        operations, write_id = inserting(stored)
        try:
            self._table.transact(operations)
        except ConflictError:
            return self._written(stored, write_id) is not None
        except TransientError:
            if self._written(stored, write_id) is None:
                raise
        return True

    def create_for(self, stored: StoredRun, is_there: Callable[[], bool]) -> bool:
        """As `create`, for what may be gone by now, and its hub with it: then nothing stays recorded, and it is False.

        Another hub of the name must not come to see the run, so it is looked after what is written has been written.

        Args:
            stored: the run.
            is_there: whether the definition that it is for is there, as of now; one made anew is another.
        """
        if not self.create(stored):
            return False
        if is_there():
            return True
        self.withdraw(stored)
        return False

    def withdraw(self, stored: StoredRun) -> None:
        """Deletes the record of a run that came too late for what it is for."""
        for _ in range(_RACES):
            present = self.get(stored.hub, stored.run.run_id)
            if present is None:
                return
            with suppress(PreconditionError):  # somebody has just changed it
                self._table.transact(deleting(present))

    def get(self, hub: str, run_id: str) -> StoredRun | None:
        """The record of a run, or None."""
        row = self._table.get(name_key(hub), f"{RUN}{run_id}")
        return stored_of(hub, row) if row else None

    def save(self, stored: StoredRun) -> StoredRun:
        """Stores a changed record.

        Raises:
            PreconditionError: somebody else has changed it meanwhile; nothing was stored.
        """
        return self._save_with(stored)

    def accept_correction(self, stored: StoredRun, correction: Correction) -> StoredRun:
        """Stores a record together with the fact that the run was given a correction.

        Raises:
            PreconditionError: somebody else has changed the record meanwhile. ConflictError: the run was given this
                correction before. Nothing was stored.
        """
        keys = {"PartitionKey": name_key(stored.hub), "RowKey": correction_key(stored, correction.digest)}
        return self._save_with(replace(stored, correction=correction), Insert(keys))

    def drop_correction(self, stored: StoredRun) -> StoredRun:
        """Stores a record without its correction, of which nothing was ingested; it may be given again.

        Raises:
            PreconditionError: somebody else has changed the record meanwhile; nothing was stored.
        """
        if stored.correction is None:
            return self.save(stored)
        key = correction_key(stored, stored.correction.digest)
        return self._save_with(replace(stored, correction=None), Delete(name_key(stored.hub), key))

    def has_taken(self, stored: StoredRun, digest: str) -> bool:
        """Whether the run was given a correction, be it done or waiting."""
        return self._table.get(name_key(stored.hub), correction_key(stored, digest)) is not None

    def get_or_create(self, first: StoredRun, is_there: Callable[[], bool]) -> StoredRun | None:
        """The record of a run, which is `first` where there is none yet; None if there is to be none.

        Args:
            first: what is recorded then.
            is_there: as in `create_for`.
        """
        while True:
            stored = self.get(first.hub, first.run.run_id)
            if stored is not None:
                return stored
            if not self.create_for(first, is_there) and not is_there():
                return None

    def position_of(self, stored: StoredRun, order: int) -> Position:
        """Where the version of a run is to stand: at `order`, but behind the numbered versions of its blob."""
        if stored.number is not None:
            return Position(stored.order, None)
        newest = self._table.get(*counter_key(stored))
        return Position(max(order, int(newest["order"]) + 1) if newest else order, newest)

    def number_version(self, stored: StoredRun, place: Position) -> StoredRun:
        """Stores a record with the next number among the versions of its blob; one that it has already it keeps.

        Args:
            stored: the run.
            place: where the version stands, out of `place_of`.

        Raises:
            PreconditionError: somebody else has changed the record meanwhile.
            CommitConflictError: another version of the blob that stands there or behind was numbered meanwhile, or too
                many are numbered at once; find a place anew.
        """
        if stored.number is not None:
            return self.save(stored)
        partition, key = counter_key(stored)
        newest = place.newest
        for _ in range(_RACES):
            number = int(newest["number"]) + 1 if newest else 1
            numbered = replace(stored, number=number, order=place.order, changed=self._clock.machine_now())
            counter = {"PartitionKey": partition, "RowKey": key, "number": number, "order": str(place.order)}
            counting: Operation = Replace(counter, newest[ETAG]) if newest else Insert(counter)
            operations, write_id = replacing(numbered)
            try:
                return self._saved(numbered, [*operations, counting], write_id)
            except (ConflictError, PreconditionError):
                present = self.get(stored.hub, stored.run.run_id)
                if present is None or present.etag != stored.etag:
                    raise
            newest = self._table.get(partition, key)
            if newest and int(newest["order"]) >= place.order:
                break
        message = (
            f"other versions of the blob were numbered while run {stored.run.run_id} staged its rows; stage them again"
        )
        raise CommitConflictError("NumberingRaced", message)

    def page(
        self,
        hub: str,
        connector: str | None = None,
        mapping: str | None = None,
        kind: RunKind | None = None,
        state: RunState | None = None,
        top: int = 30,
        continuation: str | None = None,
    ) -> tuple[list[Run], str | None]:
        """Runs, newest first, and what the next page is asked for with; None on the last one.

        A page ends when the thread's deadline is near, be it without a run: only the order of time is a key.

        Raises:
            InvalidRequestError: the continuation is not one of ours.
        """
        where, values = rows_of(hub, TIME)
        columns = {"connector": connector, "mapping": mapping}
        wanted = {name: name_key(value) for name, value in columns.items() if value is not None}
        wanted |= {name: item.value for name, item in {"kind": kind, "state": state}.items() if item is not None}
        for name, value in wanted.items():
            where += f" and {name} eq @{name}"
            values[name] = value
        rows, following = self._table.page(where, values, top, continuation, may_end_early=True)
        return [read_run(row["run"]) for row in rows], following

    def states_of_mapping(self, hub: str, connector: str, mapping: str) -> dict[str, Standing] | None:
        """Where every run of a mapping stands, by run id; None if the hub has too many runs to read them all."""
        ends = monotonic() + _STATES_S
        where, values = rows_of(hub, RUN)
        where += " and connector eq @connector and mapping eq @mapping"
        values |= {"connector": name_key(connector), "mapping": name_key(mapping)}
        found: dict[str, Standing] = {}
        for rows in self._table.pages(where, values, ["runId", "state", "owes"]):
            found |= {row["runId"]: Standing(RunState(row["state"]), row.get("owes")) for row in rows}
            if len(found) > _MOST_STATES or monotonic() > ends:
                return None
        return found

    def owing(
        self, hub: str, mapping_instance: str, operation: str, begin: str, place: str, most: int
    ) -> tuple[list[str], str | None]:
        """A part of the ids of a mapping's runs that owe their files an operation, at the cost of one request.

        The part may be empty though there are more: all runs of the hub have to be looked at.

        Args:
            hub: of the mapping.
            mapping_instance: of the mapping.
            operation: that is owed.
            begin: the id from which on they are found, by their order, and round to which.
            place: empty for the first part, then what the part before returned.
            most: ids at most, up to 1,000.

        Returns:
            The ids, and the place of the next part; None after the last one.
        """
        where, values = rows_of(hub, RUN)
        is_past_end = place.startswith(_PAST_END)
        values["beyond" if is_past_end else "first"] = f"{RUN}{begin}"
        where += " and mappingInstance eq @instance and owes eq @operation"
        values |= {"instance": mapping_instance, "operation": operation}
        rows, following = self._table.part(where, values, ["runId"], most, place.removeprefix(_PAST_END))
        run_ids = [row["runId"] for row in rows]
        if following:
            return run_ids, f"{_PAST_END}{following}" if is_past_end else following
        return run_ids, None if is_past_end else _PAST_END

    def newest_of_mapping(self, hub: str, connector: str, mapping: str) -> Run | None:
        """The run of a mapping that was queued last; None also if it was not found within seconds."""
        with deadline(_NEWEST_S):
            found, _ = self.page(hub, connector, mapping, top=1)
        return found[0] if found else None

    def unfinished(
        self, hub: str, changed_before: datetime, paused: Collection[str] = ()
    ) -> Iterator[StoredRun | None]:
        """Queued and Running runs that nobody has saved since a machine time.

        Args:
            hub: of the runs.
            changed_before: the machine time.
            paused: instances of mappings whose runs are left out.

        Yields:
            The runs, and None for each row that is none of them, since it takes its time too.
        """
        where, values = rows_of(hub, OPEN)
        where += " and changed lt @before"
        values["before"] = changed_before + _FILTER_STEP

        def still(stored: StoredRun) -> bool:
            return not stored.run.state.is_final and (stored.changed is None or stored.changed < changed_before)

        for row in self._table.query(where, values, ["runId", "mappingInstance"]):
            yield None if row.get("mappingInstance") in paused else self._found(hub, row["runId"], still)

    def due_again(self, hub: str, now: datetime) -> Iterator[StoredRun | None]:
        """Failed runs that are to be tried again by themselves at the machine time `now`; yields as `unfinished`."""
        where, values = rows_of(hub, RETRY)
        where += " and retryAt lt @now"
        values["now"] = now + _FILTER_STEP

        def is_due(stored: StoredRun) -> bool:
            return stored.retry_at is not None and stored.retry_at < now

        for row in self._table.query(where, values, ["runId"]):
            yield self._found(hub, row["runId"], is_due)

    def queued(self, hub: str, mapping_instance: str) -> list[str]:
        """The ids of a mapping's Queued runs."""
        found = (row for rows in self._open_of(hub, mapping_instance) for row in rows)
        return [row["runId"] for row in found if row["state"] == RunState.QUEUED.value]

    def open_counts(self, hub: str, mapping_instance: str) -> tuple[Counter[RunState], bool]:
        """How many runs of a mapping are Queued, and how many Running; and whether there was no time to count all."""
        counts: Counter[RunState] = Counter()
        for rows in self._open_of(hub, mapping_instance):
            counts.update(RunState(row["state"]) for row in rows)
            if seconds_left() < REQUEST_S:
                return counts, True
        return counts, False

    def _open_of(self, hub: str, mapping_instance: str) -> Iterator[Iterable[Row]]:
        where, values = rows_of(hub, OPEN)
        where += " and mappingInstance eq @instance"
        values["instance"] = mapping_instance
        return self._table.pages(where, values, ["runId", "state"])

    def _found(self, hub: str, run_id: str, still: Callable[[StoredRun], bool]) -> StoredRun | None:
        stored = self.get(hub, run_id)
        return stored if stored is not None and still(stored) else None

    def _save_with(self, stored: StoredRun, *more: Operation) -> StoredRun:
        stored = replace(stored, changed=self._clock.machine_now())
        operations, write_id = replacing(stored)
        return self._saved(stored, [*operations, *more], write_id)

    def _saved(self, stored: StoredRun, operations: list[Operation], write_id: str) -> StoredRun:
        try:
            etag = self._table.transact(operations)[0]
        except (ConflictError, PreconditionError, TransientError):
            written = self._written(stored, write_id)
            if written is None:
                raise
            return written
        return replace(stored, etag=etag, was_open=not stored.run.state.is_final, had_retry=stored.retry_at is not None)

    def _written(self, stored: StoredRun, write_id: str) -> StoredRun | None:
        """What a write that seemed to fail has left, where its answer alone was lost; else None."""
        row = self._table.get(name_key(stored.hub), run_key(stored))
        return stored_of(stored.hub, row) if row is not None and row["writeId"] == write_id else None
