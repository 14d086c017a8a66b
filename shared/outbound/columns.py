"""Which columns a `data.csv` has, and in which order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.fields import Field, FieldType, field_named
from shared.domain.documents.kpis import Kpi
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.names import same_name
from shared.domain.shown import shown


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a `data.csv`; `name` is also the column of the lake's table that it is read from."""

    name: str
    field_type: FieldType
    is_array: bool = False

    def to_json(self) -> dict[str, Any]:
        """The column as `metadata.json` describes it."""
        return {"name": self.name, "type": self.field_type.value, "isArray": self.is_array}


PROCESSING_TIME = Column("System_ProcessingTime", FieldType.DATE_TIME_OFFSET)
KPI_COLUMNS = (
    Column("Timestamp", FieldType.DATE_TIME_OFFSET),
    Column("Value", FieldType.DOUBLE),
    Column("CalculationTime", FieldType.DATE_TIME_OFFSET),
)


def profile_columns(profile_type: EntityType, field_names: Iterable[str]) -> list[Column]:
    """The chosen fields in the order of `field_names` (all fields where it is empty), then the time of the change.

    Raises:
        InvalidRequestError: the type has no longer a field of that name.
    """
    return [*_chosen(profile_type.fields, field_names, (PROCESSING_TIME,)), PROCESSING_TIME]


def kpi_columns(kpi: Kpi, entity_type: EntityType, field_names: Iterable[str]) -> list[Column]:
    """The chosen fields of `groupBy` (all of them where none is chosen), then window, value and time of calculation.

    Raises:
        InvalidRequestError: a name is no field of `groupBy`, or `groupBy` no longer fits the type.
    """
    groups = [_existing(entity_type.fields, name) for name in kpi.group_by]
    return [*_chosen(groups, field_names, KPI_COLUMNS), *KPI_COLUMNS]


def _chosen(fields: list[Field], names: Iterable[str], always: tuple[Column, ...]) -> list[Column]:
    wanted = list(dict.fromkeys(name.casefold() for name in names))
    chosen = [_existing(fields, name) for name in wanted if not any(same_name(name, own.name) for own in always)]
    return [Column(field.field_name, field.field_type, field.is_array) for field in (chosen if wanted else fields)]


def _existing(fields: list[Field], name: str) -> Field:
    field = field_named(fields, name)
    if field is None:
        message = f"the field {shown(name)} does not exist any more; correct fieldNames of the connector"
        raise InvalidRequestError([Fault("FieldNotFound", "fieldNames", message)])
    return field
