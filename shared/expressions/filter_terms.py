"""Terms of a `$filter` in SQL: of what kind a value is, how exact a number is, and how much text is made for it.

Comparing follows OData: `null` equals null and nothing else, and what compares null by order is false.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from enum import Enum
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from odata_query import ast

from shared.domain.documents.fields import NUMBERS, Field, FieldType
from shared.domain.errors import Fault, InvalidRequestError
from shared.engine.sql import quoted
from shared.lake.schema import DECIMAL_PRECISION, DECIMAL_SCALE

_COMPARATORS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_PLAIN: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: lt,
    ast.LtE: le,
    ast.Gt: gt,
    ast.GtE: ge,
    ast.Eq: eq,
    ast.NotEq: ne,
}
_MIRRORED: dict[type, type] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_GUID_BYTES = 36
_BYTES_PER_CHARACTER = 4
# No number of a table is above these, and none is below the same with a minus.
_MOST_WHOLE = Decimal(10) ** (DECIMAL_PRECISION - DECIMAL_SCALE)  # a rounded decimal
_MOST_DECIMAL = Decimal("9" * (DECIMAL_PRECISION - DECIMAL_SCALE) + "." + "9" * DECIMAL_SCALE)
_WIDE_ENOUGH = Context(prec=2 * DECIMAL_PRECISION)


class Kind(Enum):
    """What a value is, in the words of a message."""

    TEXT = "text"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    DATE = "a date"
    TIME = "a time"
    GUID = "a GUID"
    ARRAY = "an array"
    NULL = "null"


_KINDS = {
    FieldType.BOOLEAN: Kind.BOOLEAN,
    FieldType.GUID: Kind.GUID,
    FieldType.DATE: Kind.DATE,
    FieldType.DATE_TIME_OFFSET: Kind.TIME,
    FieldType.STRING: Kind.TEXT,
    **dict.fromkeys(NUMBERS, Kind.NUMBER),
}
TEXTS = frozenset({Kind.TEXT, Kind.GUID})
_MOMENTS = frozenset({Kind.DATE, Kind.TIME})
# They make nothing, but take as long as if they did: to look for a text costs more than to copy it.
_SEARCHING = frozenset({"contains", "indexof"})
_TRUNCATING = frozenset({"round", "floor", "ceiling"})

# Name of a function: kinds of its arguments, kind of its value, SQL.
FUNCTIONS: dict[str, tuple[list[frozenset[Kind]], Kind, str]] = {
    "contains": ([TEXTS, TEXTS], Kind.BOOLEAN, "contains({}, {})"),
    "startswith": ([TEXTS, TEXTS], Kind.BOOLEAN, "starts_with({}, {})"),
    "endswith": ([TEXTS, TEXTS], Kind.BOOLEAN, "ends_with({}, {})"),
    "indexof": ([TEXTS, TEXTS], Kind.NUMBER, "(strpos({}, {}) - 1)"),
    "concat": ([TEXTS, TEXTS], Kind.TEXT, "({} || {})"),
    "length": ([TEXTS], Kind.NUMBER, "length({})"),
    "tolower": ([TEXTS], Kind.TEXT, "lower({})"),
    "toupper": ([TEXTS], Kind.TEXT, "upper({})"),
    "trim": ([TEXTS], Kind.TEXT, "trim({})"),
    **{name: ([_MOMENTS], Kind.NUMBER, f"date_part('{name}', {{}})") for name in ("year", "month", "day")},
    **{
        name: ([frozenset({Kind.TIME})], Kind.NUMBER, f"date_part('{name}', {{}})")
        for name in ("hour", "minute", "second")
    },
    "date": ([frozenset({Kind.TIME})], Kind.DATE, "CAST({} AS DATE)"),
    "round": ([frozenset({Kind.NUMBER})], Kind.NUMBER, "round({})"),
    "floor": ([frozenset({Kind.NUMBER})], Kind.NUMBER, "floor({})"),
    "ceiling": ([frozenset({Kind.NUMBER})], Kind.NUMBER, "ceil({})"),
}


@dataclass(frozen=True, slots=True)
class Text:
    """How long texts may be together: so many cells of a row, which have no bound of their own, and so many bytes."""

    cells: int = 0
    size: int = 0

    def __add__(self, other: "Text") -> "Text":
        return Text(self.cells + other.cells, self.size + other.size)


NO_TEXT = Text()


@dataclass(frozen=True, slots=True)
class Term:
    """A piece of SQL, and what there is to know about its value.

    Attributes:
        values: what it binds, in the order of its places.
        kind: of its value.
        item: of an array's items.
        number: what stands there, of a number that is written out.
        places: decimal places of an exact number; None of a double.
        text: how long its value may be.
        made: the texts that are made on the way to its value, in memory that the engine does not count, or searched.
        is_of_row: whether a text of the row is in it; an item of an array is none.
    """

    sql: str
    values: tuple[Any, ...]
    kind: Kind
    item: Kind | None = None
    number: Decimal | None = None
    places: int | None = None
    text: Text = NO_TEXT
    made: Text = NO_TEXT
    is_of_row: bool = False


def stored(field: Field) -> Term:
    """A field of a row."""
    kind, name = _KINDS[field.field_type], quoted(field.field_name)
    places = {FieldType.DOUBLE: None, FieldType.DECIMAL: DECIMAL_SCALE}.get(field.field_type, 0)
    if field.is_array:
        return Term(name, (), Kind.ARRAY, kind, places=places, text=Text(cells=1))
    if kind is Kind.TEXT:
        return Term(name, (), kind, text=Text(cells=1), is_of_row=True)
    return Term(name, (), kind, places=places, text=Text(size=_GUID_BYTES if kind is Kind.GUID else 0))


def item_of(owner: Term, kind: Kind, name: str) -> Term:
    """An item of an array, in SQL called `name`; all items of a row together are as long as the cell."""
    return Term(name, (), kind, places=owner.places, text=Text(cells=1) if kind in TEXTS else NO_TEXT)


def number(text: str) -> Term:
    """A number that is written out; what it is compared with says how it is bound."""
    try:
        exact = Decimal(text)
    except InvalidOperation:  # not even its exponent can be kept
        raise invalid("a number in it is larger, or smaller, than any that can be compared") from None
    return Term("?", (float(text),), Kind.NUMBER, number=exact)


def written(text: str, kind: Kind) -> Term:
    """Text or a GUID that is written out."""
    return Term("CAST(? AS VARCHAR)", (text,), kind, text=Text(size=_BYTES_PER_CHARACTER * len(text)))


def call(name: str, arguments: Sequence[Term]) -> Term:
    """A function of `FUNCTIONS`. Raises InvalidRequestError for arguments of another kind."""
    kinds, kind, sql = FUNCTIONS[name]
    for argument, allowed in zip(arguments, kinds, strict=True):
        if argument.kind not in allowed:
            raise invalid(f"{name} does not take {argument.kind.value}")
    if name in _TRUNCATING and arguments[0].places == 0:
        return arguments[0]  # the engine would make a double of a whole number
    is_double = name in _TRUNCATING and arguments[0].places is None
    text = _sum(argument.text for argument in arguments) if kind is Kind.TEXT else NO_TEXT
    term = _over(arguments, sql.format(*(argument.sql for argument in arguments)), kind, text)
    if name in _SEARCHING:
        term = replace(term, made=term.made + arguments[0].text)
    return replace(term, text=text, places=0 if kind is Kind.NUMBER and not is_double else None)


def chain(word: str, terms: Sequence[Term]) -> Term:
    """Conditions joined by ` AND ` or ` OR `."""
    return _over(terms, f"({word.join(term.sql for term in terms)})", Kind.BOOLEAN)


def among(left: Term, items: Sequence[Term]) -> Term:
    """Whether a value equals one of a list. Raises InvalidRequestError where they cannot be compared."""
    texts = [item for item in items if item.kind is left.kind and item.sql == "CAST(? AS VARCHAR)"]
    if len(texts) < 2:
        return chain(" OR ", [comparison(ast.Eq(), left, item) for item in items])
    # However long the list, the left side is made once.
    listed = f"coalesce(list_contains([{', '.join(text.sql for text in texts)}], {left.sql}), false)"
    others = [comparison(ast.Eq(), left, item) for item in items if item not in texts]
    return chain(" OR ", [_over([*texts, left], listed, Kind.BOOLEAN), *others])


def comparison(comparator: Any, left: Term, right: Term) -> Term:
    """Both sides compared. Raises InvalidRequestError where they cannot be."""
    sides, kinds = (left, right), {left.kind, right.kind}
    if Kind.NULL in kinds:
        if Kind.ARRAY in kinds and not isinstance(comparator, ast.Eq | ast.NotEq):
            raise invalid("an array has no order")
        return _over(sides, _equality(comparator, left.sql, right.sql) or "false", Kind.BOOLEAN)
    if kinds == {Kind.NUMBER}:
        return _numbers(comparator, left, right)
    if kinds == {Kind.BOOLEAN} and not isinstance(comparator, ast.Eq | ast.NotEq):
        raise invalid("true and false have no order; use eq or ne")
    first, second = _alike(left, right)
    # What `_alike` makes of a text in lower case.
    made = _sum(side.text for side in sides if side.kind is Kind.TEXT) if kinds == TEXTS else NO_TEXT
    return _over(sides, _compared(comparator, first, second), Kind.BOOLEAN, made)


def _alike(left: Term, right: Term) -> tuple[str, str]:
    """Both sides as one SQL type."""
    kinds = {left.kind, right.kind}
    if Kind.ARRAY in kinds:
        raise invalid("an array is compared item by item, as in Tags/any(t: t eq 'new')")
    if kinds == TEXTS:  # ids lie in the tables in lower case
        if left.kind is Kind.TEXT:
            return f"lower({left.sql})", right.sql
        return left.sql, f"lower({right.sql})"
    if kinds == _MOMENTS:
        return f"CAST({left.sql} AS TIMESTAMPTZ)", f"CAST({right.sql} AS TIMESTAMPTZ)"
    if len(kinds) > 1:
        message = f"{left.kind.value} cannot be compared with {right.kind.value}"
        raise invalid(f"{message}; text stands in quotes, and nothing else does")
    return left.sql, right.sql


def _numbers(comparator: Any, left: Term, right: Term) -> Term:
    """Numbers are compared as they are; one that is written out loses no digit beside whole numbers and decimals."""
    if left.number is not None and right.number is None:
        mirrored = _MIRRORED.get(type(comparator))
        return _numbers(mirrored() if mirrored else comparator, right, left)
    if right.number is None:
        first, second = _held(left, right), _held(right, left)
        return _over((left, right), _compared(comparator, first, second), Kind.BOOLEAN)
    if left.number is not None:
        holds = _PLAIN[type(comparator)](left.number, right.number)
        return Term("true" if holds else "false", (), Kind.BOOLEAN)
    if left.places is None:
        return _over((left, right), _compared(comparator, left.sql, right.sql), Kind.BOOLEAN)
    return _exact(comparator, left, right.number, left.places)


def _exact(comparator: Any, left: Term, value: Decimal, places: int) -> Term:
    """An exact number beside one that may have more digits: between two that the column can have, it is neither."""
    most = _MOST_WHOLE if places == 0 else _MOST_DECIMAL
    bound = max(most.copy_negate(), min(most, value)).quantize(Decimal((0, (1,), -places)), ROUND_FLOOR, _WIDE_ENOUGH)
    if bound != value:
        if isinstance(comparator, ast.Eq | ast.NotEq):
            never = "false" if isinstance(comparator, ast.Eq) else "true"
            return replace(_over([], never, Kind.BOOLEAN), made=left.made)
        is_upward = isinstance(comparator, ast.Gt | ast.GtE)
        # Below all that the column can have, the bound lies above the value, not below.
        comparator = (ast.GtE() if is_upward else ast.Lt()) if value < bound else ast.Gt() if is_upward else ast.LtE()
    right = Term(f"CAST(? AS DECIMAL({DECIMAL_PRECISION}, {places}))", (bound,), Kind.NUMBER)
    if places == 0 and abs(bound) < 2**63:
        right = Term("?", (int(bound),), Kind.NUMBER)
    return _over((left, right), _compared(comparator, left.sql, right.sql), Kind.BOOLEAN)


def _held(term: Term, other: Term) -> str:
    """A number in SQL that can be compared with the other: a rounded decimal may have a digit too many for that."""
    if term.places == 0 and other.places == DECIMAL_SCALE:
        return f"greatest(least({term.sql}, {int(_MOST_WHOLE) - 1}), {1 - int(_MOST_WHOLE)})"
    return term.sql


def _compared(comparator: Any, left: str, right: str) -> str:
    order = _COMPARATORS.get(type(comparator))
    return _equality(comparator, left, right) or f"coalesce({left} {order} {right}, false)"


def _equality(comparator: Any, left: str, right: str) -> str | None:
    match comparator:
        case ast.Eq():
            return f"({left} IS NOT DISTINCT FROM {right})"
        case ast.NotEq():
            return f"({left} IS DISTINCT FROM {right})"
        case _:
            return None


def _over(parts: Sequence[Term], sql: str, kind: Kind, made: Text = NO_TEXT) -> Term:
    """SQL in which the parts stand in their order, and for which `made` is made beside what is made for them."""
    values = tuple(value for part in parts for value in part.values)
    whole = _sum(part.made for part in parts) + made
    return Term(sql, values, kind, made=whole, is_of_row=any(part.is_of_row for part in parts))


def _sum(texts: Iterable[Text]) -> Text:
    return sum(texts, NO_TEXT)


def invalid(reason: str) -> InvalidRequestError:
    """What a filter is answered with that cannot be used."""
    return InvalidRequestError([Fault("InvalidFilter", "$filter", f"the filter is not usable: {reason}")])
