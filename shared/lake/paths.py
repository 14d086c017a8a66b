"""Where the tables of types and KPIs lie in the container `lake`."""

from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.kpis import Kpi


def changes_path(entity_type: EntityType) -> str:
    """Where the typed rows of a type lie."""
    return f"{entity_type.lake_path}/changes"


def states_path(profile_type: EntityType) -> str:
    """Where the merged rows of a profile type lie."""
    return f"{profile_type.lake_path}/states"


def hub_of(stored: EntityType | Kpi) -> str:
    """The hub whose table it is, as the path spells it."""
    return stored.lake_path.partition("/")[0]


def kpi_path(kpi: Kpi) -> str:
    """Where the values of a KPI lie."""
    return kpi.lake_path
