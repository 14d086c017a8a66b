"""Which column of a file fills which field, checked before any row is read. Names are compared exactly."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass

from shared.domain.date_format import to_strptime
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.fields import TIMES, Field
from shared.domain.documents.mappings import ColumnMapping, Mapping
from shared.domain.errors import DataError, OutdatedMappingError
from shared.domain.shown import listed, shown

_TOLD = 20  # of the columns that a file lacks


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column of the file that fills a field.

    Attributes:
        position: number of the column in the file, from 0.
        name: as in the header.
        specifier: the format of its dates or times; None for ISO 8601.
    """

    position: int
    name: str
    field: Field
    specifier: str | None


def match_columns(header: list[str], mapping: Mapping, entity_type: EntityType) -> list[MappedColumn]:
    """The mapped columns, in the order of the file.

    Raises:
        DataError: `MappingOutdated`, the mapping does not fit the type any more; `MissingColumns`, the file lacks
            columns that the mapping names; `DuplicateColumn`, it has one of them twice.
    """
    structure = mapping.mapping_properties.structure
    fields = _fields(structure, entity_type)
    _check_names(header, [column.column_name for column in structure])
    found = [
        MappedColumn(
            header.index(column.column_name), column.column_name, field, column.custom_format_specifier or None
        )
        for column, field in zip(structure, fields, strict=True)
    ]
    return sorted(found, key=lambda column: column.position)


def ignored_columns(header: list[str], mapping: Mapping) -> list[str]:
    """Names of the columns that fill no field; one without a name by its number, such as `column 6`."""
    used = {column.column_name for column in mapping.mapping_properties.structure}
    return [name or f"column {number}" for number, name in enumerate(header, 1) if name not in used]


def columns_digest(header: list[str]) -> str:
    """What tells the columns of one file from those of another, names and order, in hex."""
    return hashlib.sha256(json.dumps(header).encode()).hexdigest()


def _fields(structure: list[ColumnMapping], entity_type: EntityType) -> list[Field]:
    """The fields that the structure fills."""
    problems, fields = [], []
    for column in structure:
        field = entity_type.field(column.property_name)
        if field is None:
            problems.append(f"the type has no field {shown(column.property_name)}")
            continue
        fields.append(field)
        if column.custom_format_specifier:
            problems += _format_problems(column.custom_format_specifier, field)
    filled = {field.field_name for field in fields}
    needed = set(entity_type.key_fields)
    if entity_type.kind is EntityKind.INTERACTION:
        needed |= {field.field_name for field in entity_type.fields if field.is_required}
    problems += [
        f"no column fills the field {field.field_name!r}, which every row needs"
        for field in entity_type.fields
        if field.field_name in needed - filled
    ]
    if problems:
        raise OutdatedMappingError(
            "MappingOutdated",
            f"the mapping does not fit the type {entity_type.type_name!r}: {'; '.join(problems)}; correct the mapping",
        )
    return fields


def _format_problems(specifier: str, field: Field) -> list[str]:
    if field.field_type not in TIMES:
        return [f"the field {field.field_name!r} of type {field.field_type.value} takes no customFormatSpecifier"]
    try:
        to_strptime(specifier)
    except ValueError as error:
        return [f"customFormatSpecifier of {field.field_name!r}: {error}"]
    return []


def _check_names(header: list[str], used: list[str]) -> None:
    standing = Counter(header)
    missing = [name for name in dict.fromkeys(used) if not standing[name]]
    if missing:
        told = "; ".join(f"{shown(name)}{_near_miss(name, header)}" for name in missing[:_TOLD])
        if len(missing) > _TOLD:
            told += f"; and {len(missing) - _TOLD} more"
        hint = "; the file has one column only: format.columnDelimiter may differ" if len(header) == 1 else ""
        raise DataError(
            "MissingColumns",
            f"the file lacks {len(missing)} of the columns that the mapping names: {told}{hint}; "
            "correct the file or the mapping's structure",
        )
    doubled = [name for name in dict.fromkeys(used) if standing[name] > 1]
    if doubled:
        raise DataError(
            "DuplicateColumn",
            f"the file has more than one column {listed(doubled)}, and the mapping names it; "
            "give each column its own name",
        )


def _near_miss(name: str, header: list[str]) -> str:
    """The names of the header that differ in case or blanks only; others may be data of a file without header."""
    near = [other for other in dict.fromkeys(header) if _plain(other) == _plain(name)]
    return f" (the file has {listed(near)})" if near and _plain(name) else ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_\ufeff-]", "", name).casefold()
