"""What is to be done for a claimed run: ingest its blob by the definitions of now, or nothing any more.

An attempt that was presumed dead may still live. Before a run ends without its rows it is fenced, so that the record
stays true.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.app import Services
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.mappings import CompletionOperationType, Mapping
from shared.domain.documents.run import RunState, run_ledger_key
from shared.domain.errors import ClaimLostError, NotFoundError, PausedError, SkippedError
from shared.ingest.attempt import Attempt
from shared.ingest.beside import readers_beside
from shared.ingest.complete import complete
from shared.ingest.outcome import Outcome
from shared.ingest.run_target import find_mapping
from shared.ingest.source import Source, open_source
from shared.ledger.stored_run import StoredRun

if TYPE_CHECKING:
    from shared.lake.changes.append import Changes


@dataclass(frozen=True, slots=True)
class Work:
    """What an attempt is to ingest.

    Attributes:
        mapping: by which the rows are read.
        entity_type: that they become.
        changes: the table that they go to.
        source: the blob version; to be closed by whoever was given the work.
    """

    mapping: Stored[Mapping]
    entity_type: Stored[EntityType]
    changes: "Changes"
    source: Source


def decide(services: Services, attempt: Attempt) -> Work | Outcome:
    """The work of an attempt, or how its run ends where an earlier attempt has committed the rows.

    Raises:
        SkippedError: mapping or type are gone.
        ClaimLostError: the hub is gone, and the run with it.
        PausedError: the mapping is paused. DeferredError: the source is busy.
        HubError: the source cannot be opened.
    """
    with services.definitions.consistent_read():
        mapping = find_mapping(services, attempt.stored)
        if mapping is not None and mapping.document.is_paused:
            raise PausedError("MappingPaused", "the mapping is paused; the run goes on when it is resumed")
        if mapping is not None:
            attempt.beside = readers_beside(services, mapping, attempt.stored.version)
        else:
            _check_hub(services, attempt.stored)
        entity_type = _entity_type(services, attempt, mapping)
        changes = services.changes(entity_type.document)
        committed = _committed_attempt(attempt.stored, changes.committed_by)
        if committed is not None:
            # A crash came between the commit and the run's record. What has happened since does not change that.
            outcome = attempt.staged(committed)
            if outcome.state is not RunState.SUCCEEDED or outcome.asked is CompletionOperationType.DO_NOTHING:
                return outcome
            owes = outcome.asked.value if outcome.asked else None
            return outcome.but(complete(services, replace(attempt.stored, owes=owes)))
        if mapping is None:
            raise SkippedError("MappingGone", "the mapping was deleted; nothing of the blob was ingested")
        return Work(mapping, entity_type, changes, open_source(services, mapping, attempt.stored.version))


def check_definitions(services: Services, attempt: Attempt, work: Work) -> None:
    """Raises SkippedError where mapping or type were deleted while the blob was read, or made anew."""
    with services.definitions.consistent_read():
        mapping = find_mapping(services, attempt.stored)
        if mapping is None:
            raise SkippedError("MappingGone", "the mapping was deleted while the blob was read; nothing was ingested")
        attempt.beside = readers_beside(services, mapping, attempt.stored.version)
        if _entity_type(services, attempt, mapping).instance_id != work.entity_type.instance_id:
            raise SkippedError("TypeGone", "the type was made anew while the blob was read; nothing was ingested")


def is_as_read(services: Services, attempt: Attempt, work: Work) -> bool:
    """Whether what becomes of the file is decided by the definitions that it was read by.

    Other mappings may have been PUT beside its own meanwhile: they are looked for.
    """
    if work.mapping.document.completion is CompletionOperationType.DO_NOTHING:
        return True
    with services.definitions.consistent_read():
        attempt.beside = readers_beside(services, work.mapping, attempt.stored.version)
        mapping = find_mapping(services, attempt.stored)
        if mapping is None or mapping.etag != work.mapping.etag:
            return False
        try:
            return _entity_type(services, attempt, mapping).instance_id == work.entity_type.instance_id
        except SkippedError:
            return False


def earlier_outcome(services: Services, attempt: Attempt) -> Outcome | None:
    """Fences concurrent attempts at the run; how it ends if one of them has committed the rows, else None."""
    committed = fence(services, attempt.stored) if attempt.has_rivals else None
    return None if committed is None else attempt.staged(committed)


def fence(services: Services, stored: StoredRun) -> int | None:
    """Fences every attempt at a run until now; the one that has committed the rows, or None."""
    run = stored.run
    try:
        kind, name = EntityKind(run.entity_type or ""), run.entity_type_name or ""
        entity_type = services.definitions.entity_type(stored.hub, kind, name).document
    except NotFoundError:
        return None
    number, key = stored.number, stored.ledger_key
    if number is None or key is None:
        return None
    changes = services.changes(entity_type)
    return _committed_attempt(stored, lambda once_id: changes.fence(key, number, stored.claims, once_id))


def _committed_attempt(stored: StoredRun, ask: Callable[[str], int | None]) -> int | None:
    """The attempt that committed what it had noted before; None if none has.

    Args:
        ask: looks an attempt up in the table by the id of the run's transaction.
    """
    if stored.number is None or not stored.notes:
        return None
    if not any(note.ingested for note in stored.notes.values()):
        return max(stored.notes)  # there was nothing to commit
    return ask(run_ledger_key(stored.run.run_id))


def _check_hub(services: Services, stored: StoredRun) -> None:
    """Takes a run back that was recorded behind the deletion of its hub: another hub of the name must not keep it.

    Raises:
        ClaimLostError: there is no such run any more.
    """
    try:
        hub_instance = services.definitions.hub(stored.hub).instance_id
    except NotFoundError:
        hub_instance = None
    if stored.hub_instance not in {None, hub_instance}:
        services.runs.withdraw(stored)
        raise ClaimLostError("HubGone", f"the hub of the run {stored.run.run_id} is gone, and the run with it")


def _entity_type(services: Services, attempt: Attempt, mapping: Stored[Mapping] | None) -> Stored[EntityType]:
    run = attempt.run
    kind, name = EntityKind(run.entity_type or ""), run.entity_type_name or ""
    if mapping is not None and not attempt.stored.notes:
        kind, name = mapping.document.entity_type, mapping.document.entity_type_name
    try:
        return services.definitions.entity_type(attempt.hub, kind, name)
    except NotFoundError as error:
        raise SkippedError("TypeGone", f"{error.message}; nothing of the blob was ingested") from error
