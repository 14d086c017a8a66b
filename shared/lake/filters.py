"""OData `$filter` as an SQL condition: only fields of the type are named, and every literal is bound.

Comparing follows OData: `null` equals null and nothing else, and what compares null by order is false.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from enum import Enum
from typing import Any

from odata_query import ast
from odata_query.exceptions import ODataException
from odata_query.grammar import ODataLexer, ODataParser

from shared.domain.entity_types import EntityType
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.fields import NUMBERS, Field, FieldType
from shared.domain.shown import shown
from shared.lake.schema import DECIMAL_PRECISION, DECIMAL_SCALE
from shared.lake.sql import quoted

_MAX_LENGTH = 8_192
_UNSUPPORTED = "it uses something that is not supported; use fields, literals, comparisons and functions"
_ITEM = quoted("_item")
# Text, ids and names: what is looked at for names must not be a part of the others.
_WORDS = re.compile(r"'[^']*+(?:''[^']*+)*'|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[a-zA-Z_]\w*\b")
_COMPARATORS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


class _Kind(Enum):
    TEXT = "text"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    DATE = "a date"
    TIME = "a time"
    GUID = "a GUID"
    ARRAY = "an array"
    NULL = "null"


_KINDS = {
    FieldType.BOOLEAN: _Kind.BOOLEAN,
    FieldType.GUID: _Kind.GUID,
    FieldType.DATE: _Kind.DATE,
    FieldType.DATE_TIME_OFFSET: _Kind.TIME,
    FieldType.STRING: _Kind.TEXT,
    **dict.fromkeys(NUMBERS, _Kind.NUMBER),
}
_TEXTS = frozenset({_Kind.TEXT, _Kind.GUID})
_MOMENTS = frozenset({_Kind.DATE, _Kind.TIME})

# Name of a function: kinds of its arguments, kind of its value, SQL.
_FUNCTIONS: dict[str, tuple[list[frozenset[_Kind]], _Kind, str]] = {
    "contains": ([_TEXTS, _TEXTS], _Kind.BOOLEAN, "contains({}, {})"),
    "startswith": ([_TEXTS, _TEXTS], _Kind.BOOLEAN, "starts_with({}, {})"),
    "endswith": ([_TEXTS, _TEXTS], _Kind.BOOLEAN, "ends_with({}, {})"),
    "indexof": ([_TEXTS, _TEXTS], _Kind.NUMBER, "(strpos({}, {}) - 1)"),
    "concat": ([_TEXTS, _TEXTS], _Kind.TEXT, "({} || {})"),
    "length": ([_TEXTS], _Kind.NUMBER, "length({})"),
    "tolower": ([_TEXTS], _Kind.TEXT, "lower({})"),
    "toupper": ([_TEXTS], _Kind.TEXT, "upper({})"),
    "trim": ([_TEXTS], _Kind.TEXT, "trim({})"),
    **{name: ([_MOMENTS], _Kind.NUMBER, f"date_part('{name}', {{}})") for name in ("year", "month", "day")},
    **{
        name: ([frozenset({_Kind.TIME})], _Kind.NUMBER, f"date_part('{name}', {{}})")
        for name in ("hour", "minute", "second")
    },
    "date": ([frozenset({_Kind.TIME})], _Kind.DATE, "CAST({} AS DATE)"),
    "round": ([frozenset({_Kind.NUMBER})], _Kind.NUMBER, "round({})"),
    "floor": ([frozenset({_Kind.NUMBER})], _Kind.NUMBER, "floor({})"),
    "ceiling": ([frozenset({_Kind.NUMBER})], _Kind.NUMBER, "ceil({})"),
}


@dataclass(frozen=True, slots=True)
class _Term:
    """A piece of SQL, what it binds in the order of its places, the kind of its value, and of an array's items."""

    sql: str
    values: tuple[Any, ...]
    kind: _Kind
    item: _Kind | None = None


def condition(text: str, entity_type: EntityType) -> tuple[str, list[Any]]:
    """Reads a `$filter`.

    Args:
        text: the OData expression.
        entity_type: the type whose fields it may name, in any case.

    Returns:
        SQL over the fields, and the values to bind.

    Raises:
        InvalidRequestError: it cannot be read, names an unknown field, or compares what cannot be compared.
    """
    if len(text) > _MAX_LENGTH:
        raise _invalid(f"it is longer than {_MAX_LENGTH} characters")
    # The library takes `Allowed` for `all` and a rest: names are replaced by ones that begin with nothing it knows.
    names = {f"f{index}_": field for index, field in enumerate(entity_type.fields)}
    aliases = {field.field_name.casefold(): alias for alias, field in names.items()}
    replaced = _WORDS.sub(lambda word: aliases.get(word[0].casefold(), word[0]), text.strip())
    try:
        term = _Reading(names).read(ODataParser().parse(ODataLexer().tokenize(replaced)))
    except RecursionError:
        raise _invalid("it is nested too deeply") from None
    except ODataException as error:
        raise _invalid(_reason(error)) from None
    if term.kind is not _Kind.BOOLEAN:
        raise _invalid(f"it must be a condition, and is {term.kind.value}")
    return f"coalesce({term.sql}, false)", list(term.values)


