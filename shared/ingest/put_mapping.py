"""A mapping is created: the blobs that are there already are to be ingested as well."""

import logging
from contextlib import nullcontext

from shared.app import Services
from shared.deadline import deadline
from shared.definitions.claim_facts import is_listed
from shared.definitions.store import Conditions, Stored
from shared.domain.connectors import ConnectorState
from shared.domain.errors import HubError, TransientError
from shared.domain.mappings import Mapping
from shared.ingest.sweep import request_backfill

logger = logging.getLogger(__name__)

_LIST_WITHIN_S = 3.0


def put_mapping(
    services: Services, hub: str, connector: str, name: str, mapping: Mapping, conditions: Conditions
) -> tuple[Stored[Mapping], bool]:
    """Creates or replaces a mapping as `Definitions.put_mapping` does; a new one is swept at once.

    So is one that names another container, which is its hub's, with the events of its blobs, once it was listed: here
    where that can be done within seconds, so that hubs come in the order of their requests, else by the sweep.
    """
    stored, created = services.definitions.put_mapping(hub, connector, name, mapping, conditions)
    if is_to_be_listed := not is_listed(stored):
        _list(services, stored)
    if created or (is_to_be_listed and not stored.document.is_paused):
        try:
            request_backfill(services, stored)
        except TransientError as error:
            # The mapping is stored, and `reconcile_blobs` sweeps it at its next tick.
            logger.warning("sweep of a new mapping is left to the reconciler: %s", error)
    return stored, created


def _list(services: Services, mapping: Stored[Mapping]) -> None:
    hub, name = mapping.document.tenant_id, mapping.document.connector_name
    try:
        with deadline(_LIST_WITHIN_S):
            connector = services.definitions.connector(hub, name)
            if connector.document.state is not ConnectorState.READY:
                return
            services.source_turns.check(hub, name)
            account = services.definitions.account_of_mapping(connector, mapping).hurried()
            services.definitions.list_first(connector, mapping, account, nullcontext)
    except HubError as error:
        logger.info("listing is left to the sweep: hub %s connector %s: %s", hub, name, error)
