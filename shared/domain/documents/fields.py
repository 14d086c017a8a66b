"""Fields of entity types: the Edm types, and which rules hold for each."""

from typing import Annotated, ClassVar, Self

from pydantic import Field as Property
from pydantic import StringConstraints, model_validator

from shared.domain.documents.document import AnyCaseEnum, Document
from shared.domain.names import NAME_PATTERN, RESERVED_FIELDS

FieldName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class FieldType(AnyCaseEnum):
    """The Edm types of the 2017 Customer Insights API."""

    BOOLEAN = "Edm.Boolean"
    BYTE = "Edm.Byte"
    INT16 = "Edm.Int16"
    INT32 = "Edm.Int32"
    INT64 = "Edm.Int64"
    DECIMAL = "Edm.Decimal"
    DOUBLE = "Edm.Double"
    GUID = "Edm.Guid"
    DATE = "Edm.Date"
    DATE_TIME_OFFSET = "Edm.DateTimeOffset"
    STRING = "Edm.String"


INTEGERS = frozenset({FieldType.BYTE, FieldType.INT16, FieldType.INT32, FieldType.INT64})
NUMBERS = INTEGERS | {FieldType.DECIMAL, FieldType.DOUBLE}
TIMES = frozenset({FieldType.DATE, FieldType.DATE_TIME_OFFSET})


class EnumValue(Document):
    """One value of an enum field, with its names by locale."""

    value: int
    localized_value_names: dict[str, str] = Property(default_factory=dict)


class Field(Document):
    """A field of a profile or interaction type (2017 PropertyDefinition)."""

    read_only: ClassVar[frozenset[str]] = frozenset({"dataSourcePrecedenceRules"})

    field_name: FieldName
    field_type: FieldType
    array_value_separator: Annotated[str, StringConstraints(min_length=1, max_length=1)] | None = None
    enum_valid_values: list[EnumValue] = Property(default_factory=list)
    is_array: bool = False
    is_enum: bool = False
    is_flag_enum: bool = False
    is_image: bool = False
    is_localized_string: bool = False
    is_name: bool = False
    is_required: bool = False
    is_available_in_graph: bool = False
    property_id: str | None = None
    schema_item_prop_link: str | None = None
    max_length: Annotated[int, Property(ge=1)] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.field_name.casefold() in RESERVED_FIELDS:
            raise ValueError(f"the field name {self.field_name!r} is reserved; choose another")
        if self.max_length is not None and self.field_type is not FieldType.STRING:
            raise ValueError("maxLength is for Edm.String only; remove it")
        if self.is_enum and not self.enum_valid_values:
            raise ValueError("an enum field needs enumValidValues")
        if self.is_enum and self.field_type not in INTEGERS | {FieldType.STRING}:
            raise ValueError("an enum field is an integer type or Edm.String")
        return self


def field_named(fields: list[Field], name: str) -> Field | None:
    """The field of that name in any case, or None."""
    return next((field for field in fields if field.field_name.casefold() == name.casefold()), None)


def doubled_names(names: list[str]) -> list[str]:
    """The names that stand there more than once, in any case."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name.casefold()] = seen.get(name.casefold(), 0) + 1
    return sorted({name for name in names if seen[name.casefold()] > 1})
