"""The table `changes` of a type: typed rows, appended blob version by blob version, each exactly once."""

import logging
import uuid
from collections.abc import Sequence

from shared.domain.documents.entity_types import EntityType
from shared.domain.errors import ClaimLostError, SkippedError, SupersededError
from shared.lake.changes.arrival import Arrival, Fence
from shared.lake.changes.commit_desk import CommitDesk
from shared.lake.log.actions import added, write_entry
from shared.lake.log.part import Part, UploadedPart
from shared.lake.log.retry import until_won
from shared.lake.log.tables import Snapshot, open_snapshot
from shared.lake.paths import changes_path
from shared.lake.schema import changes_schema

logger = logging.getLogger(__name__)

_RETRIES_BY_THE_LIBRARY = 100  # appends of different blobs never conflict; the library only takes the next version


class Changes:
    """The table `changes` of one type."""

    def __init__(self, desk: CommitDesk, entity_type: EntityType) -> None:
        self.table = changes_path(entity_type)
        self._desk = desk
        self._lake = desk.lake
        self._type = entity_type

    def upload(self, parts: Sequence[Part], run_id: str) -> list[UploadedPart]:
        """Writes parts to the table's folder, where nobody sees them before `commit`.

        Every attempt uses names of its own: an attempt presumed lost may still be committing its files, and a file that
        the log names must never change. Vacuum removes what an attempt leaves behind.

        Raises:
            ConflictError: the table keeps a field with another type.
            UnavailableError: storage does not answer.
        """
        table_id = self._desk.known_table(self.table).ensure(changes_schema(self._type))
        attempt = uuid.uuid4().hex[:12]
        uploaded = []
        for index, part in enumerate(parts):
            path = f"{run_id}-{attempt}-{index:05d}.parquet"
            self._lake.upload(f"{self.table}/{path}", part.path)
            uploaded.append(UploadedPart(path, part, table_id))
        return uploaded

    def commit(
        self, uploaded: Sequence[UploadedPart], app_id: str, number: int, attempt: int = 1, once_id: str | None = None
    ) -> bool:
        """Makes the rows of one blob version visible in one commit, unless they are already.

        Blob versions of other threads of this process share the commit.

        Args:
            uploaded: the parts, in the order of their rows.
            app_id: ledger key of the blob.
            number: of the version among the blob's versions.
            attempt: at the version; ascends.
            once_id: of these rows alone, for `committed_by`; None where `app_id` has no other number.

        Returns:
            Whether they were committed now; False if an earlier attempt had committed them.

        Raises:
            ClaimLostError: a later attempt has fenced this one.
            SupersededError: a later version of the blob is committed.
            SkippedError: the type's tables were deleted after the upload.
            CommitConflictError: too many writers at once.
        """
        return self._submit(Arrival(uploaded, app_id, number, attempt, once_id))

    def fence(self, app_id: str, number: int, attempt: int, once_id: str | None = None) -> int | None:
        """Fences a blob version: attempts numbered up to `attempt` can no longer commit.

        Args:
            app_id, number, attempt, once_id: as of `commit`.

        Returns:
            The attempt that has committed its rows; None if none has, and only a later attempt still can.

        Raises:
            CommitConflictError: too many writers at once.
        """
        self._submit(Arrival((), app_id, number, attempt, fences=True))
        return self.committed_by(once_id or app_id)

    def committed_by(self, once_id: str) -> int | None:
        """Returns the attempt that committed its rows under this id, whatever came since, or None."""
        snapshot = open_snapshot(self._lake, self.table)
        seen = None if snapshot is None else snapshot.transaction(once_id)
        return None if seen is None else Fence.unpack(seen).committed_attempt

    def _submit(self, arrival: Arrival) -> bool:
        self._desk.queue(self.table).submit(arrival, self._commit_all)
        return arrival.outcome()

    def _commit_all(self, arrivals: list[Arrival]) -> None:
        while not all(arrival.is_done for arrival in arrivals):
            until_won(lambda: self._commit_some([arrival for arrival in arrivals if not arrival.is_done]))

    def _commit_some(self, arrivals: list[Arrival]) -> None:
        """Decides those that the log knows, and commits the lowest number of every other blob."""
        known = self._desk.known_table(self.table)
        snapshot = known.newest()
        present = []
        for arrival in arrivals:
            if snapshot is None and arrival.fences:
                arrival.result = True  # nothing can be committed to a table that is not there
            elif snapshot is not None and all(part.table_id == snapshot.id for part in arrival.uploaded):
                present.append(arrival)
            else:
                message = "the entity type was deleted while the blob was read; nothing was ingested"
                arrival.error = SkippedError("EntityTypeGone", message)
        if snapshot is not None and present:
            if new := _new(present, snapshot):
                self._append(snapshot, new)
            known.keep(snapshot)

    def _append(self, snapshot: Snapshot, arrivals: list[Arrival]) -> None:
        actions = added([part for arrival in arrivals for part in arrival.uploaded], snapshot)
        transactions = {
            app_id: arrival.fence.pack()
            for arrival in arrivals
            for app_id in (arrival.app_id, arrival.once_id)
            if app_id is not None
        }
        write_entry(snapshot, actions, transactions, retries=_RETRIES_BY_THE_LIBRARY, is_forgotten=True)
        for arrival in arrivals:
            arrival.result = True
        logger.info("%s files of %s blobs committed to %s", len(actions), len(arrivals), self.table)


def _new(arrivals: list[Arrival], snapshot: Snapshot) -> list[Arrival]:
    """The lowest number of every blob that is to be written; decides those that need not or must not be."""
    known = snapshot.transactions([arrival.app_id for arrival in arrivals])
    new: dict[str, Arrival] = {}
    for arrival in sorted(arrivals, key=lambda arrival: arrival.number, reverse=True):
        number = known[arrival.app_id]
        seen = None if number is None else Fence.unpack(number)
        if seen is None or seen.version < arrival.number:
            new[arrival.app_id] = arrival
        elif seen.version > arrival.number:
            _refuse_outdated(arrival)
        elif seen.is_committed:
            arrival.result = False
        elif seen.attempt < arrival.attempt:
            new[arrival.app_id] = arrival
        elif arrival.fences:
            arrival.result = True
        else:
            arrival.error = ClaimLostError("ClaimLost", "a later attempt has ended without these rows")
    return list(new.values())


def _refuse_outdated(arrival: Arrival) -> None:
    if arrival.fences:
        arrival.result = True
    else:
        message = "a newer version of this blob was ingested first; its content counts"
        arrival.error = SupersededError("NewerVersionIngested", message)
