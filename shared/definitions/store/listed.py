"""A list of rows, read on from what it was: what has not changed since is not asked for again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.definitions.store.consistent_reads import Found
from shared.storage.tables import ETAG, Row, Table, rows_below

_FACTS = ("PartitionKey", "RowKey", "revision")
# Beyond so many that changed all of them are read, which then takes fewer requests.
_ONE_BY_ONE = 8


@dataclass(frozen=True, slots=True)
class One[T]:
    """What a row was read as.

    Attributes:
        mark: another one with every write of the row.
    """

    mark: tuple[str, str]
    found: Found[T]


type Listed[T] = Mapping[str, One[T]]


def read_list[T](
    table: Table, partition: str, prefix: str, parse: Callable[[Row], Found[T]], earlier: Listed[T] | None
) -> Found[Listed[T]]:
    """The rows whose key starts with `prefix`, by key and in its order.

    Args:
        table: that has them.
        partition: that has them.
        prefix: of their keys.
        parse: reads a row.
        earlier: the list as it was; rows that were not written since are taken from it.
    """
    listed = _all(table, partition, prefix, parse) if earlier is None else _on(table, partition, prefix, parse, earlier)
    return Found(listed, sum(one.found.memory for one in listed.values()))


def _all[T](table: Table, partition: str, prefix: str, parse: Callable[[Row], Found[T]]) -> dict[str, One[T]]:
    return {row["RowKey"]: One(_mark(row), parse(row)) for row in table.query(*rows_below(partition, prefix))}


def _on[T](
    table: Table, partition: str, prefix: str, parse: Callable[[Row], Found[T]], earlier: Listed[T]
) -> dict[str, One[T]]:
    where, values = rows_below(partition, prefix)
    marks = {row["RowKey"]: _mark(row) for row in table.query(where, values, select=_FACTS)}
    changed = {key for key, mark in marks.items() if key not in earlier or earlier[key].mark != mark}
    if len(changed) <= _ONE_BY_ONE:
        found = (table.get(partition, key) for key in sorted(changed))
        rows = (row for row in found if row is not None)
    else:
        rows = (row for row in table.query(where, values) if row["RowKey"] in changed)
    # What is written between the two requests has a later mark than the one it is kept by, so it is read again.
    fresh = {row["RowKey"]: One(marks[row["RowKey"]], parse(row)) for row in rows}
    kept = {key: fresh.get(key) if key in changed else earlier[key] for key in marks}
    return {key: one for key, one in kept.items() if one is not None}


def _mark(row: Row) -> tuple[str, str]:
    # The ETag as well, since who repairs a row by hand leaves its revision as it is.
    return str(row.get("revision", "")), row[ETAG]