class _Reading:
    """Turns a parsed expression into terms."""

    def __init__(self, names: Mapping[str, Field]) -> None:
        self._names = names
        self._items: dict[str, _Term] = {}

    def read(self, node: Any) -> _Term:
        steps: dict[type, Callable[[Any], _Term]] = {
            ast.Identifier: self._named,
            ast.BoolOp: self._joined,
            ast.UnaryOp: self._negated,
            ast.Compare: self._compared,
            ast.Call: self._called,
            ast.CollectionLambda: self._of_items,
        }
        return steps.get(type(node), _literal)(node)

    def _named(self, node: ast.Identifier) -> _Term:
        if not node.namespace and node.name in self._items:
            return self._items[node.name]
        if not node.namespace and node.name in self._names:
            return _column(self._names[node.name])
        raise _invalid(f"the type has no field {shown('.'.join((*node.namespace, node.name)))}")

    def _negated(self, node: ast.UnaryOp) -> _Term:
        if not isinstance(node.op, ast.Not):
            raise _invalid(_UNSUPPORTED)
        term = self._condition(node.operand)
        return _Term(f"(NOT {term.sql})", term.values, _Kind.BOOLEAN)

    def _compared(self, node: ast.Compare) -> _Term:
        left = self.read(node.left)
        if not isinstance(node.comparator, ast.In):
            return _comparison(node.comparator, left, self.read(node.right))
        if not isinstance(node.right, ast.List):
            raise _invalid("in needs a list, as in Age in (1, 2)")
        terms = [_comparison(ast.Eq(), left, self.read(item)) for item in node.right.val]
        return _chain(" OR ", terms)

    def _called(self, node: ast.Call) -> _Term:
        if node.func.namespace or node.func.name not in _FUNCTIONS:
            raise _invalid(f"the function {shown(node.func.name)} is not supported")
        return _call(node.func.name, [self.read(argument) for argument in node.args])

    def _condition(self, node: Any) -> _Term:
        term = self.read(node)
        if term.kind is not _Kind.BOOLEAN:
            raise _invalid(f"{term.kind.value} stands where a condition must")
        # A field may be null, and what is not known to hold does not hold.
        return _Term(f"coalesce({term.sql}, false)", term.values, _Kind.BOOLEAN)

    def _joined(self, node: ast.BoolOp) -> _Term:
        """A chain of the same operator, however long, without nesting."""
        terms, rest = [], node
        while isinstance(rest.left, ast.BoolOp) and type(rest.left.op) is type(node.op):
            terms.append(self._condition(rest.right))
            rest = rest.left
        terms += [self._condition(rest.right), self._condition(rest.left)]
        terms.reverse()
        return _chain(" AND " if isinstance(node.op, ast.And) else " OR ", terms)

    def _of_items(self, node: ast.CollectionLambda) -> _Term:
        owner, inner = self.read(node.owner), node.lambda_
        is_all = isinstance(node.operator, ast.All)
        if owner.kind is not _Kind.ARRAY or owner.item is None:
            raise _invalid("any and all are for fields that are arrays")
        if inner is None:
            return _Term(f"(len({owner.sql}) > 0)", owner.values, _Kind.BOOLEAN)
        name = inner.identifier.name
        if self._items:
            raise _invalid("any and all cannot stand within each other")
        self._items[name] = _Term(_ITEM, (), owner.item)
        term = self._condition(inner.expression)
        del self._items[name]
        # Of all items it holds where there is none for which it does not.
        wanted = f"NOT {term.sql}" if is_all else term.sql
        found = f"len(list_filter({owner.sql}, lambda {_ITEM}: {wanted}))"
        return _Term(f"({found} = 0)" if is_all else f"({found} > 0)", (*owner.values, *term.values), _Kind.BOOLEAN)


def _column(field: Field) -> _Term:
    kind = _KINDS[field.field_type]
    if field.is_array:
        return _Term(quoted(field.field_name), (), _Kind.ARRAY, kind)
    return _Term(quoted(field.field_name), (), kind)


def _literal(node: Any) -> _Term:
    made = _LITERALS.get(type(node))
    if made is None:
        raise _invalid(_UNSUPPORTED)
    try:
        return made(node)
    except (ValueError, OverflowError):
        raise _invalid("a date or a time in it does not exist") from None


