"""What is taken for the key, and when a file is of things and when of what happened."""

from typing import Any

import pytest

from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.fields import FieldType
from shared.suggest.choose_key import choose_key
from shared.suggest.propose_columns import Column
from shared.suggest.scan_columns import Counted
from shared.suggest.type_candidates import Candidate

ROWS = 500
TEXT, WHOLE, TIME, DATE = FieldType.STRING, FieldType.INT32, FieldType.DATE_TIME_OFFSET, FieldType.DATE


def column(at: int, rows: int, name: str, kind: FieldType, distinct: int, empty: int = 0, longest: int = 10) -> Column:
    candidate = None if kind is TEXT else Candidate(kind, MappingFormat())
    return Column(at, name, name.title(), candidate, Counted(empty, rows - empty, distinct, longest))


PROFILE: dict[str, Any] = {"wanted": EntityKind.PROFILE}
FEW: dict[str, Any] = {"rows": 9}


def pair(*names: str, **more: Any) -> dict[str, Any]:
    """Two columns that are unique together."""
    return {"pair": names, **more}


# Columns as (name, type, distinct values, empty cells, longest key).
CASES: list[tuple[list[tuple[Any, ...]], dict[str, Any], tuple[str, list[str], str | None]]] = [
    ([("name", TEXT, ROWS), ("id", WHOLE, ROWS)], {}, ("Profile", ["id"], None)),
    ([("email", TEXT, ROWS), ("customer_id", TEXT, ROWS)], {}, ("Profile", ["customer_id"], None)),
    ([("email", TEXT, ROWS), ("customer_id", TEXT, ROWS - 1, 1)], {}, ("Profile", ["email"], None)),
    ([("b", TEXT, ROWS), ("a", TEXT, ROWS)], {}, ("Profile", ["b"], None)),
    ([("id", TEXT, ROWS, 0, 1025), ("b", TEXT, ROWS)], {}, ("Profile", ["b"], None)),
    # What is unique but names nothing.
    ([("at", TIME, ROWS), ("page", TEXT, 9)], {}, ("Interaction", [], "at")),
    ([("amount", FieldType.DECIMAL, ROWS), ("page", TEXT, 9)], {}, ("Interaction", [], None)),
    # A time and an id that repeats.
    ([("order_id", TEXT, ROWS), ("user_id", TEXT, 9), ("at", TIME, 80)], {}, ("Interaction", ["order_id"], "at")),
    ([("order_id", TEXT, ROWS), ("user_id", TEXT, 9), ("day", DATE, 8)], {}, ("Interaction", ["order_id"], "day")),
    ([("id", TEXT, ROWS), ("shop_id", TEXT, 9), ("birth_date", DATE, 80)], {}, ("Profile", ["id"], None)),
    ([("id", TEXT, ROWS), ("shop_id", TEXT, 9), ("last_changed", TIME, 80)], {}, ("Profile", ["id"], None)),
    ([("id", TEXT, ROWS), ("city", TEXT, 9), ("at", TIME, 80)], {}, ("Profile", ["id"], None)),
    ([("id", TEXT, ROWS), ("old_id", TEXT, 9, ROWS - 9), ("at", TIME, 80)], {}, ("Profile", ["id"], None)),
    # A unique column that is not called an id is trusted where there are rows enough.
    ([("text", TEXT, ROWS), ("user_id", TEXT, 9), ("at", TIME, 80)], {}, ("Interaction", ["text"], "at")),
    ([("text", TEXT, 9), ("user_id", TEXT, 3), ("at", TIME, 8)], FEW, ("Interaction", [], "at")),
    ([("id", WHOLE, 9)], {**FEW, "wanted": EntityKind.INTERACTION}, ("Interaction", ["id"], None)),
    ([("text", TEXT, 9)], FEW, ("Profile", ["text"], None)),
    # Pairs, in the order of the file.
    ([("a", TEXT, 50), ("b", TEXT, 50)], {}, ("Interaction", [], None)),
    ([("a", TEXT, 50), ("b", TEXT, 50)], pair("a", "b"), ("Interaction", ["a", "b"], None)),
    ([("n", WHOLE, 50), ("order_id", TEXT, 50)], pair("n", "order_id"), ("Interaction", ["n", "order_id"], None)),
    ([("a", TEXT, 5), ("b", TEXT, 5)], pair("a", "b", **FEW), ("Interaction", [], None)),
    ([("a", TEXT, 50), ("at", TIME, 50)], pair("a", "at"), ("Interaction", [], "at")),
    ([("user_id", TEXT, 50), ("at", TIME, 50)], pair("user_id", "at"), ("Interaction", ["user_id", "at"], "at")),
    ([("a", TEXT, 50), ("b", TEXT, 50)], pair("a", "b", **PROFILE), ("Profile", ["a", "b"], None)),
    # A profile that the caller wants, with no key to be had.
    ([("a", TEXT, 5), ("b", TEXT, 9, 1)], PROFILE, ("Profile", ["a"], None)),
    ([("a", TEXT, 5, 1), ("shop_id", TEXT, 9, 1)], PROFILE, ("Profile", ["shop_id"], None)),
    # No rows.
    ([("name", TEXT, 0), ("id", TEXT, 0)], {"rows": 0}, ("Profile", ["id"], None)),
    ([("name", TEXT, 0)], {"rows": 0}, ("Interaction", [], None)),
]


@pytest.mark.parametrize(("columns", "options", "expected"), CASES)
def test_kind_key_and_time(
    columns: list[tuple[Any, ...]], options: dict[str, Any], expected: tuple[str, list[str], str | None]
) -> None:
    rows = options.get("rows", ROWS)
    made = [column(at, rows, *facts) for at, facts in enumerate(columns)]

    def count_pair(left: Column, right: Column) -> tuple[int, int]:
        return (rows if options.get("pair") == (left.name, right.name) else rows - 1), 20

    found = choose_key(made, rows, options.get("wanted"), count_pair)
    time = found.timestamp.name if found.timestamp else None
    assert (found.kind.value, [part.name for part in found.key], time) == expected
