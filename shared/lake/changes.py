"""The table `changes` of a type: typed rows, appended blob version by blob version, each exactly once."""

import logging
import time
import uuid
from collections.abc import Sequence

from shared.domain.entity_types import EntityType
from shared.domain.errors import SupersededError
from shared.lake.actions import UploadedPart, added
from shared.lake.faults import translated
from shared.lake.parts import Part
from shared.lake.retry import until_won
from shared.lake.schema import changes_schema
from shared.lake.store import Lake, changes_path
from shared.lake.tables import Snapshot, ensure_table, open_snapshot

__all__ = ["Changes", "UploadedPart"]

logger = logging.getLogger(__name__)

_RETRIES_BY_THE_LIBRARY = 100  # appends of different blobs never conflict; the library only takes the next version


class Changes:
    """The changes of one type."""

    def __init__(self, lake: Lake, hub: str, entity_type: EntityType) -> None:
        self.table = changes_path(hub, entity_type)
        self._lake = lake
        self._type = entity_type

    def upload(self, parts: Sequence[Part], run_id: str) -> list[UploadedPart]:
        """Puts parts into the table's folder, where nobody sees them before `commit`.

        Every attempt has names of its own: an attempt that was given up for dead may still be committing its files, and
        a file that the log knows must never change. What an attempt leaves behind, vacuum removes.

        Raises:
            ConflictError: the table keeps a field with another type.
            UnavailableError: storage does not answer.
        """
        ensure_table(self._lake, self.table, changes_schema(self._type), keeps_ids=False)
        attempt = uuid.uuid4().hex[:12]
        uploaded = []
        for index, part in enumerate(parts):
            path = f"{run_id}-{attempt}-{index:05d}.parquet"
            self._lake.upload(f"{self.table}/{path}", part.path)
            uploaded.append(UploadedPart(path, part))
        return uploaded

    def commit(self, uploaded: Sequence[UploadedPart], app_id: str, number: int) -> bool:
        """Makes the rows of one blob version visible, in one commit, unless they are already.

        Args:
            uploaded: the parts, in the order of their rows.
            app_id: ledger key of the blob.
            number: of the version among the blob's versions.

        Returns:
            Whether they were committed now; False where an earlier attempt had done so.

        Raises:
            SupersededError: a later version of the blob is committed.
            CommitConflictError: too many writers at once.
        """

        def attempt() -> bool:
            snapshot = ensure_table(self._lake, self.table, changes_schema(self._type), keeps_ids=False)
            seen = snapshot.transaction(app_id)
            if seen is not None and seen > number:
                raise SupersededError(
                    "NewerVersionIngested", "a newer version of this blob was ingested first; its content counts"
                )
            if seen == number:
                return False
            self._append(snapshot, uploaded, app_id, number)
            return True

        return until_won(attempt)

    def committed_number(self, app_id: str) -> int | None:
        """The number of the newest version of a blob whose rows are in the table."""
        snapshot = open_snapshot(self._lake, self.table)
        return None if snapshot is None else snapshot.transaction(app_id)

    def _append(self, snapshot: Snapshot, uploaded: Sequence[UploadedPart], app_id: str, number: int) -> None:
        from deltalake.transaction import CommitProperties, Transaction

        actions = added(uploaded, snapshot)
        with translated(self.table):
            snapshot.handle.create_write_transaction(
                actions,
                mode="append",
                schema=snapshot.handle.schema(),
                commit_properties=CommitProperties(
                    # Without its time the log could never forget it.
                    app_transactions=[Transaction(app_id, number, time.time_ns() // 1_000_000)],
                    max_commit_retries=_RETRIES_BY_THE_LIBRARY,
                ),
            )
        logger.info("%s files committed to %s", len(actions), self.table)
