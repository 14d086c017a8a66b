"""Documents in the table `definitions`, and changes to a hub's documents that take effect together or not at all.

PartitionKey = hub in lower case (hubs themselves: partition `hubs`); RowKey = `kind|name` in lower case. The row
`guard` of a partition is replaced by every change, so that rules were checked against what is there when the
change takes effect, or the change is made anew. Rows `path|...` are those of `lake_paths.py`, rows `secrets|...` those
of `unused_secrets.py`.
"""

import json
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from shared.definitions.store.change_queue import ChangeQueue
from shared.definitions.store.commits import GUARD, closing_in, commit, emptied_since_in
from shared.definitions.store.consistent_reads import ConsistentReads, Found
from shared.definitions.store.listed import Listed, read_list
from shared.definitions.store.room import Room, noted
from shared.definitions.store.rows import check_size, columns_of, is_of_a_later_release, json_in, memory_of, size_of
from shared.domain.blob_version import bare_etag
from shared.domain.documents.document import Document, invalid_request
from shared.domain.errors import CommitConflictError, FatalError, NotFoundError, PreconditionError
from shared.domain.names import name_key
from shared.domain.shown import shown
from shared.storage.tables import ETAG, Delete, Insert, Operation, Replace, Row, Table, Upsert, above, rows_below

logger = logging.getLogger(__name__)

HUBS = "hubs"
_ATTEMPTS = 40
_FAULTS_TOLD = 5


@dataclass(frozen=True)
class Kind[T: Document]:
    """A kind of document.

    Attributes:
        prefix: of its row keys.
        missing: code of the error where there is none of a name.
        label: the kind's name in messages.
    """

    prefix: str
    read: Callable[[Any], T]
    missing: str
    label: str


@dataclass(frozen=True)
class Stored[T]:
    """A document as it lies in the table.

    Attributes:
        etag: revision of the document, new with every write, without quotes.
        instance_id: made when the document was created; one deleted and made anew has another.
        internal: facts that only the server needs, never a secret.
    """

    document: T
    etag: str
    instance_id: str
    internal: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept[T]:
    """What is known of a document also where this release cannot read it.

    Attributes:
        name: the document's own, in lower case.
        parent: name of what it belongs to, as the connector of a mapping, in lower case; empty where that is the hub.
        internal: as that of `Stored`.
        stored: the document; None where it cannot be read.
    """

    name: str
    parent: str
    internal: Mapping[str, str]
    stored: Stored[T] | None


@dataclass(frozen=True)
class Conditions:
    """What a request demands of the present state: `If-Match` (an ETag or `*`), `If-None-Match: *`."""

    if_match: str | None = None
    if_none_match: bool = False

    def check(self, stored: Stored[Any] | None) -> None:
        """Raises PreconditionError where the demand is not met."""
        if self.if_none_match and stored is not None:
            raise PreconditionError("PreconditionFailed", "it exists already; PUT without If-None-Match replaces it")
        if self.if_match is None:
            return
        if stored is None:
            raise PreconditionError("PreconditionFailed", "it does not exist, so no ETag matches")
        if bare_etag(self.if_match) not in {"*", stored.etag}:
            message = "it was changed meanwhile; GET it again and repeat with its new ETag"
            raise PreconditionError("PreconditionFailed", message)


