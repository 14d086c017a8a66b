"""What a CRM connector is."""

from shared.connectors.crm.document import CrmConnector
from shared.connectors.kind import ConnectorKind, Direction

CRM = ConnectorKind(
    CrmConnector,
    direction=Direction.POLLING,
    example={"organizationId": "contoso", "organizationUrl": "https://contoso.crm.dynamics.com"},
    secrets=frozenset({"connectionString", "accessToken"}),
)
