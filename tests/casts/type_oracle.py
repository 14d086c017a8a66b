"""A second reading of the typing rules, plain and slow: one cell after the other, with Python's own types.

It shares no pattern and no table with the code under test, on purpose.
"""

import math
import struct
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext

from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.fields import Field, FieldType
from shared.domain.documents.mappings import ColumnMapping
from tests.casts.time_oracle import (
    RefusedError,
    is_digits,
    read_date,
    read_declared_date,
    read_declared_time,
    read_time,
)

type Value = bool | int | float | Decimal | str | date | datetime | list[Value] | None

BLANKS = " \t\n\v\f\r\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
LIMITS = {
    FieldType.BYTE: (0, 255),
    FieldType.INT16: (-32768, 32767),
    FieldType.INT32: (-2147483648, 2147483647),
    FieldType.INT64: (-9223372036854775808, 9223372036854775807),
}


@dataclass(frozen=True)
class Column:
    name: str
    field: Field
    specifier: str | None = None


def columns_of(structure: list[ColumnMapping], entity_type: EntityType) -> list[Column]:
    found = []
    for column in structure:
        field = entity_type.field(column.property_name)
        assert field is not None
        found.append(Column(column.column_name, field, column.custom_format_specifier))
    return found


def read_row(
    cells: dict[str, str], columns: list[Column], entity_type: EntityType, form: MappingFormat
) -> tuple[dict[str, Value], str | None]:
    """The values of a row by field, and its key; None where the key is derived.

    Raises:
        RefusedError: with the code and, as its second argument, the column's name.
    """
    values: dict[str, Value] = {}
    keys = entity_type.key_fields
    parts_left = len(keys)
    key: str | None = None
    in_file_order = [(name, column) for name in cells for column in columns if column.name == name]
    for name, column in in_file_order:
        field_name = column.field.field_name
        try:
            values[field_name] = read_cell(cells[name], column.field, form, column.specifier)
            if field_name in keys:
                if all(char.isspace() and char not in "\x1c\x1d\x1e\x1f" for char in cells[name]):
                    raise RefusedError("EmptyKey")
                parts_left -= 1
                if parts_left == 0:
                    key = "_".join(key_text(values[part]) for part in keys)
                    if len(key) > 1024:
                        raise RefusedError("KeyTooLong")
            elif values[field_name] is None and column.field.is_required and entity_type.kind is EntityKind.INTERACTION:
                raise RefusedError("MissingValue")
        except RefusedError as refused:
            whole_row = refused.code == "KeyTooLong" and len(keys) > 1
            refused.args = (refused.code, None if whole_row else name)
            raise
    return values, key


def read_cell(cell: str, field: Field, form: MappingFormat, specifier: str | None = None) -> Value:
    """The value of a cell; raises RefusedError."""
    is_enum = (field.is_enum or field.is_flag_enum) and bool(field.enum_valid_values)
    is_text = field.field_type is FieldType.STRING and not is_enum
    if not cell or (not is_text and not cell.strip(BLANKS)):
        return None
    if not field.is_array:
        return read_item(cell if is_text else cell.strip(BLANKS), field, form, specifier)
    separator = form.array_separator if form.array_separator != ";" else field.array_value_separator or ";"
    items: list[Value] = []
    for item in split_items(cell, separator):
        bare = item if is_text else item.strip(BLANKS)
        if not bare and not is_text:
            raise RefusedError("BadArray")
        items.append(read_item(bare, field, form, specifier))
    return items


def split_items(cell: str, separator: str) -> list[str]:
    items = [""]
    at = 0
    while at < len(cell):
        following = cell[at + 1] if at + 1 < len(cell) else ""
        if cell[at] == "\\" and separator != "\\" and following in {"\\", separator}:
            items[-1] += following
            at += 2
            continue
        if cell[at] == separator:
            items.append("")
        else:
            items[-1] += cell[at]
        at += 1
    return items


def read_item(text: str, field: Field, form: MappingFormat, specifier: str | None) -> Value:
    kind = field.field_type
    if (field.is_enum or field.is_flag_enum) and field.enum_valid_values:
        return read_enum(text, field)
    if kind in LIMITS:
        return read_integer(text, kind, form)
    match kind:
        case FieldType.STRING:
            if field.max_length is not None and len(text) > field.max_length:
                raise RefusedError("TooLong")
            return text
        case FieldType.BOOLEAN:
            if text.lower() in {"true", "1"}:
                return True
            if text.lower() in {"false", "0"}:
                return False
            raise RefusedError("NotABoolean")
        case FieldType.DOUBLE:
            number = read_double(text, form)
            if not math.isfinite(number):
                raise RefusedError("OutOfRange")
            return number
        case FieldType.DECIMAL:
            return read_decimal(text, form)
        case FieldType.GUID:
            return read_guid(text)
        case FieldType.DATE:
            return read_date(text) if specifier is None else read_declared_date(text, specifier)
        case _:
            return read_time(text) if specifier is None else read_declared_time(text, specifier)


