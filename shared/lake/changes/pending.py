"""Changes of a profile type that no refresh has merged yet."""

from dataclasses import dataclass

from shared.lake.container.store import Lake
from shared.lake.log.commits import read_commits
from shared.lake.log.tables import Snapshot

_COMMIT_SHIFT = 20  # a commit has fewer files than that many bits can number


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A file of `changes`; `order` ascends with the commit's version and within a commit."""

    path: str
    size: int
    rows: int
    order: int


def pending_files(lake: Lake, changes: Snapshot, after: int) -> list[PendingFile]:
    """The files that the commits after a version brought, in the order of the log.

    The log is asked, not the list of live files: merging small files moves rows without changing them, and must neither
    bring a row twice nor lose one. Only rows that somebody deleted from the table are left out.

    Raises:
        FatalError: a commit is not in the log any more.
    """
    if changes.version <= after:
        return []
    commits = read_commits(lake, changes.table, after, changes.version)
    removed = set().union(*(commit.removed for commit in commits))
    return [
        PendingFile(path, size, rows, (commit.version << _COMMIT_SHIFT) + index)
        for commit in commits
        for index, (path, size, rows) in enumerate(commit.added)
        if path not in removed
    ]
