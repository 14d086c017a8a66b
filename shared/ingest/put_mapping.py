"""A mapping is created: the blobs that are there already are to be ingested as well."""

import logging

from shared.app import Services
from shared.definitions.store import Conditions, Stored
from shared.domain.errors import TransientError
from shared.domain.mappings import Mapping
from shared.ingest.sweep import request_backfill

logger = logging.getLogger(__name__)


def put_mapping(
    services: Services, hub: str, connector: str, name: str, mapping: Mapping, conditions: Conditions
) -> tuple[Stored[Mapping], bool]:
    """Creates or replaces a mapping as `Definitions.put_mapping` does; a new one is swept at once."""
    stored, created = services.definitions.put_mapping(hub, connector, name, mapping, conditions)
    if created:
        try:
            request_backfill(services, stored)
        except TransientError as error:
            # The mapping is stored, and `reconcile_blobs` sweeps it at its next tick.
            logger.warning("sweep of a new mapping is left to the reconciler: %s", error)
    return stored, created
