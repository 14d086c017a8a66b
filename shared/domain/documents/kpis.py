"""KPI definitions: a function over a field of a type's instances, by window and group (2017 API)."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field as Property
from pydantic import model_validator

from shared.domain.documents.document import AnyCaseEnum, Document, InconsistentError
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.fields import NUMBERS, TIMES
from shared.domain.names import DefinitionName
from shared.domain.own_names import LAKE_KPIS, plain_lake_path
from shared.domain.shown import shown


class KpiFunction(AnyCaseEnum):
    """How the values of a group become one."""

    SUM = "Sum"
    AVG = "Avg"
    MIN = "Min"
    MAX = "Max"
    LAST = "Last"
    COUNT = "Count"
    COUNT_DISTINCT = "CountDistinct"


_COUNTS = frozenset({KpiFunction.COUNT, KpiFunction.COUNT_DISTINCT})


class CalculationWindow(AnyCaseEnum):
    """The span of time that one value covers."""

    LIFETIME = "Lifetime"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


class Thresholds(Document):
    """Limits within which a KPI's value is wanted."""

    lower_limit: float
    upper_limit: float
    increasing_kpi: bool


class Kpi(Document):
    """A KPI over one profile or interaction type.

    Attributes:
        lake_path: of its table in the container `lake`; no other KPI ever had or will have it.
    """

    read_only: ClassVar[frozenset[str]] = frozenset(
        {
            "kpiName",
            "tenantId",
            "provisioningState",
            "groupByMetadata",
            "participantProfilesMetadata",
            "created",
            "lastModified",
            "lakePath",
        }
    )

    kpi_name: str = ""
    entity_type: EntityKind
    entity_type_name: DefinitionName
    calculation_window: CalculationWindow
    calculation_window_field_name: str | None = None
    function: KpiFunction
    expression: str
    filter: str | None = None
    group_by: Annotated[list[str], Property(max_length=14)] = Property(default_factory=list)
    unit: str | None = None
    thres_holds: Thresholds | None = None
    display_name: dict[str, str] | str | None = None
    description: dict[str, str] | str | None = None
    aliases: list[dict[str, Any]] = Property(default_factory=list)
    extracts: list[dict[str, Any]] = Property(default_factory=list)
    tenant_id: str = ""
    lake_path: str = ""
    created: datetime | None = None
    last_modified: datetime | None = None

    @model_validator(mode="after")
    def _is_supported(self) -> Self:
        problems = []
        expression = self.expression.strip()
        if not re.fullmatch(r"\*|[a-zA-Z][a-zA-Z0-9_]*", expression):
            problems.append(("expression", "must be a field name, or * with Count; this release has no arithmetic"))
        elif expression == "*" and self.function is not KpiFunction.COUNT:
            problems.append(("expression", f"{self.function.value} needs a field name; * is for Count only"))
        problems += [
            (name, "not supported in this release; leave it empty")
            for name, value in (("filter", self.filter), ("aliases", self.aliases), ("extracts", self.extracts))
            if value
        ]
        if problems:
            raise InconsistentError(problems)
        return self

    @property
    def plain_lake_path(self) -> str:
        """`lake_path` of the first KPI of its name."""
        return plain_lake_path(self.tenant_id, LAKE_KPIS, self.kpi_name)

    def problems_with(self, entity_type: EntityType) -> list[tuple[str, str]]:
        """What does not fit the type that this KPI reads: (property, message) pairs."""
        found = []
        expression = self.expression.strip()
        if expression != "*":
            field = entity_type.field(expression)
            if field is None:
                found.append(("expression", f"the type {entity_type.type_name!r} has no field {shown(expression)}"))
            elif field.is_array and self.function is not KpiFunction.COUNT:
                found.append(("expression", f"the field {shown(expression)} is an array; only Count takes one"))
            elif self.function not in _COUNTS and field.field_type not in NUMBERS:
                message = f"{self.function.value} needs a number; {shown(expression)} is {field.field_type.value}"
                found.append(("expression", message))
        for index, name in enumerate(self.group_by):
            field = entity_type.field(name)
            if field is None or field.is_array:
                found.append(
                    (
                        f"groupBy[{index}]",
                        f"{shown(name)} must be a field of {entity_type.type_name!r} that is no array",
                    )
                )
        window_field = self.calculation_window_field_name
        if window_field is not None:
            field = entity_type.field(window_field)
            if field is None or field.field_type not in TIMES or field.is_array:
                found.append(
                    (
                        "calculationWindowFieldName",
                        f"{shown(window_field)} must be a date or time field of the type",
                    )
                )
        return found
