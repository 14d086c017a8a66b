"""A connector of a notebook, whose pages are read from time to time."""

from typing import Literal

from shared.domain.documents.connectors import Connector, ConnectorProperties


class NotebookProperties(ConnectorProperties):
    """A notebook in a locked room; nothing in the name of `doorCode` says that it is a secret."""

    room: str
    door_code: str
    page_count: int = 1


class NotebookConnector(Connector):
    """Reads the pages of a notebook."""

    connector_type: Literal["Notebook"]
    connector_properties: NotebookProperties
