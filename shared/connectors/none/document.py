"""A connector without a system behind it."""

from typing import Literal

from shared.domain.documents.connectors import Connector, ConnectorProperties


class NoneConnector(Connector):
    """A connector without a system behind it."""

    connector_type: Literal["None"]
    connector_properties: ConnectorProperties
