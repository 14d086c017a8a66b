"""The columns of every table of the lake, made from the definitions.

| table | columns |
|---|---|
| changes | `_key`, the fields, `_set`, `_deleted`, `_run`, `_line`, `_ingested_at`, `_order` |
| states | `_key`, the fields, `_deleted`, `System_ProcessingTime`, `refresh`, `kind` (partition) |
| kpis | `_key`, the fields of `groupBy`, `Timestamp`, `Value`, `CalculationTime`, `_deleted`, `refresh` |

Columns of ours begin with `_`, which no field can, or have a name that is reserved (`domain/names.py`).
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.fields import Field, FieldType
from shared.domain.documents.kpis import Kpi

if TYPE_CHECKING:
    import pyarrow as pa

DECIMAL_PRECISION = 38  # the most that Delta has, https://github.com/delta-io/delta/blob/master/PROTOCOL.md
DECIMAL_SCALE = 18

KEY = "_key"
SET = "_set"
DELETED = "_deleted"
RUN = "_run"
LINE = "_line"
INGESTED_AT = "_ingested_at"
ORDER = "_order"
PROCESSING_TIME = "System_ProcessingTime"
REFRESH = "refresh"
KIND = "kind"
TIMESTAMP = "Timestamp"
VALUE = "Value"
CALCULATION_TIME = "CalculationTime"
SYSTEM_COLUMNS = frozenset({KEY, SET, DELETED, RUN, LINE, INGESTED_AT, ORDER, PROCESSING_TIME, REFRESH, KIND})


def arrow_type(field: Field) -> "pa.DataType":
    """The Arrow type of a field's column; an array is a list of it.

    `Edm.Byte` (0 to 255) is int16, since Delta has no unsigned integers. `Edm.Guid` is text in lower case.
    `Edm.Decimal` is decimal128(38, 18): exact, up to 20 digits before and 18 after the point. A value that does not
    fit is a reject of whoever types it, never rounded.
    """
    import pyarrow as pa

    single = _single_types()[field.field_type]
    # The item's name is the one that Parquet and Delta use, so that no reader has to rename it.
    return pa.list_(pa.field("element", single)) if field.is_array else single


@cache
def _single_types() -> Mapping[FieldType, "pa.DataType"]:
    import pyarrow as pa

    return {
        FieldType.BOOLEAN: pa.bool_(),
        FieldType.BYTE: pa.int16(),
        FieldType.INT16: pa.int16(),
        FieldType.INT32: pa.int32(),
        FieldType.INT64: pa.int64(),
        FieldType.DECIMAL: pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
        FieldType.DOUBLE: pa.float64(),
        FieldType.GUID: pa.string(),
        FieldType.DATE: pa.date32(),
        FieldType.DATE_TIME_OFFSET: pa.timestamp("us", "UTC"),
        FieldType.STRING: pa.string(),
    }


def field_columns(fields: list[Field]) -> list["pa.Field"]:
    """One nullable column for each field, in the order of the type."""
    import pyarrow as pa

    return [pa.field(field.field_name, arrow_type(field)) for field in fields]


def changes_schema(entity_type: EntityType) -> "pa.Schema":
    """What a typed row is.

    `_set` names the fields that the row sets, joined with `,`; a field that it does not name keeps its value. `_order`
    says where its blob version stands among all (`domain/blob_version.py`); where it is null, the commit decides.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(KEY, pa.string()),
            *field_columns(entity_type.fields),
            pa.field(SET, pa.string()),
            pa.field(DELETED, pa.bool_()),
            pa.field(RUN, pa.string()),
            pa.field(LINE, pa.int64()),
            pa.field(INGESTED_AT, pa.timestamp("us", "UTC")),
            pa.field(ORDER, pa.int64()),
        ]
    )


def states_schema(entity_type: EntityType) -> "pa.Schema":
    """A merged row; `refresh` is the version of `changes` up to which it was merged. `kind` is in the path alone."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(KEY, pa.string()),
            *field_columns(entity_type.fields),
            pa.field(DELETED, pa.bool_()),
            pa.field(PROCESSING_TIME, pa.timestamp("us", "UTC")),
            pa.field(REFRESH, pa.int64()),
            pa.field(KIND, pa.string()),
        ]
    )


def kpi_schema(kpi: Kpi, entity_type: EntityType) -> "pa.Schema":
    """A value of a KPI; `refresh` counts the calculations, `Timestamp` is the window's start (null for Lifetime)."""
    import pyarrow as pa

    groups = [field for name in kpi.group_by if (field := entity_type.field(name)) is not None]
    return pa.schema(
        [
            pa.field(KEY, pa.string()),
            *field_columns(groups),
            pa.field(TIMESTAMP, pa.timestamp("us", "UTC")),
            pa.field(VALUE, pa.float64()),
            pa.field(CALCULATION_TIME, pa.timestamp("us", "UTC")),
            pa.field(DELETED, pa.bool_()),
            pa.field(REFRESH, pa.int64()),
        ]
    )