class Change:
    """Writes to one partition that take effect together.

    Attributes:
        connectors: how many connectors the hub has ever had; raise it to number one.
        closing: which deletion of the hub has closed it, see `hubs.py`; empty where it is open; may be set.
        emptied_since: when the records of the closed hub were deleted first, in ISO form; empty before; may be set.
        is_put: whether it adds to the hub what somebody asks for, so that there must be room for it; may be set.
        is_needed: whether other changes begin anew for it although it may write nothing; may be set.
        sizes: of the documents that it writes, by row key; 0 for those that it deletes.
    """

    def __init__(self, partition: str, guard: Row | None) -> None:
        self.connectors = int(guard["connectors"]) if guard else 0
        self.closing = closing_in(guard)
        self.emptied_since = emptied_since_in(guard)
        self.is_put = False
        self.is_needed = False
        self.sizes: dict[str, int] = {}
        self.operations: list[Operation] = []
        self._was = self.closing, self.emptied_since
        self._partition = partition
        self._etag = guard[ETAG] if guard else None

    def put[T: Document](
        self,
        kind: Kind[T],
        names: tuple[str, ...],
        document: T,
        instance_id: str = "",
        internal: Mapping[str, str] | None = None,
    ) -> Stored[T]:
        """Writes a document, whether it exists or not."""
        stored = Stored(document, uuid.uuid4().hex, instance_id or uuid.uuid4().hex, dict(internal or {}))
        check_size(document, stored.internal)
        facts = {"revision": stored.etag, "instanceId": stored.instance_id}
        columns = columns_of(document, stored.internal)
        row = {"PartitionKey": self._partition, "RowKey": _key(kind, names), **facts, **columns}
        self.sizes[row["RowKey"]] = size_of(row)
        self.operations.append(Upsert(row))
        return stored

    def note(self, key: str, facts: Row, etag: str | None = None) -> None:
        """Writes a row by its columns, over what is there, or over the one with this ETag only.

        It is no document, or a document's of which internal facts alone are new: that keeps its revision.
        """
        row = {"PartitionKey": self._partition, "RowKey": key, **facts}
        if size := size_of(row):
            self.sizes[key] = size
        self.operations.append(Replace(row, etag) if etag else Upsert(row))

    def drop_note(self, key: str, etag: str) -> None:
        """Deletes such a row, which must have this ETag."""
        self.operations.append(Delete(self._partition, key, etag))

    def delete(self, kind: Kind[Any], *names: str) -> None:
        """Deletes a document that exists."""
        self.sizes[_key(kind, names)] = 0
        self.operations.append(Delete(self._partition, _key(kind, names)))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.operations or self.is_needed) and (self.closing, self.emptied_since) == self._was

    def guarded(self, write_id: str, total: int | None) -> list[Operation]:
        """The operations, with the guard's first, which notes what all documents take."""
        guard: Row = {
            "PartitionKey": self._partition,
            "RowKey": GUARD,
            "connectors": self.connectors,
            "closed": bool(self.closing),
            "closing": self.closing,
            "emptiedSince": self.emptied_since if self.closing == self._was[0] else "",
            "writeId": write_id,
            **noted(total),
        }
        first: Operation = Replace(guard, self._etag) if self._etag else Insert(guard)
        return [first, *self.operations]


