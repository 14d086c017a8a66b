"""A connector of Microsoft Social Engagement."""

from typing import Literal

from pydantic import Field as Property

from shared.domain.documents.connectors import Connector, ConnectorProperties
from shared.domain.documents.document import Document


class SearchTopic(Document):
    """A topic whose posts are wanted."""

    id: str
    name: str | None = None


class SocialEngagementProperties(ConnectorProperties):
    """Microsoft Social Engagement."""

    mse_end_point_url: str
    type_suffix: str | None = None
    access_token: str | None = None
    search_topics: list[SearchTopic] = Property(default_factory=list)


class SocialEngagementConnector(Connector):
    """Reads Social Engagement."""

    connector_type: Literal["SocialEngagement"]
    connector_properties: SocialEngagementProperties
