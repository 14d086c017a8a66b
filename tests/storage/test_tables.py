"""Table Storage on Azurite: what goes in comes out, conditions hold, and transactions are whole."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from infra.local.azurite import Endpoints
from shared.domain.errors import (
    ConflictError,
    FatalError,
    InvalidRequestError,
    PreconditionError,
    RequestTooLargeError,
    UnavailableError,
)
from shared.storage.accounts import StorageAccount
from shared.storage.tables import ETAG, Delete, Insert, Operation, Replace, Row, Table, Upsert, above
from tests.fault_proxy import Answer, LoseAnswer, running_proxy
from tests.local_services import account_of
from tests.thorough import examples

NOW = datetime(2026, 11, 22, 14, 15, 16, 123456, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=40)
KEY = TEXT.map(lambda text: "".join(sign for sign in text if sign not in "/\\#?" and ord(sign) > 0x9F)).map("k".__add__)


def row(key: str = "k", partition: str = "p", **columns: Any) -> Row:
    return {"PartitionKey": partition, "RowKey": key, **columns}


def plain(found: Row | None) -> Row:
    assert found is not None
    return {name: value for name, value in found.items() if name != ETAG}


def keys(table: Table, partition: str = "p") -> list[str]:
    return [found["RowKey"] for found in table.query("PartitionKey eq @p", {"p": partition})]


def test_a_table_that_does_not_exist_is_empty(table: Table) -> None:
    assert table.get("p", "k") is None
    assert list(table.query("PartitionKey eq @p", {"p": "p"})) == []
    assert table.page("PartitionKey eq @p", {"p": "p"}) == ([], None)
    assert not table.delete("p", "k")


@pytest.mark.parametrize(
    "write",
    [
        lambda table: table.insert(row()),
        lambda table: table.upsert(row()),
        lambda table: table.transact([Upsert(row())]),
    ],
)
def test_the_first_write_creates_the_table(table: Table, write: Callable[[Table], object]) -> None:
    write(table)
    assert keys(table) == ["k"]


def test_many_first_writers_create_one_table(account: StorageAccount, name: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Table(account, name).upsert(row(str(number))), range(8)))
    assert keys(Table(account, name)) == [str(number) for number in range(8)]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.fixed_dictionaries(
        {},
        optional={
            "text": TEXT,
            "whole": st.integers(-(2**63), 2**63 - 1),
            "real": st.floats(allow_nan=False),
            "flag": st.booleans(),
            "moment": st.datetimes(datetime(1900, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        },
    ),
    key=KEY,
)
@example(columns={"whole": 2**40, "text": "O'Neill", "flag": False}, key="k|'x'")
def test_what_goes_in_comes_out(table: Table, columns: dict[str, Any], key: str) -> None:
    etag = table.upsert(row(key, **columns))
    found = table.get("p", key)
    assert plain(found) == row(key, **columns)
    assert found is not None
    assert found[ETAG] == etag
    assert all(type(found[name]) is type(value) for name, value in columns.items())


def test_what_json_has_no_word_for_comes_out_too(table: Table) -> None:
    table.upsert(row(nan=math.nan, up=math.inf, none=None, moment=NOW.astimezone(timezone(timedelta(hours=5)))))
    found = plain(table.get("p", "k"))
    assert math.isnan(found["nan"])
    assert found["up"] == math.inf
    assert found["moment"] == NOW
    assert "none" not in found


def test_a_row_is_inserted_once(table: Table) -> None:
    table.insert(row(text="first"))
    with pytest.raises(ConflictError) as refused:
        table.insert(row(text="second"))
    assert refused.value.code == "AlreadyExists"
    assert plain(table.get("p", "k"))["text"] == "first"


def test_a_row_is_replaced_as_it_was_read(table: Table) -> None:
    old = table.insert(row(a=1, b=2))
    new = table.replace(row(a=3), old)
    assert plain(table.get("p", "k")) == row(a=3)
    with pytest.raises(PreconditionError):
        table.replace(row(a=4), old)
    assert table.replace(row(a=4), new) != new
    table.delete("p", "k")
    with pytest.raises(PreconditionError):
        table.replace(row(a=5), new)


def test_of_many_replacements_one_wins(table: Table) -> None:
    etag = table.insert(row(a=0))

    def replace(number: int) -> bool:
        try:
            table.replace(row(a=number), etag)
        except PreconditionError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        won = [number for number, ok in enumerate(pool.map(replace, range(10))) if ok]
    assert won == [plain(table.get("p", "k"))["a"]]


def test_deleting_says_whether_there_was_something(table: Table) -> None:
    old = table.insert(row(a=1))
    new = table.replace(row(a=2), old)
    with pytest.raises(PreconditionError):
        table.delete("p", "k", old)
    assert table.delete("p", "k", new)
    assert not table.delete("p", "k")


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (Insert(row("there")), ConflictError),
        (Replace(row("there", a=2), "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""), PreconditionError),
        (Replace(row("gone"), "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""), PreconditionError),
        (Delete("p", "gone"), PreconditionError),
        (
            Delete("p", "there", "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""),
            PreconditionError,
        ),
    ],
)
def test_a_transaction_is_whole_or_nothing(table: Table, last: Operation, error: type[Exception]) -> None:
    table.insert(row("there", a=1))
    table.insert(row("doomed"))
    with pytest.raises(error):
        table.transact([Insert(row("new")), Upsert(row("newer")), Delete("p", "doomed"), last])
    assert keys(table) == ["doomed", "there"]
    assert plain(table.get("p", "there"))["a"] == 1


def test_a_transaction_returns_the_new_etags(table: Table) -> None:
    etag = table.insert(row("a"))
    etags = table.transact([Replace(row("a", x=1), etag), Upsert(row("b")), Insert(row("c"))])
    assert [table.get("p", key)[ETAG] for key in "abc"] == etags  # type: ignore[index]
    assert table.transact([Delete("p", "a", etags[0]), Delete("p", "b")]) == ["", ""]
    assert keys(table) == ["c"]


def test_of_many_transactions_one_wins(table: Table) -> None:
    def insert(number: int) -> bool:
        try:
            table.transact([Insert(row(f"own{number}")), Insert(row("one", winner=number))])
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        won = [number for number, ok in enumerate(pool.map(insert, range(10))) if ok]
    assert len(won) == 1
    assert plain(table.get("p", "one"))["winner"] == won[0]
    assert keys(table) == ["one", f"own{won[0]}"]


def test_too_many_operations_are_a_fault_of_ours(table: Table) -> None:
    with pytest.raises(FatalError):
        table.transact([Upsert(row(str(number))) for number in range(101)])
    assert len(table.transact([Upsert(row(str(number))) for number in range(100)])) == 100


@pytest.mark.parametrize("columns", [{"text": "x" * 33_000}, {f"t{n}": "x" * 30_000 for n in range(40)}])
def test_a_row_that_does_not_fit_is_refused(table: Table, columns: dict[str, Any]) -> None:
    with pytest.raises(RequestTooLargeError):
        table.transact([Upsert(row(**columns))])
    assert table.get("p", "k") is None


@pytest.mark.parametrize("key", ["a/b", "a\\b", "a#b", "a?b", "a\nb", "a\x7fb", "a\x85b"])
def test_keys_that_no_row_can_have(table: Table, key: str) -> None:
    """Looking for one finds nothing, writing one is refused before it is sent."""
    assert table.get("p", key) is None
    assert table.get(key, "k") is None
    assert not table.delete("p", key)
    with pytest.raises(FatalError):
        table.upsert(row(key))


@pytest.mark.parametrize(
    "hostile", ["' or PartitionKey ne '", "x' or 'a' eq 'a", "@p", "p eq 'x'", "''", "%27", "x  y"]
)
def test_a_value_in_a_filter_stays_a_value(table: Table, hostile: str) -> None:
    table.upsert(row("plain", text="other"))
    table.upsert(row("hostile", text=hostile))
    found = table.query("PartitionKey eq @p and text eq @text", {"p": "p", "text": hostile})
    assert [item["RowKey"] for item in found] == ["hostile"]
    assert list(table.query("PartitionKey eq @p", {"p": hostile})) == []


def test_filters_know_times_and_flags(table: Table) -> None:
    table.upsert(row("early", at=NOW, done=True))
    table.upsert(row("late", at=NOW + timedelta(seconds=1), done=False))
    late = table.query("PartitionKey eq @p and at gt @at", {"p": "p", "at": NOW}, ["RowKey"])
    assert [plain(item) for item in late] == [{"RowKey": "late"}]
    done = table.query("PartitionKey eq @p and done eq @done", {"p": "p", "done": True})
    assert [item["RowKey"] for item in done] == ["early"]


def test_a_prefix_ends_where_another_begins(table: Table) -> None:
    for key in ("run", "run|", "run|a", "run|\u20ac", "run}", "runs"):
        table.upsert(row(key))
    where = "PartitionKey eq @p and RowKey ge @low and RowKey lt @high"
    found = table.query(where, {"p": "p", "low": "run|", "high": above("run|")})
    assert [item["RowKey"] for item in found] == ["run|", "run|a", "run|\u20ac"]


@pytest.mark.parametrize(("rows", "size"), [(0, 2), (1, 2), (2, 2), (3, 2), (5, 2), (4, 5), (1200, 1000)])
def test_pages_hold_every_row_once(table: Table, rows: int, size: int) -> None:
    for start in range(0, rows, 100):
        table.transact([Upsert(row(f"{number:05d}")) for number in range(start, min(start + 100, rows))])
    table.upsert(row("zzz", "other"))
    pages: list[list[str]] = []
    continuation: str | None = None
    while True:
        found, continuation = table.page("PartitionKey eq @p", {"p": "p"}, size, continuation)
        pages.append([item["RowKey"] for item in found])
        if continuation is None:
            break
    assert [key for page in pages for key in page] == [f"{number:05d}" for number in range(rows)]
    assert all(len(page) == size for page in pages[:-1])
    assert len(pages) == max(1, -(-rows // size))


def test_a_page_goes_on_where_it_ended_whatever_was_added(table: Table) -> None:
    for key in "bdf":
        table.upsert(row(key))
    where = "PartitionKey eq @p or PartitionKey eq @q"
    first, following = table.page(where, {"p": "p", "q": "p"}, 2)
    table.upsert(row("a"))
    table.upsert(row("e"))
    second, last = table.page(where, {"p": "p", "q": "p"}, 2, following)
    assert [item["RowKey"] for item in (*first, *second)] == ["b", "d", "e", "f"]
    assert last is None


@pytest.mark.parametrize("token", ["?", "!!", "e30", "MTI", "Ii8i", "\u20ac", "' or 'a' eq 'a"])
def test_a_token_of_somebody_else_is_refused(table: Table, token: str) -> None:
    with pytest.raises(InvalidRequestError):
        table.page("PartitionKey eq @p", {"p": "p"}, 2, token)


def test_a_lost_answer_says_nothing_about_what_was_done(azurite: Endpoints, table: Table) -> None:
    """Callers must look whether their write is there."""
    table.upsert(row("other"))
    with running_proxy(azurite.table) as proxy:
        proxy.break_once(LoseAnswer(), lambda request: "$batch" in request.target)
        with pytest.raises(UnavailableError):
            Table(account_of(azurite, table=proxy.endpoint), table.name).insert(row("k", a=1))
    assert plain(table.get("p", "k"))["a"] == 1


def test_a_busy_table_is_tried_again_and_then_given_up(azurite: Endpoints, table: Table) -> None:
    table.insert(row())
    with running_proxy(azurite.table) as proxy:
        busy = Table(account_of(azurite, table=proxy.endpoint), table.name)
        proxy.break_once(Answer(503, "ServerBusy"), lambda _: True)
        assert busy.get("p", "k") is not None
        proxy.plan = lambda _: Answer(503, "ServerBusy")
        with pytest.raises(UnavailableError):
            busy.get("p", "k")
