"""A mapping is created: the blobs that are there already are to be ingested as well."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from shared.app import Services
from shared.arrivals.sweep import request_backfill
from shared.deadline import deadline
from shared.definitions.places.claim_facts import Named, is_listed, named
from shared.definitions.rules.mapping_rules import DESTINATION
from shared.definitions.store.definition_store import Conditions, Stored
from shared.domain.documents.connectors import ConnectorState
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import HubError, MissingError, NotFoundError, TransientError

logger = logging.getLogger(__name__)

_LIST_WITHIN_S = 3.0


def _may_always() -> AbstractContextManager[bool]:
    return nullcontext(True)


def put_mapping(
    services: Services,
    hub: str,
    connector: str,
    name: str,
    mapping: Mapping,
    conditions: Conditions,
    may_list: Callable[[], AbstractContextManager[bool]] = _may_always,
) -> tuple[Stored[Mapping], bool]:
    """Creates or replaces a mapping as `Definitions.put_mapping` does; a new one is swept at once.

    So is one that comes to name another container, which is its hub's, with the events of its blobs, once it was
    listed: here where that can be done within seconds, so that hubs come in the order of their requests, else by the
    sweep.

    Where the account says that there is no container to move files to, the mapping is stored all the same, since it may
    be made later, and `state_detail` says so; it is in no record.

    Args:
        services: of the process.
        hub: of the mapping.
        connector: of the mapping.
        name: of the mapping.
        mapping: as it is to be.
        conditions: for the present one.
        may_list: held for as long as vault and account are asked; where it gives False they are not.
    """
    known = _named(services, hub, connector, name)
    stored, created = services.definitions.put_mapping(hub, connector, name, mapping, conditions)
    missing: str | None = None
    if not is_listed(stored):
        with may_list() as may:
            if may:
                missing = _list(services, stored)
    # Whether it was listed does not tell: a container that may only be written to never is.
    if created or (not stored.document.is_paused and not known.issuperset(named(stored.document))):
        try:
            request_backfill(services, stored)
        except TransientError as error:
            # The mapping is stored, and `reconcile_blobs` sweeps it at its next tick.
            logger.warning("sweep of a new mapping is left to the reconciler: %s", error)
    shown = stored.document.model_copy(update={"state_detail": missing})
    return replace(stored, document=shown), created


def _named(services: Services, hub: str, connector: str, name: str) -> set[Named]:
    """The containers that a mapping names; none where there is no such mapping."""
    try:
        return set(named(services.definitions.mapping(hub, connector, name).document))
    except NotFoundError:
        return set()  # and what else is to be said of it the PUT says


def _list(services: Services, mapping: Stored[Mapping]) -> str | None:
    """Lists the containers of a mapping, as far as there is time; says so where there is none to move files to."""
    hub, name = mapping.document.tenant_id, mapping.document.connector_name
    try:
        with deadline(_LIST_WITHIN_S):
            connector = services.definitions.connector(hub, name)
            if connector.document.state is not ConnectorState.READY:
                return None
            services.source_permits.check(hub, name)
            account = services.definitions.account_of_mapping(connector, mapping).hurried()
            refusal = services.definitions.listings.list_first(connector, mapping, account, nullcontext)
            if isinstance(refusal, MissingError):
                return f"{DESTINATION}: {refusal.message}"
    except HubError as error:
        # Of a container to read that does not exist the mapping's progress tells.
        logger.info("listing is left to the sweep: hub %s connector %s: %s", hub, name, error)
    return None
