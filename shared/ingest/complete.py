"""What becomes of a file once its rows are in, where that is found out apart from reading it."""

from shared.app import Services
from shared.domain.documents.mappings import CompletionOperationType
from shared.domain.errors import DeferredError, HubError, Recovery, recovery
from shared.ingest.beside import leave_nothing_to_others, readers_beside, wait_for_others
from shared.ingest.outcome import Uncompleted
from shared.ingest.run_target import find_mapping, why_it_stays
from shared.ingest.source import open_source
from shared.ledger.stored_run import StoredRun


def complete(services: Services, stored: StoredRun) -> Uncompleted | None:
    """Carries out the `completeOperation` of a run's mapping, the rows being in; why it was not done, or None.

    What the run owes its file from earlier on is done only if it still is what the mapping asks for.

    Raises:
        TransientError, FatalError: it may work the next time. DeferredError: the source is busy.
    """
    with services.definitions.consistent_read():
        mapping = find_mapping(services, stored)
        asked = mapping.document.completion if mapping else CompletionOperationType.DO_NOTHING
        if stored.owes is not None and stored.owes != asked.value:
            other = "the mapping does not ask any more for what it asked for then, so the file stays where it is"
            return Uncompleted(other, CompletionOperationType(stored.owes), is_of_all=True)
        if mapping is None or asked is CompletionOperationType.DO_NOTHING:
            return None
        reason = why_it_stays(services, stored, mapping)
        if reason is not None:
            return reason
        beside = readers_beside(services, mapping, stored.version)
        waiting = wait_for_others(services, mapping, stored.version, beside)
        if waiting is not None:
            return waiting
        try:
            source = open_source(services, mapping, stored.version)
        except HubError as error:
            if recovery(error) is Recovery.RETRY or isinstance(error, DeferredError):
                raise
            return Uncompleted(error.message, asked, is_of_all=True)
    with source:
        failure = source.complete(mapping.document)
    if failure is None:
        leave_nothing_to_others(services, stored.version, beside)
    return failure
