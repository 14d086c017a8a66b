"""The spans of time that values cover, all in UTC: which field decides, and when each begins."""

from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.kpis import CalculationWindow, Kpi
from shared.engine.sql import quoted
from shared.lake.schema import INGESTED_AT, PROCESSING_TIME


def time_column(kpi: Kpi, entity_type: EntityType) -> str:
    """The column that places a row in time: the KPI's own choice, else the type's, else when we learnt of the row."""
    chosen = kpi.calculation_window_field_name or entity_type.timestamp_field_name
    field = entity_type.field(chosen) if chosen else None
    if field is not None:
        return field.field_name
    return PROCESSING_TIME if entity_type.kind is EntityKind.PROFILE else INGESTED_AT


def moment(column: str) -> str:
    """SQL of the column as a time; a date is its midnight, UTC."""
    return f"CAST({quoted(column)} AS TIMESTAMPTZ)"


def window_start(window: CalculationWindow, time: str) -> str:
    """SQL of the start of the window that holds `time`; null for Lifetime. Weeks begin on Monday (ISO 8601)."""
    if window is CalculationWindow.LIFETIME:
        return "CAST(NULL AS TIMESTAMPTZ)"
    return f"date_trunc('{window.value.lower()}', {time})"
