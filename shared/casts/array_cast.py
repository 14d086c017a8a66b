"""How the text of a cell becomes an array: split at the separator, each item read by itself.

A backslash before the separator or before a backslash makes either a part of the item, as in exports; before
anything else it is text.
"""

from collections.abc import Callable

from shared.casts.cast_sql import Cast, Refusal, Sql, trimmed
from shared.engine.sql import literal

EMPTY_ITEM = Refusal("BadArray", "expected a value between two separators", lambda text: f"{text} = ''")


def split(text: Sql, separator: str) -> Sql:
    """SQL of the items of a cell. NUL stands in no cell, so it can mark what is escaped."""
    plain = f"string_split({text}, {literal(separator)})"
    if separator == "\\":
        return plain
    backslash, escaped = (f"chr(0) || {literal(letter)}" for letter in _letters_but(separator))
    marked = f"replace({text}, '\\\\', {backslash})"
    marked = f"replace({marked}, {literal('\\' + separator)}, {escaped})"
    item = f"replace(replace(item, {escaped}, {literal(separator)}), {backslash}, '\\')"
    unmarked = f"list_transform(string_split({marked}, {literal(separator)}), lambda item: {item})"
    return f"CASE WHEN contains({text}, '\\') THEN {unmarked} ELSE {plain} END"


def values(text: Sql, separator: str, item: Cast, *, is_text: bool) -> Sql:
    """SQL of the array; an item that is refused is NULL in it."""
    read = item.value if is_text else item.value_in_blanks
    return f"list_transform({split(text, separator)}, lambda item: {read('item')})"


def first_reason(text: Sql, separator: str, item: Cast, number_of: Callable[[Refusal], int], *, is_text: bool) -> Sql:
    """SQL of the number of the refusal of the first item that was refused."""
    read = item.value if is_text else item.value_in_blanks
    why = item.reason("item" if is_text else trimmed("item"), number_of)
    each = f"CASE WHEN {read('item')} IS NULL THEN {why} END"
    numbers = f"list_transform({split(text, separator)}, lambda item: {each})"
    return f"list_filter({numbers}, lambda number: number IS NOT NULL)[1]"


def _letters_but(separator: str) -> str:
    return "".join(letter for letter in "abc" if letter != separator)[:2]
