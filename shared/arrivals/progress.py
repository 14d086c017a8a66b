"""How far the newest backfill of a mapping has come, so that a script can wait for its end."""

from datetime import datetime

from shared.app import Services
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.document import AnyCaseEnum, Document
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import RunError, RunState
from shared.domain.errors import ConflictError, NotFoundError
from shared.ledger.sweeps import Backfill


class BackfillState(AnyCaseEnum):
    """Where a backfill stands."""

    SEARCHING = "Searching"
    INGESTING = "Ingesting"
    STOPPED = "Stopped"
    DONE = "Done"
    FAILED = "Failed"


class Progress(Document):
    """The newest backfill of a mapping, and what of the mapping is still to be done.

    Attributes:
        state: `Searching` until every blob has been looked at, `Ingesting` while runs are open, then `Done`.
            `Stopped` while the mapping is paused, `Failed` where the container could not be looked through, and was not
            by a later sweep either.
        asked_at: when it was asked for; absent where nobody ever did.
        searched_at: when every blob had been looked at; or when a later sweep began that made up for one that failed.
        found: how many blob versions it queued.
        queued, running: open runs of the mapping, those that events brought among them.
        is_cut: whether there was no time to count all of them; absent otherwise.
        runs: URL of the mapping's runs.
    """

    state: BackfillState
    asked_at: datetime | None = None
    searched_at: datetime | None = None
    found: int = 0
    queued: int = 0
    running: int = 0
    is_cut: bool | None = None
    error: RunError | None = None
    runs: str = ""


def progress(services: Services, hub: str, mapping: Stored[Mapping]) -> Progress:
    """The progress of a mapping; its cost grows with the runs that are open, for seconds."""
    # First the backfill, then the runs: what it found meanwhile is then among them.
    backfill = services.sweeps.backfill(hub, mapping.instance_id)
    counts, is_cut = services.runs.open_counts(hub, mapping.instance_id)
    searching = backfill is not None and backfill.is_open
    searched_at, error = _outcome(services, hub, mapping, backfill)
    if mapping.document.is_paused and (searching or counts):
        state = BackfillState.STOPPED
    elif searching:
        state = BackfillState.SEARCHING
    elif counts:
        state = BackfillState.INGESTING
    else:
        state = BackfillState.FAILED if error else BackfillState.DONE
    return Progress(
        state=state,
        asked_at=backfill.asked if backfill else None,
        searched_at=searched_at,
        found=backfill.found if backfill else 0,
        queued=counts[RunState.QUEUED],
        running=counts[RunState.RUNNING],
        is_cut=is_cut or None,
        error=error,
    )


def _outcome(
    services: Services, hub: str, mapping: Stored[Mapping], backfill: Backfill | None
) -> tuple[datetime | None, RunError | None]:
    """When all was looked at, and why it was not, as that is now."""
    if backfill is None or backfill.error is None:
        return (backfill.ended if backfill else None), None
    last = services.sweeps.get(hub, mapping.instance_id)
    if last is not None and backfill.is_made_up_for(last):
        return last.began, None
    try:
        connector = services.definitions.connector(hub, mapping.document.connector_name)
        services.definitions.check_mapping(connector, mapping)
    except ConflictError as error:
        # A container that was not there then may have gone to another hub since.
        return None, RunError.of(error)
    except NotFoundError:
        pass  # gone a moment ago, and the mapping with it
    return None, backfill.error
