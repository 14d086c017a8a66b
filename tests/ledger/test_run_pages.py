"""Runs listed, found by where they stand, and counted, on Azurite: in order, in pages, within the time."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.local.azurite import Endpoints
from shared.deadline import deadline
from shared.domain.documents.run import RunKind, RunState
from shared.domain.errors import (
    InvalidRequestError,
)
from shared.domain.skip_token import read_cursor, write_token
from shared.ledger import runs as ledger_runs
from shared.ledger.runs import Runs
from shared.ledger.stored_run import StoredRun
from shared.storage.tables import Table, rows_below
from tests.fault_proxy import ChangeAnswer, running_proxy
from tests.ledger.sample_runs import CLOCK, created, run
from tests.local_services import account_of

FAR = datetime(9999, 1, 1, tzinfo=UTC)


def test_lists_are_newest_first(runs: Runs) -> None:
    for minute in (3, 1, 4, 15, 9, 2, 6):
        created(runs, run(f"m{minute:02d}", minute))
    found, following = runs.page("contoso", top=3)
    rest, last = runs.page("Contoso", top=10, continuation=following)
    assert [item.run_id for item in (*found, *rest)] == ["m15", "m09", "m06", "m04", "m03", "m02", "m01"]
    assert last is None


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["d", "c", "b", "a"]),
        ({"connector": "FILES"}, ["c", "b", "a"]),
        ({"connector": "files", "mapping": "orders"}, ["b"]),
        ({"kind": RunKind.EXPORT}, ["d"]),
        ({"state": RunState.SUCCEEDED}, ["c"]),
        ({"state": RunState.QUEUED, "kind": RunKind.INGEST, "connector": "Files"}, ["b", "a"]),
        ({"connector": "nobody"}, []),
        ({"connector": "' or connector ne '"}, []),
        ({"mapping": "@hub"}, []),
    ],
)
def test_lists_are_filtered(runs: Runs, wanted: dict[str, Any], ids: list[str]) -> None:
    created(runs, run("a", 1))
    created(runs, run("b", 2, mapping="Orders"))
    runs.save(created(runs, run("c", 3)).with_run(state=RunState.SUCCEEDED))
    created(runs, run("d", 4, kind=RunKind.EXPORT, connector="Partner", mapping=None, blob=None))
    created(runs, run("x", 5, hub="Fabrikam"))
    found, following = runs.page("Contoso", **wanted)
    assert [item.run_id for item in found] == ids
    assert following is None


def test_a_filtered_list_has_pages(runs: Runs) -> None:
    for minute in range(20):
        created(runs, run(f"m{minute:02d}", minute, connector="Even" if minute % 2 == 0 else "Odd"))
    found: list[str] = []
    continuation: str | None = None
    for _ in range(4):
        page, continuation = runs.page("Contoso", "even", top=3, continuation=continuation)
        found += [item.run_id for item in page]
    assert continuation is None
    assert found == [f"m{minute:02d}" for minute in range(18, -1, -2)]


def test_a_token_of_somebody_else_is_refused(runs: Runs) -> None:
    with pytest.raises(InvalidRequestError):
        runs.page("Contoso", continuation="zzz")


def test_the_states_of_a_mapping(runs: Runs) -> None:
    created(runs, run("a"))
    runs.save(created(runs, run("b")).with_run(state=RunState.FAILED))
    created(runs, run("c", mapping="Orders"))
    created(runs, run("d", connector="Other"))
    assert runs.states_of_mapping("contoso", "files", "CUSTOMERS") == {
        "a": (RunState.QUEUED, None),
        "b": (RunState.FAILED, None),
    }
    assert runs.states_of_mapping("Contoso", "Files", "none") == {}


def test_a_sweep_is_told_where_the_runs_of_a_mapping_are_too_many(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    for run_id in ("a", "b"):
        created(runs, run(run_id))
    monkeypatch.setattr(ledger_runs, "_MOST_STATES", 1)
    assert runs.states_of_mapping("Contoso", "Files", "Customers") is None


def test_a_page_ends_with_the_time_and_goes_on_where_it_stopped(azurite: Endpoints, table: Table, runs: Runs) -> None:
    """The service reads all runs to find those of a mapping, and says after some of them where it stands."""
    for number in range(3):
        created(runs, run(f"other{number}", number, mapping="Orders"))
    _, place = table.part(*rows_below("contoso", "time|"), ["RowKey"], 1)
    stands = {f"x-ms-continuation-Next{name}": str(value) for name, value in read_cursor(place).items()}
    with running_proxy(azurite.table) as proxy:
        far = Runs(Table(account_of(azurite, table=proxy.endpoint), table.name), CLOCK)
        proxy.plan = lambda request: ChangeAnswer(stands)
        with deadline(1.0):
            page, token = far.page("Contoso", mapping="Customers")
            counts, is_cut = far.open_counts("Contoso", "another")
            assert far.newest_of_mapping("Contoso", "Files", "Customers") is None
        assert (page, counts.total(), is_cut) == ([], 0, True)
        assert far.newest_of_mapping("Contoso", "Files", "Orders") is not None
        proxy.plan = lambda request: None
        created(runs, run("wanted", 1))
        page, end = far.page("Contoso", mapping="Customers", continuation=token)
        assert ([found.run_id for found in page], end) == (["wanted"], None)


@pytest.mark.parametrize(
    "place",
    [
        {"PartitionKey": "contoso"},
        {"PartitionKey": "contoso", "RowKey": 1},
        {"PartitionKey": "a\r\nb", "RowKey": "c"},
        {"PartitionKey": "contoso", "RowKey": "k" * 5000},
        {"PartitionKey": "contoso", "RowKey": "c", "more": "d"},
    ],
)
def test_a_place_that_no_page_ended_at_is_refused(runs: Runs, place: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        runs.page("Contoso", continuation=write_token(place))


def test_a_made_up_place_leads_to_no_other_hub(runs: Runs) -> None:
    created(runs, run("theirs", hub="Fabrikam"))
    created(runs, run("ours"))
    for key in ("fabrikam", "contoso", "!", "1!8!", None):
        try:
            found, _ = runs.page("Contoso", continuation=write_token({"PartitionKey": key, "RowKey": key}))
        except InvalidRequestError:
            continue
        assert {one.run_id for one in found} <= {"ours"}


def test_the_newest_run_of_a_mapping(runs: Runs) -> None:
    assert runs.newest_of_mapping("Contoso", "Files", "Customers") is None
    created(runs, run("new", 9))
    created(runs, run("old", 1))
    created(runs, run("other", 20, mapping="Orders"))
    newest = runs.newest_of_mapping("contoso", "files", "customers")
    assert newest is not None
    assert newest.run_id == "new"


def found(runs: Iterable[StoredRun | None]) -> list[StoredRun]:
    return [stored for stored in runs if stored is not None]


def test_unfinished_runs_are_found_until_they_end(runs: Runs) -> None:
    first = created(runs, run("first"))
    created(runs, run("second"))
    runs.save(runs.save(first.with_run(state=RunState.RUNNING)).with_run(state=RunState.SUCCEEDED))
    again = runs.save(created(runs, run("third")).with_run(state=RunState.FAILED))
    created(runs, run("elsewhere", hub="Fabrikam"))
    assert {stored.run.run_id for stored in found(runs.unfinished("contoso", FAR))} == {"second"}
    runs.save(again.with_run(state=RunState.QUEUED))
    assert {stored.run.run_id for stored in found(runs.unfinished("Contoso", FAR))} == {"second", "third"}


def test_the_runs_of_a_paused_mapping_cost_one_request(azurite: Endpoints, table: Table, runs: Runs) -> None:
    for run_id in ("a", "b", "c"):
        created(runs, run(run_id))
    with running_proxy(azurite.table) as proxy:
        far = Runs(Table(account_of(azurite, table=proxy.endpoint), table.name), CLOCK)
        assert list(far.unfinished("Contoso", FAR, {"m1"})) == [None] * 3
        assert len(proxy.requests) == 1


def test_a_run_that_was_just_saved_is_not_left_behind(runs: Runs) -> None:
    old = created(runs, run("old"))
    assert old.changed is not None
    created(runs, run("new"))
    between = old.changed + timedelta(microseconds=1)
    assert [stored.run.run_id for stored in found(runs.unfinished("Contoso", between))] == ["old"]
    runs.save(old.with_run(attempts=2))
    assert found(runs.unfinished("Contoso", between)) == []


def test_a_run_that_was_finished_when_it_was_created_is_not_unfinished(runs: Runs) -> None:
    stored = created(runs, run("a", state=RunState.SUCCEEDED))
    assert found(runs.unfinished("Contoso", FAR)) == []
    assert runs.save(stored.with_run(attempts=1)).run.attempts == 1
