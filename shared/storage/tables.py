"""Table Storage: rows as plain dicts, conditional writes, pages, and transactions within a partition."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.data.tables import EdmType, EntityProperty, TableClient, TableEntity, UpdateMode

from shared.deadline import seconds_left
from shared.domain.errors import (
    DeniedError,
    FatalError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    RefusedError,
)
from shared.domain.skip_token import Cursor, read_cursor, read_key, refused_token, write_token
from shared.storage.accounts import StorageAccount
from shared.storage.clients import table_client
from shared.storage.transactions import MOST_OPERATIONS, Transaction, Transactions
from shared.storage.translate import service_code, translated

# The SDK writes the numbers 0 and 1 in a filter as booleans, so no numbers.
type FilterValue = str | bool | datetime
# `PartitionKey`, `RowKey` and columns; rows that were read also hold their ETag under `etag`.
type Row = dict[str, Any]

ETAG = "etag"
# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_NOT_IN_KEYS = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
_MAX_KEY_CHARACTERS = 512  # 1 KiB of UTF-16, by the same page
_PAGE_ROWS = 1000
# Where a query goes on is a key in a form of the service's own: https://learn.microsoft.com/rest/api/storageservices/query-timeout-and-pagination
_LONGEST_IN_CURSOR = 4 * 1024
REQUEST_S = 5.0
"""A request of a query takes the service so long at most, by the same page: none is begun with less time left."""


@dataclass(frozen=True)
class Insert:
    """Adds a row; the transaction fails with ConflictError if it exists."""

    row: Row


@dataclass(frozen=True)
class Replace:
    """Replaces a row that is unchanged; the transaction fails with PreconditionError if it is not."""

    row: Row
    etag: str


@dataclass(frozen=True)
class Upsert:
    """Writes a row, whether it exists or not."""

    row: Row


@dataclass(frozen=True)
class Delete:
    """Deletes a row that exists (and is unchanged, where `etag` is given); else PreconditionError."""

    partition: str
    key: str
    etag: str | None = None


type Operation = Insert | Replace | Upsert | Delete


class Table:
    """One table, created when it is first written to. Safe for use by many threads."""

    def __init__(self, account: StorageAccount, name: str) -> None:
        self.name = name
        self._account = account
        self._what = f"the table {name!r} of the account {account.name!r}"
        self.transactions = Transactions(self._etags)

    @cached_property
    def _client(self) -> TableClient:
        return table_client(self._account, self.name)

    def get(self, partition: str, key: str) -> Row | None:
        """The row, or None."""
        if _NOT_IN_KEYS.search(partition + key):
            return None
        try:
            with translated(self._what):
                return _decoded(self._client.get_entity(partition, key))
        except NotFoundError:
            return None

    def insert(self, row: Row) -> str:
        """Adds a row and returns its ETag; raises ConflictError if it exists."""
        # As a transaction, because the SDK's own insert loses the service's code of the fault.
        return self.transact([Insert(row)])[0]

    def replace(self, row: Row, etag: str) -> str:
        """Replaces the row if it still has `etag`, and returns the new one; else raises PreconditionError."""
        entity = _encoded(row)
        try:
            return self._written(
                lambda: self._client.update_entity(
                    entity, UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
                )
            )
        except NotFoundError:
            raise PreconditionError("PreconditionFailed", f"the row of {self._what} was deleted") from None

    def upsert(self, row: Row) -> str:
        """Writes the row, whether it exists or not, and returns its ETag."""
        entity = _encoded(row)
        return self._written(lambda: self._client.upsert_entity(entity, UpdateMode.REPLACE))

    def delete(self, partition: str, key: str, etag: str | None = None) -> bool:
        """Deletes the row; False if there was none. Raises PreconditionError if it does not have `etag`."""
        if _NOT_IN_KEYS.search(partition + key):
            return False
        condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
        # The SDK keeps silent about a row that is not there, so it has to be looked for.
        existed = self.get(partition, key) is not None
        with translated(self._what):
            self._client.delete_entity(partition, key, **condition)
        return existed

    def query(
        self,
        where: str,
        parameters: Mapping[str, FilterValue] | None = None,
        select: Sequence[str] | None = None,
    ) -> Iterator[Row]:
        """The rows that an OData filter lets through, by partition and row key.

        Args:
            where: the filter; every value stands in it as `@name`, with blanks round it.
            parameters: the values by name; they are quoted here.
            select: columns to read; None for all.
        """
        for rows in self.pages(where, parameters, select):
            yield from rows

    def pages(
        self,
        where: str,
        parameters: Mapping[str, FilterValue] | None = None,
        select: Sequence[str] | None = None,
    ) -> Iterator[Iterable[Row]]:
        """The same rows as each request finds them: maybe none, for whoever has to watch the time.

        Args:
            where, parameters, select: as in `query`.
        """
        return (rows for rows, _ in self._pages(where, parameters, select, _PAGE_ROWS, None))

    def page(
        self,
        where: str,
        parameters: Mapping[str, FilterValue] | None = None,
        size: int = 30,
        continuation: str | None = None,
        select: Sequence[str] | None = None,
        *,
        may_end_early: bool = False,
    ) -> tuple[list[Row], str | None]:
        """Returns one page of the rows that a filter lets through; the filter must fix the partition.

        Args:
            where: as in `query`.
            parameters: as in `query`.
            size: rows of the page at most.
            continuation: what the page before returned.
            select: as in `query`; always with `RowKey`.
            may_end_early: whether a page may have fewer rows, or none, though there are more: it ends when the thread's
                deadline is near, since a filter over columns that are no keys makes the service read all rows.

        Returns:
            The rows, and what the next page is asked for with; None on the last one.

        Raises:
            InvalidRequestError: the continuation is not one of ours.
        """
        values: dict[str, FilterValue] = dict(parameters or {})
        cursor = _cursor_of(continuation) if continuation else None
        if continuation and cursor is None:
            where = f"( {where} ) and RowKey gt @after_key"
            values["after_key"] = _key_of(continuation)
        found: list[Row] = []
        try:
            for rows, following in self._pages(where, values, select, min(size + 1, _PAGE_ROWS), cursor):
                for row in rows:
                    if len(found) == size:
                        return found, write_token(found[-1]["RowKey"])
                    found.append(row)
                if may_end_early and following and seconds_left() < REQUEST_S:
                    return found, write_token(found[-1]["RowKey"] if found else following)
        except DeniedError:
            raise
        except RefusedError:
            if cursor is None:
                raise
            raise refused_token() from None  # the service never said it
        return found, None

    def part(
        self,
        where: str,
        parameters: Mapping[str, FilterValue],
        select: Sequence[str],
        most: int,
        continuation: str = "",
    ) -> tuple[list[Row], str]:
        """What one request finds of the rows that a filter lets through: maybe none, though there are more.

        Args:
            where: as in `query`.
            parameters: as in `query`.
            select: as in `query`.
            most: rows at most, up to 1,000.
            continuation: what the part before returned, of the same filter; empty for the first.

        Returns:
            The rows, and what the next part is asked for with; empty after the last one.
        """
        start = read_cursor(continuation) if continuation else None
        rows, following = next(self._pages(where, parameters, select, most, start), ([], None))
        return [*rows], write_token(following) if following else ""

    def transact(self, operations: Sequence[Operation]) -> list[str]:
        """Carries out at most 100 operations on one partition, all or none.

        Transactions of several threads go to the service in one request, where they touch different rows.

        Returns:
            The ETag of each row written, in order; empty for deletions.

        Raises:
            ConflictError: a row to insert exists. PreconditionError: another one was changed or is gone.
        """
        if len(operations) > MOST_OPERATIONS:
            raise FatalError("TransactionTooLarge", f"{self._what} takes 100 operations at once at most")
        if not operations:
            return []
        partition, transaction = _transaction(operations)
        return self.transactions.carry_out(partition, transaction)

    def _etags(self, batch: list[Any]) -> list[str]:
        try:
            with translated(self._what):
                answers = self._creating(lambda: self._client.submit_transaction(batch))
        except NotFoundError:
            raise PreconditionError("PreconditionFailed", f"a row of {self._what} was deleted") from None
        return [str(answer.get("etag") or "") for answer in answers]

    def _written(self, write: Callable[[], Mapping[str, Any]]) -> str:
        with translated(self._what):
            return str(self._creating(write)["etag"])

    def _creating[T](self, call: Callable[[], T]) -> T:
        try:
            return call()
        except HttpResponseError as error:
            if service_code(error) != "TableNotFound":
                raise
        try:
            self._client.create_table()
        except ResourceExistsError as error:
            if service_code(error) != "TableAlreadyExists":
                raise
        return call()

    def _pages(
        self,
        where: str,
        parameters: Mapping[str, FilterValue] | None,
        select: Sequence[str] | None,
        page_rows: int,
        start: Cursor | None,
    ) -> Iterator[tuple[Iterable[Row], Cursor | None]]:
        """What each request of a query finds, and where the next one goes on; None after the last one."""
        # Its type does not say that it has a place of its own, nor that this is a dict.
        pages: Any = self._client.query_entities(
            where,
            parameters=dict(parameters or {}),
            select=[*select] if select else None,
            results_per_page=page_rows,
        ).by_page(start)  # type: ignore[arg-type]
        while True:
            try:
                with translated(self._what):
                    page = next(pages, None)
            except NotFoundError:
                return  # no table yet: no rows
            if page is None:
                return
            yield map(_decoded, page), pages.continuation_token


def above(prefix: str) -> str:
    """The least key that stands behind every key that starts with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def rows_below(partition: str, prefix: str) -> tuple[str, dict[str, FilterValue]]:
    """The filter of a partition's rows whose key starts with `prefix`, and its values; more may be added to both."""
    where = "PartitionKey eq @partition and RowKey ge @first and RowKey lt @beyond"
    return where, {"partition": partition, "first": prefix, "beyond": above(prefix)}


