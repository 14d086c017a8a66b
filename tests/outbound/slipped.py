"""A connector that slipped in beside another one, as two PUTs at the same moment leave it."""

from collections.abc import Mapping
from typing import Any

from shared.definitions.kinds import CONNECTOR
from shared.definitions.store import Change
from shared.domain.connectors import ConnectorState, connector_from_request
from tests.outbound.conftest import HubUnderTest


def slip_in(hub: HubUnderTest, *entities: Mapping[str, Any], name: str = "Second") -> None:
    """Stores a `Ready` connector that exports entities to the partner, whoever else exports them there."""
    hub.outbound(name=name)
    definitions = hub.services.definitions
    old = definitions._store.require(CONNECTOR, hub.name, name)
    properties = {"entityList": [*entities], "outputBlobSASUri": "***"}
    wanted = connector_from_request({"connectorType": "Outbound", "connectorProperties": properties})
    changed = {"connector_properties": wanted.connector_properties, "state": ConnectorState.READY, "state_detail": None}

    def make(change: Change) -> None:
        change.put(CONNECTOR, (name,), old.document.model_copy(update=changed), old.instance_id, old.internal)

    definitions._store.change(hub.name, make)
