"""What a run needs of the definitions as they are now."""

from shared.app import Services
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.mappings import CompletionOperationType, Mapping
from shared.domain.errors import ConflictError, NotFoundError, TypeGoneError
from shared.domain.names import same_name
from shared.ingest.outcome import Uncompleted
from shared.ledger.stored_run import StoredRun


def find_mapping(services: Services, stored: StoredRun) -> Stored[Mapping] | None:
    """The run's mapping as it is now; None where it was deleted, also if another was made of the same name."""
    run = stored.run
    try:
        mapping = services.definitions.mapping(stored.hub, run.connector or "", run.mapping or "")
    except NotFoundError:
        return None
    return mapping if mapping.instance_id == stored.mapping_instance else None


def not_completed(
    services: Services, stored: StoredRun, message: str, asked: CompletionOperationType | None = None
) -> Uncompleted:
    """That the file of a run whose rows are in stays as it is, as far as anything else is asked for.

    Args:
        services: of the process.
        stored: the run.
        message: why it stays.
        asked: what is noted to have been asked for; without it what the mapping asks for now.
    """
    if asked is None:
        mapping = find_mapping(services, stored)
        asked = mapping.document.completion if mapping else CompletionOperationType.DO_NOTHING
    return Uncompleted(message, asked)


def why_it_stays(services: Services, stored: StoredRun, mapping: Stored[Mapping]) -> Uncompleted | None:
    """Why the file of a run whose rows are in must not be moved or deleted, by the run's mapping; None if it may.

    Its rows are nowhere else once the type that took them is gone. While the mapping fills another type, or reads other
    files, it may come to ask for it again.
    """
    version, asked = stored.version, mapping.document.completion
    if not mapping.document.matches(version.container, version.path):
        return Uncompleted("the mapping does not read the file any more, so it stays where it is", asked)
    try:
        type_of(services, stored)
        mapping_to_read_with(services, stored)
    except TypeGoneError:
        gone = "the type that took its rows was deleted, so the file stays where it is"
        return Uncompleted(gone, CompletionOperationType.DO_NOTHING)
    except ConflictError as error:
        return Uncompleted(f"{error.message}, so the file stays where it is", asked, is_of_all=True)
    return None


def mapping_to_read_with(services: Services, stored: StoredRun) -> Stored[Mapping]:
    """The run's mapping as it is now.

    Raises:
        ConflictError: it is gone, or fills another type.
    """
    found = find_mapping(services, stored)
    if found is None:
        raise ConflictError("MappingGone", "the run's mapping was deleted; nobody knows how to read the rows")
    mapping, run = found.document, stored.run
    is_same = mapping.entity_type == run.entity_type and same_name(mapping.entity_type_name, run.entity_type_name or "")
    if not is_same:
        message = f"the run's mapping now fills {mapping.entity_type_name!r}, not {run.entity_type_name!r}"
        raise ConflictError("MappingChanged", message)
    return found


def type_of(services: Services, stored: StoredRun) -> Stored[EntityType]:
    """The type that the run filled; ConflictError where it is gone, also if another was made of the same name."""
    run = stored.run
    try:
        kind = EntityKind(run.entity_type or "")
        found = services.definitions.entity_type(stored.hub, kind, run.entity_type_name or "")
    except NotFoundError as error:
        raise TypeGoneError("TypeGone", f"{error.message}; there is nothing to correct any more") from error
    if not _is_of(stored, found.document):
        message = f"the type {found.document.type_name!r} was made anew after the run, without the rows of the run"
        raise TypeGoneError("TypeGone", f"{message}; there is nothing to correct any more")
    return found


def _is_of(stored: StoredRun, entity_type: EntityType) -> bool:
    if stored.lake_path is not None:
        return stored.lake_path == entity_type.lake_path
    # Earlier releases did not note it: the type was there when the run began.
    created, began = entity_type.created, stored.run.started_at
    return created is None or began is None or began >= created