def read_integer(text: str, kind: FieldType, form: MappingFormat) -> int:
    sign, digits = split_sign(text)
    digits = ungrouped(digits, form)
    if not is_digits(digits):
        raise RefusedError("NotAnInteger")
    number = int(sign + digits) if len(digits.lstrip("0")) < 30 else 10**30
    low, high = LIMITS[kind]
    if not low <= number <= high:
        raise RefusedError("OutOfRange")
    return number


def split_number(text: str, form: MappingFormat) -> tuple[str, str, str] | None:
    """Sign, digits before and digits after the decimal mark; None where it is no number."""
    sign, rest = split_sign(text)
    whole, _, fraction = rest.partition(form.decimal_mark)
    whole = ungrouped(whole, form)
    if (whole and not is_digits(whole)) or (fraction and not is_digits(fraction)):
        return None
    if not whole and not fraction:
        return None
    return sign, whole, fraction


def read_double(text: str, form: MappingFormat) -> float:
    mantissa, exponent = text, ""
    for letter in "eE":
        if letter in text:
            mantissa, exponent = text.split(letter, maxsplit=1)
            sign, digits = split_sign(exponent)
            if not is_digits(digits):
                raise RefusedError("NotANumber")
            exponent = f"e{sign}{digits}"
            break
    parts = split_number(mantissa, form)
    if parts is None:
        raise RefusedError("NotANumber")
    sign, whole, fraction = parts
    return float(f"{sign}{whole or '0'}.{fraction or '0'}{exponent}")


def read_decimal(text: str, form: MappingFormat) -> Decimal:
    parts = split_number(text, form)
    if parts is None:
        raise RefusedError("NotADecimal")
    sign, whole, fraction = parts[0], parts[1].lstrip("0"), parts[2].rstrip("0")
    if len(whole) > 20 or len(fraction) > 18:
        raise RefusedError("OutOfRange")
    with localcontext(prec=60):
        return Decimal(f"{sign}{whole or '0'}.{fraction or '0'}")


def read_guid(text: str) -> str:
    bare = text
    if text[:1] + text[-1:] in {"{}", "()"} and len(text) == 38:
        bare = text[1:-1]
    elif len(text) not in {32, 36}:
        raise RefusedError("NotAGuid")
    groups = bare.split("-")
    if len(bare) == 36 and [len(group) for group in groups] != [8, 4, 4, 4, 12]:
        raise RefusedError("NotAGuid")
    digits = "".join(groups)
    if len(digits) != 32 or any(letter not in "0123456789abcdefABCDEF" for letter in digits):
        raise RefusedError("NotAGuid")
    return str(uuid.UUID(digits))


def read_enum(text: str, field: Field) -> int | str:
    low, high = LIMITS.get(field.field_type, (-math.inf, math.inf))
    declared = [valid for valid in field.enum_valid_values if low <= valid.value <= high]
    numbers = {valid.value for valid in declared}
    meanings: dict[str, set[int]] = {}
    for valid in declared:
        for name in valid.localized_value_names.values():
            meanings.setdefault(name.strip(BLANKS), set()).add(valid.value)
    named = {name: found.pop() for name, found in meanings.items() if name and len(found) == 1}
    parts = [part.strip(BLANKS) for part in text.split(",")]
    if field.field_type is FieldType.STRING:
        members = {*named, *map(str, numbers)}
        if text in members or (field.is_flag_enum and all(part in members for part in parts)):
            return text
        raise RefusedError("NotInEnum")
    try:
        number = read_integer(text, field.field_type, MappingFormat())
    except RefusedError:
        number = None
    every = 0
    for single in numbers:
        every |= single
    if number is not None and (number in numbers or (field.is_flag_enum and number & ~every == 0)):
        return number
    if text in named:
        return named[text]
    if field.is_flag_enum and all(part in named for part in parts):
        combined = 0
        for part in parts:
            combined |= named[part]
        return combined
    raise RefusedError("NotInEnum")


def key_text(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value + 0.0)
        case Decimal():
            whole, _, fraction = f"{abs(value):f}".partition(".")
            text = f"{whole}.{fraction.rstrip('0')}".rstrip(".")
            return f"-{text}" if value < 0 else text
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            return str(value)


def split_sign(text: str) -> tuple[str, str]:
    return (text[0], text[1:]) if text[:1] in {"+", "-"} else ("", text)


def ungrouped(digits: str, form: MappingFormat) -> str:
    """Digits without their group marks, or as they are where the marks do not stand right."""
    for mark in form.group_marks:
        first, *others = digits.split(mark)
        if others and is_digits(first) and len(first) <= 3 and all(is_digits(g) and len(g) == 3 for g in others):
            return first + "".join(others)
    return digits


def same(left: Value, right: Value) -> bool:
    """Equality that tells 0.0 from -0.0 and true from 1."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("d", left) == struct.pack("d", right)
    return type(left) is type(right) and left == right
