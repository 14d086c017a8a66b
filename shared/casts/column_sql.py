"""The SQL of one mapped column: its value, and when and why a row is refused because of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.casts import array_cast, cast_sql, enum_cast, time_cast
from shared.casts.cast_sql import BLANKS, Cast, Refusal, Sql, matches, trimmed
from shared.casts.match_columns import MappedColumn
from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.fields import INTEGERS, Field, FieldType
from shared.lake.schema import DECIMAL_PRECISION, DECIMAL_SCALE

_DEFAULT_SEPARATOR = ";"
_WHITE = r"[\pZ\t\n\v\f\r\x{85}]*"  # Unicode's White_Space


@dataclass(frozen=True, slots=True)
class ColumnSql:
    """The SQL of a column.

    Attributes:
        cell: the cell's text in the file.
        read: what is made of the cell; None where the text itself is the value.
        value: SQL over `read` of what is kept; the name of the cell where the text itself is.
        as_text: the value's form in a key.
        checks: conditions that refuse the row, with SQL of the refusal's number; the first that holds counts.
    """

    cell: Sql
    read: Sql | None
    value: Sql
    as_text: Sql
    checks: list[tuple[Sql, Sql]] = field(default_factory=list)


def column_sql(
    column: MappedColumn,
    form: MappingFormat,
    alias: str,
    number_of: Callable[[Refusal], int],
    *,
    is_key: bool,
    is_needed: bool,
) -> ColumnSql:
    """The SQL of a column.

    Args:
        alias: name under which `read` is selected.
        number_of: registers a refusal of this column.
        is_key: an empty value refuses the row with EmptyKey, also where it is blanks only.
        is_needed: an empty value refuses the row with MissingValue.
    """
    cell = f"c{column.position}"
    is_text = reads_text(column.field)
    cast = cast_of(column, form)
    if column.field.is_array:
        found = _array(cell, alias, cast, separator_of(column.field, form), number_of, is_text=is_text)
    elif is_text:
        found = ColumnSql(cell, None, cell, cell)
        if cast.refusals:
            too_long = f"length({cell}) > {column.field.max_length}"
            found.checks.append((too_long, cast.reason(cell, number_of)))
    else:
        found = ColumnSql(cell, cast.value_in_blanks(cell), alias, cast.as_text(alias))
        found.checks.append((f"{alias} IS NULL AND NOT {_is_empty(cell)}", cast.reason(trimmed(cell), number_of)))
    if is_key:
        refusal = Refusal("EmptyKey", "expected a value: the column is the key, or a part of it")
        found.checks.append((f"({cell} IS NULL OR {matches(cell, _WHITE)})", str(number_of(refusal))))
    elif is_needed:
        refusal = Refusal("MissingValue", "expected a value: the field is required")
        found.checks.append((f"{found.value} IS NULL", str(number_of(refusal))))
    return found


def cast_of(column: MappedColumn, form: MappingFormat) -> Cast:
    """How a cell of the column, or an item of its array, is read."""
    kind = column.field
    if kind.field_type in INTEGERS:
        # The declared numbers of an enum are no amounts: no group marks in them.
        number = cast_sql.integer(kind.field_type, MappingFormat() if enum_cast.is_enum(kind) else form)
        return enum_cast.enum_number(kind, number) if enum_cast.is_enum(kind) else number
    casts: dict[FieldType, Callable[[], Cast]] = {
        FieldType.BOOLEAN: cast_sql.boolean,
        FieldType.GUID: cast_sql.guid,
        FieldType.DOUBLE: lambda: cast_sql.double(form),
        FieldType.DECIMAL: lambda: cast_sql.decimal(form, DECIMAL_PRECISION, DECIMAL_SCALE),
        FieldType.DATE: lambda: time_cast.date(column.specifier),
        FieldType.DATE_TIME_OFFSET: lambda: time_cast.time(column.specifier),
        FieldType.STRING: lambda: (
            enum_cast.enum_text(kind) if enum_cast.is_enum(kind) else cast_sql.string(kind.max_length)
        ),
    }
    return casts[kind.field_type]()


def reads_text(kind: Field) -> bool:
    """Whether cells are kept as they stand, blanks round them included."""
    return kind.field_type is FieldType.STRING and not enum_cast.is_enum(kind)


def separator_of(kind: Field, form: MappingFormat) -> str:
    """What stands between the items of an array.

    The mapping decides; where it says no more than the default `;`, which a stored mapping always has, the field does.
    """
    if form.array_separator != _DEFAULT_SEPARATOR:
        return form.array_separator
    return kind.array_value_separator or _DEFAULT_SEPARATOR


def _array(
    cell: Sql, alias: str, item: Cast, separator: str, number_of: Callable[[Refusal], int], *, is_text: bool
) -> ColumnSql:
    if is_text and not item.refusals:
        return ColumnSql(cell, array_cast.split(cell, separator), alias, cell)
    read = array_cast.values(cell, separator, item, is_text=is_text)
    # Of a cell of blanks only, which is empty, the one item is NULL as well.
    value = f"CASE WHEN list_count({alias}) = len({alias}) THEN {alias} END"
    found = ColumnSql(cell, read, value, cell)
    if not is_text:
        item = Cast(item.cases, (array_cast.EMPTY_ITEM, *item.refusals))
    why = array_cast.first_reason(cell, separator, item, number_of, is_text=is_text)
    refused = f"list_count({alias}) < len({alias})" + ("" if is_text else f" AND NOT {_is_empty(cell)}")
    found.checks.append((refused, why))
    return found


def _is_empty(cell: Sql) -> Sql:
    """Whether the cell holds nothing but blanks."""
    return f"({cell} IS NULL OR {matches(cell, f'[{BLANKS}]*')})"