def _transaction(operations: Sequence[Operation]) -> tuple[str, Transaction]:
    """The partition, and what is to be carried out there."""
    batch = [_operation(operation) for operation in operations]
    rows = [row for _, row, *_ in batch]
    characters = sum(len(value) for row in rows for value in row.values() if isinstance(value, str))
    return rows[0]["PartitionKey"], Transaction(batch, frozenset(row["RowKey"] for row in rows), characters)


def _operation(operation: Operation) -> Any:
    match operation:
        case Insert(row):
            return ("create", _encoded(row))
        case Upsert(row):
            return ("upsert", _encoded(row), {"mode": UpdateMode.REPLACE})
        case Replace(row, etag):
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
            return ("update", _encoded(row), {"mode": UpdateMode.REPLACE, **condition})
        case Delete(partition, key, etag):
            conditions = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
            return ("delete", {"PartitionKey": partition, "RowKey": key}, conditions)


def _encoded(row: Row) -> dict[str, Any]:
    if _NOT_IN_KEYS.search(row["PartitionKey"] + row["RowKey"]):
        raise FatalError("InvalidKey", "a row's key holds a character that Table Storage does not take")
    # A Python int would be sent as Int32 and refused beyond it.
    return {
        name: EntityProperty(value, EdmType.INT64) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in row.items()
        if value is not None and name != ETAG
    }