class DefinitionStore:
    """All documents of all hubs.

    Attributes:
        commits: how many changes this process has made; another number says that what was read may be out of date.
    """

    def __init__(self, table: Table) -> None:
        self.commits = 0
        self._table = table
        self._reads = ConsistentReads(table, GUARD)
        self._room = Room(table)
        self._queue = ChangeQueue()

    def consistent_read(self) -> AbstractContextManager[None]:
        """Within it, this thread reads the documents of a hub as they are when it asks for the first of them, or newer.

        One request tells whether what was read before still holds, however many documents are asked for.
        """
        return self._reads.one()

    def read_ahead(self, hubs: Iterable[str]) -> None:
        """Asks at once whether these hubs were changed, whose documents this consistent read is about to need."""
        self._reads.ahead([name_key(hub) for hub in hubs])

    def get[T: Document](self, kind: Kind[T], hub: str, *names: str) -> Stored[T] | None:
        """A document, or None."""
        partition, key = name_key(hub), _key(kind, names)

        def read() -> Found[Stored[T] | None]:
            row = self._table.get(partition, key)
            self._room.saw(partition, key, row)
            return _measured(_stored(kind, row)) if row else Found(None)

        return self._reads.seen(partition, (kind, key), read)

    def require[T: Document](self, kind: Kind[T], hub: str, *names: str) -> Stored[T]:
        """A document; raises NotFoundError."""
        stored = self.get(kind, hub, *names)
        if stored is None:
            raise NotFoundError(kind.missing, f"there is no {kind.label} {names[-1]!r}", names[-1])
        return stored

    def all[T: Document](self, kind: Kind[T], hub: str, *parents: str) -> list[Stored[T]]:
        """The documents of a kind (below others, such as the mappings of a connector), by name."""
        partition, prefix = name_key(hub), _key(kind, (*parents, ""))

        def read() -> Found[list[Stored[T]]]:
            found = [_measured(_stored(kind, row)) for row in self._rows(partition, prefix)]
            return Found([one.value for one in found], sum(one.memory for one in found))

        return list(self._reads.seen(partition, (kind, prefix), read))

    def some[T: Document](self, kind: Kind[T], hub: str, *parents: str, most: int) -> list[Stored[T]]:
        """The first of them, as they are now, and no more than `most`."""
        partition = name_key(hub)
        where, values = rows_below(partition, _key(kind, (*parents, "")))
        rows, _ = self._table.page(where, values, most)
        for row in rows:
            self._room.saw(partition, row["RowKey"], row)
        return [_stored(kind, row) for row in rows]

    def readable[T: Document](self, kind: Kind[T], hub: str, *parents: str) -> list[Stored[T]]:
        """`all` for work that concerns other hubs too, which does without what cannot be read; it is logged."""
        return [kept.stored for kept in self.kept(kind, hub, *parents) if kept.stored is not None]

    def kept[T: Document](self, kind: Kind[T], hub: str, *parents: str) -> list[Kept[T]]:
        """What is known of the documents of a kind, by name, also of those that cannot be read; these are logged.

        Within a consistent read only those are read that changed since an earlier one, so that the changes of a hub
        cost the others no more than that.
        """
        partition, prefix = name_key(hub), _key(kind, (*parents, ""))

        def read(earlier: Listed[Kept[T]] | None) -> Found[Listed[Kept[T]]]:
            return read_list(self._table, partition, prefix, lambda row: _kept(kind, row), earlier)

        listed = self._reads.read_on(partition, ("kept", kind, prefix), read)
        return [one.found.value for one in listed.values()]

    def derived[T](self, hub: str, key: str, derive: Callable[[], T]) -> T:
        """What is derived from the documents of one hub; within a consistent read it is kept as they are.

        Args:
            hub: whose documents they are.
            key: tells it from everything else that is derived.
            derive: derives it; what it returns is shared by threads and must not be changed.
        """
        # It takes less than what it was worked out of.
        return self._reads.seen(name_key(hub), ("derived", key), lambda: Found(derive()))

    def _rows(self, partition: str, prefix: str) -> Iterator[Row]:
        for row in self._table.query(*rows_below(partition, prefix)):
            self._room.saw(partition, row["RowKey"], row)
            yield row

    def noted(self, hub: str, key: str) -> Row | None:
        """A row by its key, that of a document too, or None."""
        partition = name_key(hub)
        row = self._table.get(partition, key)
        self._room.saw(partition, key, row)
        return row

    def all_noted(self, prefix: str) -> Iterator[Row]:
        """Such rows of all hubs, also of those that are gone, whose key starts with `prefix`."""
        return self._table.query("RowKey ge @first and RowKey lt @beyond", {"first": prefix, "beyond": above(prefix)})

    def noted_below(self, hub: str, prefix: str) -> Iterator[Row]:
        """Such rows of one hub."""
        return self._table.query(*rows_below(name_key(hub), prefix))

    def write_noted(self, row: Row, etag: str | None = None) -> str:
        """Writes such a row by itself, beside the changes of its hub; returns its ETag.

        Raises:
            PreconditionError: it has not the given ETag any more.
        """
        return self._table.replace(row, etag) if etag else self._table.upsert(row)

    def delete_noted(self, row: Row) -> None:
        """Deletes such a row by itself."""
        self._table.delete(row["PartitionKey"], row["RowKey"])

    def change[R](
        self, hub: str, make: Callable[[Change], R], *, asks_outside: bool = False, is_begun: bool = False
    ) -> R:
        """Makes a change and commits it; when another change of the hub came first, all over again.

        Args:
            hub: whose documents are changed; `HUBS` for the hubs themselves.
            make: reads, checks, and puts its writes into the change; called once or more.
            asks_outside: whether it waits for other services when it is first called, and then has their answers.
            is_begun: whether it goes on with what was begun, so that it is not refused for want of a permit.

        Raises:
            CommitConflictError: others were faster, many times over.
            FatalError: this thread is in the middle of a consistent read.
            ThrottledError: `ChangesBusy`, too many wait in line, and this thread has no time.
        """
        if self._reads.is_open:
            raise FatalError("ChangeInLook", "a change would be checked against what an earlier read found")
        partition = name_key(hub)
        if asks_outside:
            # Nobody waits in line for somebody else's service.
            result, is_done = self._try(partition, make)
            if is_done:
                return result
        with self._queue.permit(partition, is_begun=is_begun or asks_outside):
            for attempt in range(_ATTEMPTS):
                result, is_done = self._try(partition, make)
                if is_done:
                    return result
                # Another process was faster.
                time.sleep(random.uniform(0, 0.02) * min(attempt + 1, 10))  # noqa: S311 - jitter is no secret
        raise CommitConflictError("DefinitionsBusy", f"the definitions of {hub!r} are being changed; try again")

    def _try[R](self, partition: str, make: Callable[[Change], R]) -> tuple[R, bool]:
        """What a change gives, and whether it has taken effect."""
        guard = self._table.get(partition, GUARD)
        change = Change(partition, guard)
        with self._room.change():
            result = make(change)
            if change.is_empty:
                return result, True
            total = self._room.sum_after(partition, guard, change.sizes, is_put=change.is_put)
        try:
            return result, commit(self._table, partition, lambda write_id: change.guarded(write_id, total))
        finally:
            self.commits += 1


