"""What single commits of a table say, as its log has them."""

import json
from dataclasses import dataclass
from urllib.parse import unquote

from shared.deadline import pool_of_threads
from shared.lake.container.faults import translated
from shared.lake.container.store import Lake
from shared.lake.log.tables import Snapshot

_READS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Commit:
    """What one version of a table's log says.

    Attributes:
        added: paths, sizes and rows of the files that brought new rows, in the order of the log.
        removed: paths of files whose rows somebody deleted; compaction is not among them.
        transactions: application id to number.
    """

    version: int
    added: list[tuple[str, int, int]]
    removed: set[str]
    transactions: dict[str, int]


def read_commits(lake: Lake, table: str, after: int, to: int) -> list[Commit]:
    """The commits of a table in (after, to].

    Raises:
        FatalError: one of them is not in the log any more.
    """
    versions = range(after + 1, to + 1)
    if len(versions) == 1:
        return [_read_commit(lake, table, versions[0])]
    with pool_of_threads(_READS_AT_ONCE) as pool:
        return list(pool.map(lambda version: _read_commit(lake, table, version), versions))


def version_of(lake: Lake, before: Snapshot, app_id: str, number: int) -> int:
    """The version at which an application transaction was committed after a snapshot; others may have come between."""
    version = before.version + 1
    while read_commits(lake, before.table, version - 1, version)[0].transactions.get(app_id) != number:
        version += 1
    return version


def _read_commit(lake: Lake, table: str, version: int) -> Commit:
    import obstore

    path = f"{table}/_delta_log/{version:020d}.json"
    with translated(path):
        text = bytes(obstore.get(lake.store, path).bytes())
    commit = Commit(version, [], set(), {})
    for line in text.splitlines():
        action = json.loads(line) if line.strip() else {}
        if (add := action.get("add")) and add["dataChange"]:
            rows = json.loads(add.get("stats") or "{}").get("numRecords", 0)
            commit.added.append((unquote(add["path"]), add["size"], rows))
        elif (remove := action.get("remove")) and remove["dataChange"]:
            commit.removed.add(unquote(remove["path"]))
        elif transaction := action.get("txn"):
            commit.transactions[transaction["appId"]] = transaction["version"]
    return commit
