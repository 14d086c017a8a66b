"""A connector of a Dynamics CRM organisation."""

from typing import Literal

from pydantic import Field as Property

from shared.domain.documents.connectors import Connector, ConnectorProperties
from shared.domain.documents.document import Document


class CrmEntity(Document):
    """An entity of the CRM organisation that is to be synchronised."""

    logical_name: str
    display_name: str | None = None
    is_profile: bool = False


class CrmProperties(ConnectorProperties):
    """A Dynamics CRM organisation."""

    organization_id: str
    organization_url: str
    connection_string: str | None = None
    access_token: str | None = None
    entities: list[CrmEntity] = Property(default_factory=list)


class CrmConnector(Connector):
    """Reads a CRM organisation."""

    connector_type: Literal["CRM"]
    connector_properties: CrmProperties
