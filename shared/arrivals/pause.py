"""Pausing a mapping, and taking up again what came meanwhile.

A pause loses nothing: an event leaves no run, a run that waits stays Queued and its message is dropped, and the
resume asks for a sweep that finds every blob and sends the runs that wait.
"""

from shared.app import Services
from shared.arrivals.sweep import request_backfill
from shared.definitions.store.definition_store import Conditions, Stored
from shared.domain.documents.mappings import Mapping


def pause_mapping(services: Services, hub: str, connector: str, name: str, conditions: Conditions) -> Stored[Mapping]:
    """Pauses a mapping; what is being ingested at this moment comes to its end."""
    return services.definitions.pause_mapping(hub, connector, name, conditions, paused=True)


def resume_mapping(services: Services, hub: str, connector: str, name: str, conditions: Conditions) -> Stored[Mapping]:
    """Resumes a mapping; repeated, it asks for the sweep again, since the first one may not have been sent."""
    stored = services.definitions.pause_mapping(hub, connector, name, conditions, paused=False)
    request_backfill(services, stored, wake=True)
    return stored
