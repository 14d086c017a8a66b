"""Upkeep of the Delta tables of all hubs."""

import logging

from shared.app import Services
from shared.domain.errors import HubError

logger = logging.getLogger(__name__)


def maintain_all(services: Services) -> None:
    """Compacts, checkpoints and vacuums every table; one that fails does not hold up the others."""
    from shared.lake.maintain import maintain

    now = services.clock.now()
    retention_days = services.settings.export_retention_days
    for hub in services.definitions.hub_names():
        for entity_type in services.definitions.entity_types(hub):
            try:
                maintain(services.lake, hub, entity_type.document, now, retention_days)
            except HubError as error:
                name = entity_type.document.type_name
                logger.error("maintenance failed: hub %s type %s: %s", hub, name, error)
