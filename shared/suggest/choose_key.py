"""What tells the rows of a file apart, and whether they are things or what happened to them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from shared.casts.row_sql import MAX_KEY_CHARACTERS
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.fields import INTEGERS, TIMES, FieldType
from shared.domain.shown import listed
from shared.suggest.name_fields import id_rank, words
from shared.suggest.propose_columns import Column

type CountPair = Callable[[Column, Column], tuple[int, int]]
"""Different keys that two columns make together, and characters of the longest."""

# Amounts, flags and times may be unique in a sample and still name nothing.
_NAMING = INTEGERS | {FieldType.STRING, FieldType.GUID}
# In fewer rows than that anything is unique, so a name must say that it is an id.
_EVIDENCE_ROWS = 100
_COLUMNS_TRIED_IN_PAIRS = 12
_OF_A_LIFE = frozenset(
    {"birth", "birthday", "birthdate", "born", "dob", "geburtsdatum", "joined", "registered", "signup", "updated"}
    | {"modified", "changed", "last"}
)
_OF_AN_EVENT = frozenset({"at", "on", "date", "datum", "day", "time", "timestamp", "when"})


@dataclass(frozen=True, slots=True)
class Identity:
    """What is proposed.

    Attributes:
        kind: profile or interaction.
        key: the columns of the key; empty where an interaction's id is derived.
        timestamp: when an interaction happened.
    """

    kind: EntityKind
    key: list[Column]
    timestamp: Column | None
    notes: list[str]


def choose_key(columns: list[Column], rows: int, wanted: EntityKind | None, count_pair: CountPair) -> Identity:
    """Chooses kind and key.

    Args:
        columns: all that are mapped, at least one.
        rows: of the sample.
        wanted: the kind that the caller has decided on.
        count_pair: counts in the sample.
    """
    unique = sorted((column for column in columns if _is_unique(column, rows)), key=_rank)
    timestamp = _timestamp(columns)
    kind, why = _kind(columns, unique, timestamp, wanted) if rows else _kind_by_name(unique, wanted)
    notes = [f"entityType: {kind.value}, {why}"]
    key, why = _key(kind, columns, unique, rows, count_pair)
    notes.append(why)
    if key and 0 < rows < _EVIDENCE_ROWS:
        notes.append(f"the sample has {rows} rows only; see that the key is unique in all files to come")
    if kind is EntityKind.PROFILE:
        timestamp = None
    elif timestamp is not None:
        notes.append(f"timestampFieldName: {listed([timestamp.name])}, the first time that names what happened")
    return Identity(kind, key, timestamp, notes)


def _kind(
    columns: list[Column], unique: list[Column], timestamp: Column | None, wanted: EntityKind | None
) -> tuple[EntityKind, str]:
    if wanted is not None:
        return wanted, "as you said"
    if not unique:
        return EntityKind.INTERACTION, "since no column tells all rows apart"
    repeated = [
        column
        for column in columns
        if column.kind in _NAMING and _is_called_id(column) and column.counted.distinct < column.counted.filled
    ]
    if timestamp is not None and (others := [column for column in repeated if column is not unique[0]]):
        why = f"since {listed([timestamp.name])} is a time and {listed([others[0].name])} an id that repeats"
        return EntityKind.INTERACTION, why
    return EntityKind.PROFILE, f"since {listed([unique[0].name])} tells all rows apart"


def _kind_by_name(unique: list[Column], wanted: EntityKind | None) -> tuple[EntityKind, str]:
    """The kind where there is no row to go by."""
    if wanted is not None:
        return wanted, "as you said"
    if not unique:
        return EntityKind.INTERACTION, "since no column is called an id, and there is no row to go by"
    return EntityKind.PROFILE, f"since {listed([unique[0].name])} is called an id; there is no row to go by"


def _key(
    kind: EntityKind, columns: list[Column], unique: list[Column], rows: int, count_pair: CountPair
) -> tuple[list[Column], str]:
    is_profile = kind is EntityKind.PROFILE
    if unique and (is_profile or _is_trusted(unique[:1], rows)):
        why = "in which no cell is empty and none stands twice" if rows else "by its name alone"
        return unique[:1], f"key: {listed([unique[0].name])}, {why}"
    pair = None if unique else _unique_pair(columns, rows, count_pair)
    if pair is not None:
        names = listed(column.name for column in pair)
        return pair, f"key: {names} together, which are unique, while no column alone is"
    if not is_profile:
        return [], "key: none; without idPropertyNames the id is made from the row, so that equal rows all stay"
    best = min(columns, key=lambda column: (column.counted.empty > 0, column.kind not in _NAMING, *_rank(column)))
    why = "no column or pair is unique, so" if rows else "no column is called an id, and"
    why += " rows with the same value become one profile"
    if best.counted.empty:
        why += ", and rows without one are refused"
    return [best], f"key: {listed([best.name])}, for want of a better one: {why}"


def _unique_pair(columns: list[Column], rows: int, count_pair: CountPair) -> list[Column] | None:
    filled = [
        column
        for column in columns
        if not column.counted.empty and column.counted.distinct > 1 and column.kind in _NAMING | TIMES
    ]
    tried = sorted(filled, key=_rank)[:_COLUMNS_TRIED_IN_PAIRS]
    for chosen in combinations(tried, 2):
        pair = sorted(chosen, key=lambda column: column.position)
        if any(column.kind in TIMES for column in pair) and not any(map(_is_called_id, pair)):
            continue
        # Two columns with so few values cannot make as many pairs as there are rows.
        if pair[0].counted.distinct * pair[1].counted.distinct < rows or not _is_trusted(pair, rows):
            continue
        distinct, longest = count_pair(*pair)
        if distinct == rows and longest <= MAX_KEY_CHARACTERS:
            return pair
    return None


def _is_unique(column: Column, rows: int) -> bool:
    if not rows:
        return id_rank(column.name) == 0
    return column.kind in _NAMING and _has_own(column) and column.counted.longest <= MAX_KEY_CHARACTERS


def _has_own(column: Column) -> bool:
    """Whether each row has a value of its own."""
    return not column.counted.empty and column.counted.distinct == column.counted.filled


def _is_called_id(column: Column) -> bool:
    return id_rank(column.name) is not None


def _is_trusted(columns: list[Column], rows: int) -> bool:
    return rows >= _EVIDENCE_ROWS or any(map(_is_called_id, columns))


def _rank(column: Column) -> tuple[int, int]:
    rank = id_rank(column.name)
    return (9 if rank is None else rank, column.position)


def _timestamp(columns: list[Column]) -> Column | None:
    """A column that says when something happened; birthdays and the like say something of a person."""

    def is_event(column: Column) -> bool:
        parts = {word.casefold() for word in words(column.name)}
        if column.kind not in TIMES or parts & _OF_A_LIFE:
            return False
        return column.kind is FieldType.DATE_TIME_OFFSET or bool(parts & _OF_AN_EVENT)

    found = [column for column in columns if is_event(column)]
    return min(
        found,
        key=lambda column: (column.counted.empty > 0, column.kind is FieldType.DATE, column.position),
        default=None,
    )