def _key(kind: Kind[Any], names: tuple[str, ...]) -> str:
    return "|".join((kind.prefix, *(name_key(name) for name in names)))


def _stored[T: Document](kind: Kind[T], row: Row) -> Stored[T]:
    """Raises FatalError for a document that this release takes for none of its kind; nothing of it is repeated."""
    names = row["RowKey"].removeprefix(f"{kind.prefix}|").replace("|", "/")
    if is_of_a_later_release(row):
        message = (
            f"a later release has stored the {kind.label} {shown(names)}, and this one would lose a part of it; "
            "replace or delete it with that release"
        )
        raise FatalError("DefinitionUnreadable", message, names)
    try:
        document = kind.read(json_in(row))
    except ValidationError as error:
        wrong = ", ".join(fault.target for fault in invalid_request(error).details[:_FAULTS_TOLD])
        message = (
            f"this release cannot read the stored {kind.label} {shown(names)} (wrong: {wrong}); "
            "replace or delete it with the release that stored it"
        )
        raise FatalError("DefinitionUnreadable", message, names) from None
    return Stored(document, row["revision"], row["instanceId"], json.loads(row["internal"]))


def _measured[T: Document](stored: Stored[T]) -> Found[Stored[T]]:
    return Found(stored, memory_of(stored.document, stored.internal))


def _kept[T: Document](kind: Kind[T], row: Row) -> Found[Kept[T]]:
    *parents, name = row["RowKey"].split("|")[1:]
    try:
        found = _measured(_stored(kind, row))
    except FatalError as error:
        logger.error("definition left out: hub %s: %s", row["PartitionKey"], error)
        internal = json.loads(row["internal"])
        return Found(Kept(name, "".join(parents), internal, None), memory_of(None, internal))
    return Found(Kept(name, "".join(parents), found.value.internal, found.value), found.memory)
