"""Storage that loses answers or is busy while tables are written, and damaged logs: nothing twice, nothing lost."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import obstore
import pytest

from infra.local.azurite import Endpoints
from shared.domain.errors import FatalError, TransientError, UnavailableError
from shared.lake.container.store import Lake
from shared.lake.log.commits import read_commits
from shared.lake.log.tables import open_snapshot
from shared.lake.read.instances import instances
from shared.lake.states.refresh import refresh
from shared.lake.upkeep.maintain import maintain
from tests.fault_proxy import Answer, CutAnswer, Fault, LoseAnswer, Request, running_proxy
from tests.lake.given import changes_of, ingest, profile_type, version_of, written
from tests.local_services import account_of
from tests.thorough import only_thorough

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
CUSTOMER = profile_type()
DELIVERIES = 5
BLOBS = 6


class OnceEach:
    """Breaks the first request of its kind for each address that matches."""

    def __init__(self, fault: Fault, matches: Callable[[Request], bool]) -> None:
        self._fault = fault
        self._matches = matches
        self._lock = threading.Lock()
        self.broken: set[str] = set()

    def __call__(self, request: Request) -> Fault | None:
        address = f"{request.method} {request.target}"
        with self._lock:
            if address in self.broken or not self._matches(request):
                return None
            self.broken.add(address)
            return self._fault


def is_commit(request: Request) -> bool:
    return request.method == "PUT" and "/_delta_log/" in request.target and ".json" in request.target


def is_write(request: Request) -> bool:
    return request.method == "PUT"


def is_read(request: Request) -> bool:
    return request.method == "GET" and "restype=container" not in request.target


def again[Result](work: Callable[[], Result]) -> Result:
    """Does work as the queue does: what may pass is tried again."""
    for _ in range(DELIVERIES - 1):
        try:
            return work()
        except TransientError:
            continue
    return work()


@pytest.mark.parametrize(
    ("fault", "matches"),
    [
        pytest.param(LoseAnswer(), is_write, id="answers-of-writes-are-lost"),
        pytest.param(LoseAnswer(), is_commit, id="answers-of-commits-are-lost", marks=only_thorough),
        pytest.param(Answer(500, "InternalError"), is_write, id="writes-fail-at-first", marks=only_thorough),
        pytest.param(CutAnswer(7), is_read, id="reads-are-cut-at-first", marks=only_thorough),
        pytest.param(Answer(503, "ServerBusy"), lambda _: True, id="busy-at-first", marks=only_thorough),
    ],
)
def test_every_row_is_in_once_whatever_storage_says(
    azurite: Endpoints, lake: Lake, tmp_path: Path, fault: Fault, matches: Callable[[Request], bool]
) -> None:
    with running_proxy(azurite.blob) as proxy:
        faulty = Lake(account_of(azurite, blob=proxy.endpoint), lake.settings, lake._container)
        proxy.plan = plan = OnceEach(fault, matches)
        for number in range(1, 4):
            for blob in ("a", "b"):
                rows = [{"_key": f"{blob}{row}", "Name": str(number)} for row in range(number)]
                again(partial(ingest, faulty, CUSTOMER, rows, tmp_path, blob, number))
            again(lambda: refresh(faulty, CUSTOMER, NOW))
        again(lambda: maintain(faulty, CUSTOMER, NOW, 21))
    assert len(plan.broken) >= 2 * BLOBS, "every commit, and more, met the fault"
    changes = open_snapshot(lake, changes_of(lake, CUSTOMER).table)
    assert changes is not None
    assert sum(file.rows for file in changes.files) == 12
    commits = read_commits(lake, changes.table, -1, changes.version)
    transactions = [(blob, version_of(number)) for commit in commits for blob, number in commit.transactions.items()]
    assert sorted(transactions) == sorted((blob, number) for blob in "ab" for number in range(1, 4))
    present = instances(lake, CUSTOMER, None, 100, None).rows
    assert sorted((row["ProfileId"], row["Name"]) for row in present) == [
        (f"{blob}{row}", "3") for blob in "ab" for row in range(3)
    ]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Answer(403, "AuthorizationFailure"), id="shut"),
        pytest.param(Answer(503, "ServerBusy"), id="busy", marks=only_thorough),
        pytest.param(LoseAnswer(), id="answers-are-lost", marks=only_thorough),
    ],
)
def test_storage_that_takes_no_checkpoint_is_no_damaged_table(
    azurite: Endpoints, lake: Lake, tmp_path: Path, fault: Fault
) -> None:
    with running_proxy(azurite.blob) as proxy:
        faulty = Lake(account_of(azurite, blob=proxy.endpoint), lake.settings, lake._container)
        ingest(faulty, CUSTOMER, [{"_key": "a"}], tmp_path)
        proxy.plan = lambda request: fault if is_write(request) and ".checkpoint." in request.target else None
        with pytest.raises(UnavailableError, match="LakeUnavailable"):
            maintain(faulty, CUSTOMER, NOW, 21)
        proxy.plan = lambda _: None
        maintain(faulty, CUSTOMER, NOW, 21)
    assert [row["ProfileId"] for row in instances(lake, CUSTOMER).rows] == ["a"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param("00000000000000000003.json", lambda content: content[: len(content) // 2], id="newest-truncated"),
        pytest.param("00000000000000000003.json", lambda _: b"garbage\n", id="newest-garbage"),
        pytest.param("00000000000000000001.json", None, id="one-missing"),
        pytest.param("00000000000000000000.json", None, id="first-missing"),
    ],
)
def test_a_damaged_log_is_an_error_and_is_not_written_on(
    lake: Lake, tmp_path: Path, name: str, damage: Callable[[bytes], bytes] | None
) -> None:
    for number in range(1, 4):
        ingest(lake, CUSTOMER, [{"_key": "a", "Name": str(number)}], tmp_path, "blob", number)
    changes = changes_of(lake, CUSTOMER)
    sent = changes.upload(written(CUSTOMER, [{"_key": "b"}], tmp_path), "run")
    path = f"{changes.table}/_delta_log/{name}"
    content = bytes(obstore.get(lake.store, path).bytes())
    if damage is None:
        obstore.delete(lake.store, path)
    else:
        obstore.put(lake.store, path, damage(content))
    before = names(lake)
    with pytest.raises(FatalError, match=r"TableDamaged.*restore"):
        changes.commit(sent, "other", 1)
    with pytest.raises(FatalError):
        instances(lake, CUSTOMER, None, 10, None)
    assert names(lake) == before
    obstore.put(lake.store, path, content)
    assert changes.commit(sent, "other", 1)


def names(lake: Lake) -> list[str]:
    return sorted(blob["path"] for blobs in obstore.list(lake.store) for blob in blobs)


def test_a_pointer_to_the_checkpoint_that_is_garbage_loses_nothing(lake: Lake, tmp_path: Path) -> None:
    for number in range(1, 13):
        ingest(lake, CUSTOMER, [{"_key": str(number)}], tmp_path)
    changes = changes_of(lake, CUSTOMER)
    path = f"{changes.table}/_delta_log/_last_checkpoint"
    assert path in names(lake)
    obstore.put(lake.store, path, b'{"version":')
    ingest(lake, CUSTOMER, [{"_key": "13"}], tmp_path)
    snapshot = open_snapshot(lake, changes.table)
    assert snapshot is not None
    assert sum(file.rows for file in snapshot.files) == 13
