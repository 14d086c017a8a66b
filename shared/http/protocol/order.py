"""`$orderby`: sorting a list by its columns, and finding the place in it where a page starts."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.skip_token import read_cursor, refused_token, write_token
from shared.http.protocol.json_answer import json_pieces
from shared.http.protocol.paging import answer_page

# Documents of 100 KB and a thousand of them asked for make an answer of which several at once fill the memory.
_PAGE_BYTES = 4 * 1024**2

type Row = dict[str, Any]

OrderBy = Annotated[
    str | None, Query(alias="$orderby", description="Columns to sort by, as in `created desc, displayName`")
]


def answer_sorted(
    request: Request,
    rows: Sequence[Row],
    columns: Sequence[str],
    orderby: str | None,
    top: int,
    skiptoken: str | None,
) -> Response:
    """Answers with one page of `rows`; the first of `columns` is the one that tells them apart."""
    page, token = Order(orderby, columns).page(rows, top, skiptoken)
    return answer_page(request, page, token)


class Order:
    """An order over rows of JSON values: text without regard to case, absent values first."""

    def __init__(self, text: str | None, columns: Sequence[str]) -> None:
        """Reads `created desc, connectorName`.

        Args:
            text: what `$orderby` says; None for the order of the first column.
            columns: the columns that may be named, in any case; in the first one all rows differ.

        Raises:
            InvalidRequestError: a column or direction is not known.
        """
        known = {column.casefold(): column for column in columns}
        keys: dict[str, bool] = {}
        for item in text.split(",") if text is not None else []:
            match item.casefold().split():
                # Once sorted by, a column orders nothing more: each takes one pass, however often it is named.
                case [name] if name in known:
                    keys.setdefault(known[name], False)
                case [name, "asc" | "desc" as direction] if name in known:
                    keys.setdefault(known[name], direction == "desc")
                case _:
                    message = f"say a column and asc or desc, as in 'created desc'; columns: {', '.join(columns)}"
                    raise InvalidRequestError([Fault("InvalidValue", "$orderby", message)])
        keys.setdefault(columns[0], False)
        self._keys = list(keys.items())

    def page(
        self, rows: Sequence[Row], top: int, token: str | None, most_bytes: int = _PAGE_BYTES
    ) -> tuple[list[Row], str | None]:
        """The page that starts at `token`, and the token of the next one; it has `most_bytes` of JSON, or one row.

        The token holds the sorted values of a page's last row: rows that come or go between two pages move
        no other row out of sight.

        Raises:
            InvalidRequestError: the token is none of this order.
        """
        last = None if token is None else read_cursor(token)
        if last is not None and last.keys() != dict(self._keys).keys():
            raise refused_token()
        ordered = self._sorted([*rows, last] if last is not None else rows)
        start = next(index for index, row in enumerate(ordered) if row is last) + 1 if last is not None else 0
        found = _first(ordered[start : start + top], most_bytes)
        if start + len(found) >= len(ordered):
            return found, None
        return found, write_token({name: found[-1].get(name) for name, _ in self._keys})

    def _sorted(self, rows: Sequence[Row]) -> list[Row]:
        ordered = list(rows)
        # Sorting is stable: from the least important column to the first. A marker stands behind its equals.
        for name, descending in reversed(self._keys):
            ordered.sort(key=lambda row, name=name: _comparable(row.get(name)), reverse=descending)  # type: ignore[misc]
        return ordered


def _first(rows: list[Row], most_bytes: int) -> list[Row]:
    size = 0
    for number, row in enumerate(rows):
        size += sum(map(len, json_pieces(row)))
        if number and size > most_bytes:
            return rows[:number]
    return rows


def _comparable(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    return (1, value) if isinstance(value, (int, float)) else (2, str(value).casefold())
