"""Reads Bicep files by their grammar into plain values; it compiles nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_ESCAPES = {"\\'": "'", "\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\$": "$"}


@dataclass(frozen=True, slots=True)
class Expression:
    """What is no literal: its text, and the names of the file that it uses."""

    text: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter; `default` is None where there is none."""

    kind: str
    default: Any
    is_required: bool


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource or a module: `source` is `Type@version` or the module's path, `each` what it is repeated for."""

    source: str
    is_existing: bool
    each: tuple[str, Any] | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """A Bicep file."""

    path: Path
    parameters: dict[str, Parameter]
    variables: dict[str, Any]
    resources: dict[str, Declared]
    modules: dict[str, Declared]
    outputs: dict[str, Any]
    unresolved: frozenset[str]
    unused: frozenset[str]
    functions: frozenset[str]
    strings: tuple[str, ...]
    member_uses: frozenset[str]

    def resolve(self, value: object) -> Any:
        """`value`, with an expression that only names a variable replaced by the variable's value."""
        if isinstance(value, Expression) and value.text in self.variables:
            return self.resolve(self.variables[value.text])
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        return value


def read_template(path: Path) -> Template:
    """Reads a file; raises SyntaxError with the line of the first thing that the grammar does not know."""
    root = _PARSER.parse(path.read_bytes()).root_node
    for node in _walk(root):
        if node.type == "ERROR" or node.is_missing:
            raise SyntaxError(f"{path}:{node.start_point[0] + 1}: {_text(node)[:80]!r}")
    by_kind: dict[str, dict[str, Node]] = {}
    for node in root.named_children:
        if node.type.endswith("_declaration"):
            name = _text(_child(node, "identifier"))
            if name in by_kind.setdefault(node.type, {}):
                raise SyntaxError(f"{path}: {name} is declared twice")
            by_kind[node.type][name] = node
    declared = {name for kind, nodes in by_kind.items() if kind != "output_declaration" for name in nodes}
    used, unresolved = _references(root, frozenset(declared))
    return Template(
        path=path,
        parameters={name: _parameter(node) for name, node in by_kind.get("parameter_declaration", {}).items()},
        variables={
            name: _value(node.named_children[-1]) for name, node in by_kind.get("variable_declaration", {}).items()
        },
        resources={name: _declared(node) for name, node in by_kind.get("resource_declaration", {}).items()},
        modules={name: _declared(node) for name, node in by_kind.get("module_declaration", {}).items()},
        outputs={name: _value(node.named_children[-1]) for name, node in by_kind.get("output_declaration", {}).items()},
        unresolved=frozenset(unresolved),
        unused=frozenset({*by_kind.get("parameter_declaration", {}), *by_kind.get("variable_declaration", {})} - used),
        functions=frozenset(
            _text(node.child_by_field_name("function"))
            for node in _walk(root)
            if node.type == "call_expression" and _parent(node).type != "decorator"
        ),
        strings=tuple(_text(node) for node in _walk(root) if node.type == "string"),
        member_uses=frozenset(_text(node) for node in _walk(root) if node.type == "member_expression"),
    )


def _references(root: Node, declared: frozenset[str]) -> tuple[set[str], set[str]]:
    """Names of `declared` that are used, and names that are used but nowhere declared."""
    used: set[str] = set()
    unresolved: set[str] = set()
    for node in _walk(root):
        if node.type != "identifier" or _is_naming(node):
            continue
        name = _text(node)
        if name in declared:
            used.add(name)
        elif name not in _loop_names(node):
            unresolved.add(f"{name} (line {node.start_point[0] + 1})")
    return used, unresolved


def _is_naming(node: Node) -> bool:
    """Whether the identifier declares, is a key, a type or a function's name, rather than a use."""
    parent = _parent(node)
    if parent.type == "type":
        return True
    if parent.type == "call_expression":
        return parent.child_by_field_name("function") == node
    if parent.type == "for_statement":
        return parent.child_by_field_name("initializer") == node
    return parent.named_children[0] == node and (
        parent.type == "object_property" or parent.type.endswith("_declaration")
    )


def _loop_names(node: Node) -> set[str]:
    names = set()
    above = node.parent
    while above is not None:
        if above.type == "for_statement":
            names.add(_text(above.child_by_field_name("initializer")))
        above = above.parent
    return names


def _parameter(node: Node) -> Parameter:
    is_required = not any(child.type == "=" for child in node.children)
    default = None if is_required else _value(node.named_children[-1])
    return Parameter(_text(_child(node, "type")), default, is_required)


def _declared(node: Node) -> Declared:
    is_existing = any(child.type == "existing" for child in node.children)
    body, each = node.named_children[-1], None
    if body.type == "for_statement":
        names = [child for child in body.named_children if child.type != "comment"]
        each = (_text(names[0]), _value(names[1]))
        body = names[-1]
    if body.type == "if_statement":
        body = body.named_children[-1]
    return Declared(_value(_child(node, "string")), is_existing, each, _value(body))


def _value(node: Node) -> Any:
    match node.type:
        case "string":
            return _string(node)
        case "number":
            return int(_text(node))
        case "boolean":
            return _text(node) == "true"
        case "null":
            return None
        case "array":
            return [_value(child) for child in node.named_children if child.type != "comment"]
        case "object":
            properties = (child.named_children for child in node.named_children if child.type == "object_property")
            return {
                _string(key) if key.type == "string" else _text(key): _value(value) for key, *_, value in properties
            }
    names = {_text(inner) for inner in _walk(node) if inner.type == "identifier" and not _is_naming(inner)}
    return Expression(_text(node), frozenset(names))


def _string(node: Node) -> str:
    """The text; an interpolation stays as it is written, `${...}`."""
    if _text(node).startswith("'''"):
        return _text(node)[3:-3].removeprefix("\n")
    return "".join(
        _ESCAPES[_text(child)] if child.type == "escape_sequence" else _text(child)
        for child in node.children
        if child.type != "'"
    )


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _child(node: Node, kind: str) -> Node:
    return next(child for child in node.named_children if child.type == kind)


def _parent(node: Node) -> Node:
    assert node.parent is not None
    return node.parent


def _text(node: Node | None) -> str:
    assert node is not None
    assert node.text is not None
    return node.text.decode()
