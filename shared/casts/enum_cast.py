"""How text becomes a value of an enum: one of the declared numbers, or one of their names in any locale.

Names are compared with their case, as nothing is guessed. A name that stands for two numbers is not read.
"""

import math

from shared.casts.cast_sql import BLANKS, RANGES, Cast, Refusal, Sql, trimmed
from shared.domain.documents.fields import EnumValue, Field
from shared.domain.shown import shortened
from shared.engine.sql import literal

_SHOWN = 20


def is_enum(field: Field) -> bool:
    """Whether the field's cells are limited to declared values."""
    return bool(field.enum_valid_values) and (field.is_enum or field.is_flag_enum)


def enum_number(field: Field, number: Cast) -> Cast:
    """The cast of an enum of a whole-number type, which `number` casts; flags may be combined.

    Flags are combined as a sum of declared numbers, or as names with commas between.
    """
    names, numbers = _names(field), sorted({valid.value for valid in _declared(field)})
    every_bit = 0
    for single in numbers:
        every_bit |= single

    def cases(text: Sql) -> list[tuple[Sql, Sql]]:
        given = number.value(text)
        found = []
        if field.is_flag_enum:
            found.append((f"CAST({given} AS BIGINT) & {~every_bit} = 0", given))
        elif numbers:
            found.append((f"{given} IN ({_listed(numbers)})", given))
        if names:
            found.append((f"{text} IN ({_listed(names)})", _number_of(text, names)))
        if names and field.is_flag_enum:
            flags = f"list_transform(string_split({text}, ','), lambda flag: {_number_of(trimmed('flag'), names)})"
            found.append((f"list_count({flags}) = len({flags})", f"list_bit_or({flags})"))
        return found or [("false", given)]

    return Cast(cases, (_not_a_member(field),))


def enum_text(field: Field) -> Cast:
    """The cast of an enum of Edm.String: a name or a number, kept as it is written; flags with commas between."""
    members = [*_names(field), *dict.fromkeys(str(valid.value) for valid in field.enum_valid_values)]

    def cases(text: Sql) -> list[tuple[Sql, Sql]]:
        found = [(f"{text} IN ({_listed(members)})", text)]
        if field.is_flag_enum:
            flags = f"string_split({text}, ',')"
            others = f"list_filter({flags}, lambda flag: {trimmed('flag')} NOT IN ({_listed(members)}))"
            found.append((f"len({others}) = 0", trimmed(text)))
        return found

    return Cast(cases, (_not_a_member(field),), lambda value: value)


def _declared(field: Field) -> list[EnumValue]:
    """The values that the field's type can hold."""
    low, high = RANGES.get(field.field_type, (-math.inf, math.inf))
    return [valid for valid in field.enum_valid_values if low <= valid.value <= high]


def _names(field: Field) -> dict[str, int]:
    """The numbers by name; names that stand for more than one number are left out."""
    numbers: dict[str, set[int]] = {}
    for valid in _declared(field):
        for name in valid.localized_value_names.values():
            numbers.setdefault(name.strip(BLANKS), set()).add(valid.value)
    return {name: next(iter(found)) for name, found in numbers.items() if name and len(found) == 1 and "\0" not in name}


def _number_of(text: Sql, names: dict[str, int]) -> Sql:
    cases = "".join(f" WHEN {literal(name)} THEN {number}" for name, number in names.items())
    return f"CASE {text}{cases} END"


def _listed(values: "list[int] | list[str] | dict[str, int]") -> Sql:
    return ", ".join(literal(value) if isinstance(value, str) else str(value) for value in values)


def _not_a_member(field: Field) -> Refusal:
    told = [
        f"{valid.value} ({shortened(', '.join(dict.fromkeys(valid.localized_value_names.values())))})"
        if valid.localized_value_names
        else str(valid.value)
        for valid in field.enum_valid_values[:_SHOWN]
    ]
    more = f" and {len(field.enum_valid_values) - _SHOWN} more" if len(field.enum_valid_values) > _SHOWN else ""
    combined = ", or several with commas between" if field.is_flag_enum else ""
    return Refusal("NotInEnum", f"expected one of {', '.join(told)}{more}{combined}")
