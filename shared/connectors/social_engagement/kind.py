"""What a SocialEngagement connector is."""

from shared.connectors.kind import ConnectorKind, Direction
from shared.connectors.social_engagement.document import SocialEngagementConnector

SOCIAL_ENGAGEMENT = ConnectorKind(
    SocialEngagementConnector,
    direction=Direction.EVENTS,
    example={"mseEndPointUrl": "https://listening.contoso.com", "searchTopics": [{"id": "7", "name": "Service"}]},
    secrets=frozenset({"accessToken"}),
)