def _decoded(entity: TableEntity) -> Row:
    row: Row = {name: _plain(value) for name, value in entity.items()}
    row[ETAG] = str(entity.metadata.get("etag") or "")
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, EntityProperty):
        return value.value
    if isinstance(value, datetime):
        # The SDK's own subclass of datetime is turned into a plain one.
        return datetime.combine(value.date(), value.timetz()).astimezone(UTC)
    return value


def _cursor_of(token: str) -> Cursor | None:
    """Where a request of a query begins, for a token that holds this; None for one that holds a key."""
    try:
        cursor = read_cursor(token)
    except InvalidRequestError:
        return None
    if cursor.keys() != {"PartitionKey", "RowKey"} or not all(map(_may_be_in_cursor, cursor.values())):
        raise refused_token()
    return cursor


def _may_be_in_cursor(value: object) -> bool:
    """Whether the service may have said it of where a query goes on; it becomes a part of a URL."""
    is_text = isinstance(value, str) and len(value) <= _LONGEST_IN_CURSOR and value.isascii() and value.isprintable()
    return value is None or is_text


def _key_of(token: str) -> str:
    key = read_key(token)
    if len(key) > _MAX_KEY_CHARACTERS or _NOT_IN_KEYS.search(key):
        raise refused_token()
    return key
