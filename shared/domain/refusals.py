"""What is said of a value that a model refuses: one table, by pydantic's own name of the kind of error.

No text of pydantic's goes out: it tells a programmer which check failed, not a caller what to do. What was given is
shown where it is a single value, unless it carries a secret; of a list or an object it is said only that it is one.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from shared.domain.names import RULES
from shared.domain.shown import shown
from shared.redact import carries_secret

_COMPARED_CHARACTERS = 64
_KINDS = {dict: "an object", list: "a list", type(None): "null"}


class _Given(NamedTuple):
    """What stands where it is refused, and how a message shows it; None where it must not."""

    value: Any
    shown: str | None

    @property
    def instead(self) -> str:
        """The end of a sentence that says what must stand here."""
        return "" if self.shown is None else f", not {self.shown}"


# Makes a message of what was given and of what pydantic knows of the rule.
type _Telling = Callable[[_Given, Mapping[str, Any]], str]


def refusal(kind: str, given: Any, rule: Mapping[str, Any], *, is_secret: bool = False) -> str:
    """The message for one error of pydantic.

    Args:
        kind: its `type`.
        given: its `input`.
        rule: its `ctx`.
        is_secret: whether the value is never shown, since a secret may stand there by mistake.
    """
    tell = _TELLINGS.get(kind)
    if tell is None:
        return "this value is not allowed here; see /openapi.json for what is"
    return tell(_Given(given, None if is_secret else _shown(given)), rule)


def none_of(given: Any, allowed: Sequence[str]) -> str:
    """The message for a value that is none of those allowed; it proposes the nearest where there is a near one."""
    return _none_of(_Given(given, _shown(given)), allowed)


def _none_of(given: _Given, allowed: Sequence[str]) -> str:
    by_name = {name.casefold(): name for value in allowed for name in (value, value.rpartition(".")[2])}
    by_name = {name: next(value for value in allowed if value.endswith(found)) for name, found in by_name.items()}
    text = given.value.casefold()[:_COMPARED_CHARACTERS] if isinstance(given.value, str) else ""
    near = get_close_matches(text, by_name, n=1)
    proposed = f"; did you mean {shown(by_name[near[0]])}?" if near else ""
    return f"{given.shown or 'this value'} is not known here; use one of {any_of(allowed)}{proposed}"


def _shown(value: Any) -> str | None:
    if isinstance(value, dict | list) or value is None:
        return _KINDS[type(value)]
    if isinstance(value, bool):
        return "true" if value else "false"
    if carries_secret(str(value)):
        return None
    return shown(value) if isinstance(value, str) else shown(value).strip("'")


def any_of(allowed: Sequence[str]) -> str:
    """The values in words."""
    *first, last = map(repr, allowed)
    return f"{', '.join(first)} or {last}" if first else last


def _must_be(what: str) -> _Telling:
    return lambda given, _: f"must be {what}{given.instead}"


def _at_least(given: _Given, rule: Mapping[str, Any]) -> str:
    return f"must be at least {rule['ge']}{given.instead}"


def _at_most(given: _Given, rule: Mapping[str, Any]) -> str:
    return f"must be at most {rule['le']}{given.instead}"


def _too_short(_: _Given, rule: Mapping[str, Any]) -> str:
    return f"must not be empty; give it {_many(rule['min_length'], 'character')} at least"


def _too_long(given: _Given, rule: Mapping[str, Any]) -> str:
    return f"has {len(given.value)} characters; {_many(rule['max_length'], 'character')} at most may stand here"


def _too_few(given: _Given, rule: Mapping[str, Any]) -> str:
    return f"has {_many(len(given.value), 'item')}; give it {_many(rule['min_length'], 'item')} at least"


def _too_many(given: _Given, rule: Mapping[str, Any]) -> str:
    return f"has {_many(len(given.value), 'item')}; {rule['max_length']} at most may stand here"


def _pattern(given: _Given, rule: Mapping[str, Any]) -> str:
    named = "this name" if given.shown is None else f"the name {given.shown}"
    return f"{named} is not allowed: use {RULES[rule['pattern']]}"


def _enum(given: _Given, rule: Mapping[str, Any]) -> str:
    # It is the values themselves between quotes, with commas and an "or"; none of ours has a blank.
    return _none_of(given, [value.strip("'") for value in rule["expected"].replace(" or ", ", ").split(", ")])


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _own(_: _Given, rule: Mapping[str, Any]) -> str:
    return str(rule["error"])


def _always(message: str) -> _Telling:
    return lambda *_: message


_WHOLE = _must_be("a whole number")
_TRUTH = _must_be("true or false")
_OBJECT = _must_be("an object, { ... }")

_TELLINGS: dict[str, _Telling] = {
    "missing": _always("this property is required; add it"),
    "extra_forbidden": _always("this property is not known; remove it or correct its name"),
    "value_error": _own,
    "enum": _enum,
    "string_type": _must_be("a text between quotes"),
    "string_unicode": _always("holds half a character, which cannot be stored; send whole characters"),
    "string_pattern_mismatch": _pattern,
    "string_too_short": _too_short,
    "string_too_long": _too_long,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": _always("is a number of too many digits; give a smaller one"),
    "float_type": _must_be("a number"),
    "float_parsing": _must_be("a number"),
    "finite_number": _must_be("a finite number"),
    "greater_than_equal": _at_least,
    "less_than_equal": _at_most,
    "list_type": _must_be("a list, [ ... ]"),
    "too_short": _too_few,
    "too_long": _too_many,
    "dict_type": _OBJECT,
    "text_or_texts": _must_be("a text between quotes, or an object of such texts by language"),
    "model_type": _OBJECT,
}