def _moment(node: ast.DateTime) -> _Term:
    moment = node.py_val
    utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _Term("CAST(? AS TIMESTAMPTZ)", (utc.isoformat(),), _Kind.TIME)


def _number(text: str) -> int | Decimal | float:
    """The number as written where a decimal column can hold it, else as a double."""
    exact = Decimal(text)
    _, digits, exponent = exact.as_tuple()
    places = -exponent if isinstance(exponent, int) else 0
    if places > DECIMAL_SCALE or len(digits) - places > DECIMAL_PRECISION - DECIMAL_SCALE:
        return float(text)
    return int(exact) if exact == exact.to_integral_value() else exact


def _call(name: str, arguments: list[_Term]) -> _Term:
    kinds, kind, sql = _FUNCTIONS[name]
    for argument, allowed in zip(arguments, kinds, strict=True):
        if argument.kind not in allowed:
            raise _invalid(f"{name} does not take {argument.kind.value}")
    values = tuple(value for argument in arguments for value in argument.values)
    return _Term(sql.format(*(argument.sql for argument in arguments)), values, kind)


def _comparison(comparator: Any, left: _Term, right: _Term) -> _Term:
    values = (*left.values, *right.values)
    if _Kind.NULL in {left.kind, right.kind}:
        if _Kind.ARRAY in {left.kind, right.kind} and not isinstance(comparator, ast.Eq | ast.NotEq):
            raise _invalid("an array has no order")
        return _Term(_equality(comparator, left.sql, right.sql) or "false", values, _Kind.BOOLEAN)
    first, second = _alike(left, right)
    if equality := _equality(comparator, first, second):
        return _Term(equality, values, _Kind.BOOLEAN)
    if left.kind is _Kind.BOOLEAN:
        raise _invalid("true and false have no order; use eq or ne")
    return _Term(f"coalesce({first} {_COMPARATORS[type(comparator)]} {second}, false)", values, _Kind.BOOLEAN)


def _equality(comparator: Any, left: str, right: str) -> str | None:
    match comparator:
        case ast.Eq():
            return f"({left} IS NOT DISTINCT FROM {right})"
        case ast.NotEq():
            return f"({left} IS DISTINCT FROM {right})"
        case _:
            return None


def _alike(left: _Term, right: _Term) -> tuple[str, str]:
    """Both sides as one SQL type."""
    kinds = {left.kind, right.kind}
    if _Kind.ARRAY in kinds:
        raise _invalid("an array is compared item by item, as in Tags/any(t: t eq 'new')")
    if kinds == _TEXTS:  # ids lie in the tables in lower case
        return f"lower({left.sql})", f"lower({right.sql})"
    if kinds == _MOMENTS:
        return f"CAST({left.sql} AS TIMESTAMPTZ)", f"CAST({right.sql} AS TIMESTAMPTZ)"
    if len(kinds) > 1:
        message = f"{left.kind.value} cannot be compared with {right.kind.value}"
        raise _invalid(f"{message}; text stands in quotes, and nothing else does")
    return left.sql, right.sql


def _chain(word: str, terms: list[_Term]) -> _Term:
    values = tuple(value for term in terms for value in term.values)
    return _Term(f"({word.join(term.sql for term in terms)})", values, _Kind.BOOLEAN)


_LITERALS: dict[type, Callable[[Any], _Term]] = {
    ast.Null: lambda _: _Term("NULL", (), _Kind.NULL),
    ast.Boolean: lambda node: _Term("CAST(? AS BOOLEAN)", (node.py_val,), _Kind.BOOLEAN),
    ast.Integer: lambda node: _Term("?", (_number(node.val),), _Kind.NUMBER),
    ast.Float: lambda node: _Term("?", (_number(node.val),), _Kind.NUMBER),
    ast.String: lambda node: _Term("CAST(? AS VARCHAR)", (node.val,), _Kind.TEXT),
    ast.GUID: lambda node: _Term("CAST(? AS VARCHAR)", (node.val.lower(),), _Kind.GUID),
    ast.Date: lambda node: _Term("CAST(? AS DATE)", (node.py_val.isoformat(),), _Kind.DATE),
    ast.DateTime: _moment,
}


def _reason(error: ODataException) -> str:
    if name := getattr(error, "function_name", None):
        return f"the function {shown(name)} is not known, or has another number of arguments"
    return "it cannot be read; write it as in Name eq 'Ann' and (Age gt 17 or contains(City, 'burg'))"


def _invalid(reason: str) -> InvalidRequestError:
    return InvalidRequestError([Fault("InvalidFilter", "$filter", f"the filter is not usable: {reason}")])
