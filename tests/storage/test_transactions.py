"""Transactions that share a request on Azurite: what goes wrong with one is that one's alone."""

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.local.azurite import Endpoints
from shared.domain.errors import (
    ConflictError,
    DeniedError,
    HubError,
    PreconditionError,
    RefusedError,
    RequestTooLargeError,
    ThrottledError,
    UnavailableError,
)
from shared.storage.retries import RETRIES
from shared.storage.tables import ETAG, Delete, Insert, Replace, Row, Table
from tests.fault_proxy import Answer, Fault, FaultProxy, LoseAnswer, Request, running_proxy
from tests.local_services import account_of
from tests.one_request import batch, is_transaction, kept_busy, until_waiting

BUSY = Answer(503, "ServerBusy")


def row(key: str = "k", partition: str = "p", **columns: Any) -> Row:
    return {"PartitionKey": partition, "RowKey": key, **columns}


def keys(table: Table, partition: str = "p") -> list[str]:
    return [found["RowKey"] for found in table.query("PartitionKey eq @p", {"p": partition})]


def behind(azurite: Endpoints, proxy: FaultProxy, table: Table) -> Table:
    return Table(account_of(azurite, table=proxy.endpoint), table.name)


def inserting(table: Table, *keys: str, **columns: Any) -> Callable[[], int]:
    return lambda: len(table.transact([Insert(row(key, **columns)) for key in keys]))


def names(request: Request) -> set[str]:
    """The keys of one letter that a request is about."""
    return {name for name in "abcdef" if f'"RowKey": "{name}"'.encode() in request.body}


def test_transactions_of_many_threads_share_a_request_and_fail_alone(azurite: Endpoints, table: Table) -> None:
    etag = table.insert(row("old", a=1))
    with running_proxy(azurite.table) as proxy:
        shared = behind(azurite, proxy, table)

        def pair(number: int) -> Callable[[], list[str]]:
            return lambda: shared.transact([Insert(row(f"a{number}")), Insert(row(f"b{number}"))])

        etags = batch(shared, [pair(number) for number in range(10)])
        assert len(proxy.requests) == 1
        assert etags == [[table.get("p", f"{name}{number}")[ETAG] for name in "ab"] for number in range(10)]  # type: ignore[index]
        found = batch(
            shared,
            [
                lambda: len(shared.transact([Insert(row("new")), Delete("p", "a2")])),
                lambda: shared.transact([Insert(row("other")), Insert(row("a1"))]),
                lambda: len(shared.transact([Replace(row("old", a=2), etag)])),
                lambda: shared.transact([Insert(row("third")), Replace(row("old", a=3), etag)]),
            ],
        )
    assert found == [2, ConflictError, 1, PreconditionError]
    assert {key for key in keys(table) if key[0] not in "ab"} == {"new", "old"}
    old = table.get("p", "old")
    assert old is not None
    assert old["a"] == 2
    assert table.get("p", "a2") is None


def test_of_a_shared_request_whose_answer_is_lost_nobody_knows(azurite: Endpoints, table: Table) -> None:
    """It is not sent again: callers must look whether their write is there."""
    table.insert(row("other"))
    with running_proxy(azurite.table) as proxy:
        shared = behind(azurite, proxy, table)
        proxy.break_once(LoseAnswer(), is_transaction)
        assert batch(shared, [inserting(shared, name) for name in "abcdef"]) == [UnavailableError] * 6
        assert len(proxy.requests) == 1
    assert keys(table) == [*"abcdef", "other"]


