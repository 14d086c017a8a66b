"""OData `$filter` as an SQL condition: only fields of the type are named, and every literal is bound.

The engine does not count the texts that an expression makes, so what a filter may make of a row is bounded here; how
many rows it sees at once is up to who reads them (`pages.py`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from datetime import UTC
from typing import Any

from odata_query import ast
from odata_query.exceptions import ODataException
from odata_query.grammar import ODataLexer, ODataParser

from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.fields import Field
from shared.domain.shown import shown
from shared.engine.sql import quoted
from shared.expressions.filter_terms import (
    FUNCTIONS,
    NO_TEXT,
    Kind,
    Term,
    Text,
    among,
    call,
    chain,
    comparison,
    invalid,
    item_of,
    number,
    stored,
    written,
)
from shared.lake.read.condition import Condition

MOST_CELLS = 64
"""Texts as long as a cell that a filter may make of a row."""

_MAX_LENGTH = 8_192
_MOST_BYTES = 16 * 1024  # that a filter may make beside them, of what is written in it; times 2,048 rows at once
_COPIED_ITEMS = Text(cells=4)  # short items take a multiple of their text
_UNSUPPORTED = "it uses something that is not supported; use fields, literals, comparisons and functions"
_ITEM = quoted("_item")
# Text, ids and names: what is looked at for names must not be a part of the others.
_WORDS = re.compile(r"'[^']*+(?:''[^']*+)*'|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[a-zA-Z_]\w*\b")


def condition(text: str, entity_type: EntityType) -> Condition:
    """Reads a `$filter`.

    Args:
        text: the OData expression.
        entity_type: the type whose fields it may name, in any case.

    Raises:
        InvalidRequestError: it cannot be read, names an unknown field, compares what cannot be compared, or makes
            too much text.
    """
    if len(text) > _MAX_LENGTH:
        raise invalid(f"it is longer than {_MAX_LENGTH} characters")
    # The library takes `Allowed` for `all` and a rest: names are replaced by ones that begin with nothing it knows.
    names = {f"f{index}_": field for index, field in enumerate(entity_type.fields)}
    aliases = {field.field_name.casefold(): alias for alias, field in names.items()}
    replaced = _WORDS.sub(lambda word: aliases.get(word[0].casefold(), word[0]), text.strip())
    try:
        term = _Reading(names).read(ODataParser().parse(_lists_marked(ODataLexer().tokenize(replaced))))
    except RecursionError:
        raise invalid("it is nested too deeply") from None
    except ODataException as error:
        raise invalid(_reason(error)) from None
    if term.kind is not Kind.BOOLEAN:
        raise invalid(f"it must be a condition, and is {term.kind.value}")
    if term.made.cells > MOST_CELLS or term.made.size > _MOST_BYTES:
        raise invalid(
            "it makes or searches too many texts of each row; use fewer of concat, tolower, toupper, trim, contains, "
            "indexof, any and all"
            f" (at most {MOST_CELLS}, where any and all count as {_COPIED_ITEMS.cells}), or shorter texts in concat"
        )
    return Condition(f"coalesce({term.sql}, false)", list(term.values), term.made.cells)


def _lists_marked(tokens: Iterable[Any]) -> Iterator[Any]:
    """The tokens, with a comma behind the item of each list of one, by which the library tells it from brackets."""
    # Of each bracket that is open: whether it is a list without a comma until now.
    alone: list[bool] = []
    before = ""
    for token in tokens:
        if token.type == "(":
            alone.append(before == "IN")
        elif token.type == "," and alone:
            alone[-1] = False
        elif token.type == ")" and alone and alone.pop() and before != "(":
            comma = copy(token)
            comma.type = comma.value = ","
            yield comma
        if token.type != "WS":
            before = token.type
        yield token


class _Reading:
    """Turns a parsed expression into terms."""

    def __init__(self, names: Mapping[str, Field]) -> None:
        self._names = names
        self._items: dict[str, Term] = {}

    def read(self, node: Any) -> Term:
        steps: dict[type, Callable[[Any], Term]] = {
            ast.Identifier: self._named,
            ast.BoolOp: self._joined,
            ast.UnaryOp: self._negated,
            ast.Compare: self._compared,
            ast.Call: self._called,
            ast.CollectionLambda: self._of_items,
        }
        return steps.get(type(node), _literal)(node)

    def _named(self, node: ast.Identifier) -> Term:
        if not node.namespace and node.name in self._items:
            return self._items[node.name]
        if not node.namespace and node.name in self._names:
            return stored(self._names[node.name])
        raise invalid(f"the type has no field {shown('.'.join((*node.namespace, node.name)))}")

    def _negated(self, node: ast.UnaryOp) -> Term:
        if not isinstance(node.op, ast.Not):
            raise invalid(_UNSUPPORTED)
        term = self._condition(node.operand)
        return replace(term, sql=f"(NOT {term.sql})")

    def _compared(self, node: ast.Compare) -> Term:
        left = self.read(node.left)
        if not isinstance(node.comparator, ast.In):
            return self._compared_alone(comparison(node.comparator, left, self.read(node.right)))
        if not isinstance(node.right, ast.List):
            raise invalid("in needs a list, as in Age in (1, 2)")
        return self._compared_alone(among(left, [self.read(item) for item in node.right.val]))

    def _called(self, node: ast.Call) -> Term:
        if node.func.namespace or node.func.name not in FUNCTIONS:
            raise invalid(f"the function {shown(node.func.name)} is not supported")
        if self._items and node.func.name == "concat":
            raise invalid("concat cannot stand within any or all")
        return self._alone(call(node.func.name, [self.read(argument) for argument in node.args]))

    def _alone(self, term: Term) -> Term:
        """A function within `any` is called for each item: of a text of the row it would be called as often."""
        if self._items and term.is_of_row:
            raise invalid("within any and all, functions of text take the item, and no field of the row")
        return term

    def _compared_alone(self, term: Term) -> Term:
        return term if term.made == NO_TEXT else self._alone(term)

    def _condition(self, node: Any) -> Term:
        term = self.read(node)
        if term.kind is not Kind.BOOLEAN:
            raise invalid(f"{term.kind.value} stands where a condition must")
        # A field may be null, and what is not known to hold does not hold.
        return replace(term, sql=f"coalesce({term.sql}, false)")

    def _joined(self, node: ast.BoolOp) -> Term:
        """A chain of the same operator, however long, without nesting."""
        terms, rest = [], node
        while isinstance(rest.left, ast.BoolOp) and type(rest.left.op) is type(node.op):
            terms.append(self._condition(rest.right))
            rest = rest.left
        terms += [self._condition(rest.right), self._condition(rest.left)]
        terms.reverse()
        return chain(" AND " if isinstance(node.op, ast.And) else " OR ", terms)

    def _of_items(self, node: ast.CollectionLambda) -> Term:
        owner, inner = self.read(node.owner), node.lambda_
        is_all = isinstance(node.operator, ast.All)
        if owner.kind is not Kind.ARRAY or owner.item is None:
            raise invalid("any and all are for fields that are arrays")
        if inner is None:
            return Term(f"(len({owner.sql}) > 0)", owner.values, Kind.BOOLEAN)
        name = inner.identifier.name
        if self._items:
            raise invalid("any and all cannot stand within each other")
        self._items[name] = item_of(owner, owner.item, _ITEM)
        term = self._condition(inner.expression)
        del self._items[name]
        # Of all items it holds where there is none for which it does not.
        wanted = f"NOT {term.sql}" if is_all else term.sql
        found = f"len(list_filter({owner.sql}, lambda {_ITEM}: {wanted}))"
        sql = f"({found} = 0)" if is_all else f"({found} > 0)"
        return replace(term, sql=sql, values=(*owner.values, *term.values), made=term.made + _COPIED_ITEMS)


def _literal(node: Any) -> Term:
    made = _LITERALS.get(type(node))
    if made is None:
        raise invalid(_UNSUPPORTED)
    try:
        return made(node)
    except (ValueError, OverflowError):
        raise invalid("a date or a time in it does not exist") from None


def _moment(node: ast.DateTime) -> Term:
    moment = node.py_val
    utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Term("CAST(? AS TIMESTAMPTZ)", (utc.isoformat(),), Kind.TIME)


_LITERALS: dict[type, Callable[[Any], Term]] = {
    ast.Null: lambda _: Term("NULL", (), Kind.NULL),
    ast.Boolean: lambda node: Term("CAST(? AS BOOLEAN)", (node.py_val,), Kind.BOOLEAN),
    ast.Integer: lambda node: number(node.val),
    ast.Float: lambda node: number(node.val),
    ast.String: lambda node: written(node.val, Kind.TEXT),
    ast.GUID: lambda node: written(node.val.lower(), Kind.GUID),
    ast.Date: lambda node: Term("CAST(? AS DATE)", (node.py_val.isoformat(),), Kind.DATE),
    ast.DateTime: _moment,
}


def _reason(error: ODataException) -> str:
    if name := getattr(error, "function_name", None):
        return f"the function {shown(name)} is not known, or has another number of arguments"
    return "it cannot be read; write it as in Name eq 'Ann' and (Age gt 17 or contains(City, 'burg'))"
