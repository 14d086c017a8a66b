"""The kinds of documents that are kept."""

from collections.abc import Callable
from typing import Any

from shared.connectors.kinds import connector_from_json
from shared.definitions.secrets.secrets import masked_connector
from shared.definitions.store.definition_store import Kind
from shared.domain.documents.connectors import Connector, ConnectorProperties
from shared.domain.documents.entity_types import EntityKind, EntityType, InteractionType, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping


def _with_path[T: (ProfileType, InteractionType, Kpi)](model: type[T]) -> Callable[[Any], T]:
    """Reads a stored definition; one of before a name had several paths has the plain one."""

    def read(document: Any) -> T:
        found = model.from_stored(document)
        return found if found.lake_path else found.model_copy(update={"lake_path": found.plain_lake_path})

    return read


def _mapping_alone(document: Any) -> Mapping:
    found = Mapping.from_stored(document)
    properties = found.mapping_properties.model_copy(update={"structure": []})
    return found.model_copy(update={"mapping_properties": properties, "display_name": None, "description": None})


def _connector_alone(document: Any) -> Connector:
    left_out = {"connector_properties": ConnectorProperties(), "display_name": None, "description": None}
    return connector_from_json(document).model_copy(update=left_out)


HUB = Kind[Hub]("hub", Hub.from_stored, "HubNotFound", "hub")
PROFILE = Kind[ProfileType]("profile", _with_path(ProfileType), "ProfileTypeNotFound", "profile type")
INTERACTION = Kind[InteractionType](
    "interaction", _with_path(InteractionType), "InteractionTypeNotFound", "interaction type"
)
KPI = Kind[Kpi]("kpi", _with_path(Kpi), "KpiNotFound", "KPI")
CONNECTOR = Kind[Connector]("connector", masked_connector, "ConnectorNotFound", "connector")
# For whoever writes the document anew, or shows nothing of its properties: an earlier release left in it what is a
# secret by today's rules, and to look for that takes far longer than to read.
CONNECTOR_AS_STORED = Kind[Connector]("connector", connector_from_json, CONNECTOR.missing, CONNECTOR.label)
MAPPING = Kind[Mapping]("mapping", Mapping.from_stored, "MappingNotFound", "mapping")
# For whoever looks at those of all hubs, as every event does: what takes the most memory is not kept for that, which
# are the columns of mappings and the properties of connectors. None of these is to be stored, of course.
MAPPING_ALONE = Kind[Mapping]("mapping", _mapping_alone, MAPPING.missing, MAPPING.label)
CONNECTOR_ALONE = Kind[Connector]("connector", _connector_alone, CONNECTOR.missing, CONNECTOR.label)

# What must be gone before a hub is; mappings go with their connectors.
OF_A_HUB = (PROFILE, INTERACTION, KPI, CONNECTOR)


def kind_of_type(kind: EntityKind) -> Kind[ProfileType] | Kind[InteractionType]:
    """The documents of profile or of interaction types."""
    return PROFILE if kind is EntityKind.PROFILE else INTERACTION


def kind_and_name(document: EntityType | Kpi) -> tuple[Kind[Any], str]:
    """The documents that a type or KPI is one of, and its name."""
    if isinstance(document, Kpi):
        return KPI, document.kpi_name
    return kind_of_type(document.kind), document.type_name
