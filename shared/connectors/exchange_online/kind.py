"""What an ExchangeOnline connector is."""

from shared.connectors.exchange_online.document import ExchangeOnlineConnector
from shared.connectors.kind import ConnectorKind, Direction

EXCHANGE_ONLINE = ConnectorKind(
    ExchangeOnlineConnector,
    direction=Direction.POLLING,
    example={"customerProfileTypes": [{"profileName": "Customer", "emailFieldNames": ["Email"]}]},
    secrets=frozenset({"accessToken"}),
)