@pytest.mark.parametrize(
    ("fault", "error", "requests"),
    [
        (Answer(429, "TooManyRequests", {"Retry-After": "0"}), ThrottledError, 1 + RETRIES),
        (BUSY, UnavailableError, 1 + RETRIES),
        (Answer(403, "AuthorizationFailure"), DeniedError, 1),
    ],
)
def test_a_refusal_that_is_nobodys_fault_is_not_asked_for_again(
    azurite: Endpoints, table: Table, fault: Fault, error: type[HubError], requests: int
) -> None:
    with running_proxy(azurite.table) as proxy:
        shared = behind(azurite, proxy, table)
        proxy.plan = lambda _: fault
        assert batch(shared, [inserting(shared, name) for name in "abcdef"]) == [error] * 6
        assert len(proxy.requests) == requests
        assert all(names(request) == {*"abcdef"} for request in proxy.requests)
        proxy.plan = lambda _: None
        assert inserting(shared, "a")() == 1
    assert keys(table) == ["a"]


@pytest.mark.parametrize(
    ("value", "error"), [(object(), TypeError), (2**70, TypeError), ("x" * 33_000, RequestTooLargeError)]
)
def test_a_value_that_no_row_can_hold_is_its_own_rows_fault(
    table: Table, value: object, error: type[Exception]
) -> None:
    table.insert(row("there"))
    acts = [inserting(table, "a"), inserting(table, "b", "c", bad=value), inserting(table, "d")]
    assert batch(table, acts) == [1, error, 1]
    assert keys(table) == ["a", "d", "there"]


def test_a_row_that_the_service_finds_fault_with_fails_alone(azurite: Endpoints, table: Table) -> None:
    with running_proxy(azurite.table) as proxy:
        shared = behind(azurite, proxy, table)
        proxy.plan = lambda request: Answer(400, "InvalidInput") if "b" in names(request) else None
        assert batch(shared, [inserting(shared, name) for name in "abc"]) == [1, RefusedError, 1]
    assert keys(table) == ["a", "c"]


def test_a_request_that_fails_is_not_the_fault_of_the_next(azurite: Endpoints, table: Table) -> None:
    """Two transactions on one row cannot share a request, so here are three."""
    table.insert(row("there"))
    with running_proxy(azurite.table) as proxy:
        shared = behind(azurite, proxy, table)
        proxy.plan = lambda request: BUSY if names(request) == {*"bcd"} else None
        acts = [inserting(shared, *those) for those in ("a", "b", "bc", "d", "de", "f")]
        assert batch(shared, acts) == [1, 1, UnavailableError, UnavailableError, 2, 1]
        assert len(proxy.requests) == 1 + (1 + RETRIES) + 1
    assert keys(table) == [*"abdef", "there"]


def test_who_is_tried_alone_fails_alone(azurite: Endpoints, table: Table) -> None:
    """One row of the shared request exists, so each is tried by itself, and the second finds no answer."""
    table.insert(row("a"))
    with running_proxy(azurite.table) as proxy:
        shared = behind(azurite, proxy, table)
        proxy.plan = lambda request: BUSY if names(request) == {"b"} else None
        found = batch(shared, [inserting(shared, name) for name in "abcdef"])
        assert found == [ConflictError, UnavailableError, 1, 1, 1, 1]
        # All, each of two, the second's repetitions, and those that were left.
        assert len(proxy.requests) == 1 + 2 + RETRIES + 1
    assert keys(table) == [*"acdef"]


def test_partitions_do_not_wait_for_each_other(azurite: Endpoints, table: Table) -> None:
    table.insert(row("there"))
    with ThreadPoolExecutor(1) as pool:
        with kept_busy(table, "p") as queue:
            waits = pool.submit(table.insert, row("a"))
            until_waiting(queue, 1)
            assert table.insert(row("a", "q"))
            assert not waits.done()
        assert waits.result()
    assert (keys(table), keys(table, "q")) == (["a", "there"], ["a"])


def test_a_line_lasts_for_as_long_as_somebody_stands_in_it(table: Table) -> None:
    with kept_busy(table, "p") as queue:
        assert table.transactions.queue("p") is queue
        assert table.transactions.queue("q") is not queue
    ended = weakref.ref(queue)
    del queue
    assert ended() is None
    assert table.insert(row())
