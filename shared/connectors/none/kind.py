"""What a connector without a system is."""

from shared.connectors.kind import ConnectorKind
from shared.connectors.none.document import NoneConnector

NONE = ConnectorKind(NoneConnector, direction=None, example={})
