"""A file that several mappings of a hub read is moved or deleted once the last of them has ingested it.

Whoever asks for that finds the others by the definitions, and their runs by the ids that follow from these. A run that
ends before another one does owes its file the operation, and the last one to end asks for it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from shared.app import Services
from shared.arrivals.match import request_completion
from shared.definitions.store.definition_store import Kept, Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.mappings import CompletionOperationType, Mapping
from shared.domain.documents.run import RunState, ingest_run_id
from shared.domain.errors import PreconditionError
from shared.domain.shown import shown
from shared.ingest.outcome import COMPLETE_OPERATION, Uncompleted
from shared.ledger.stored_run import StoredRun


def readers_beside(services: Services, mapping: Stored[Mapping], version: BlobVersion) -> list[Kept[Mapping]]:
    """The other mappings of the hub that may read a blob, paused or not; as of now or of the consistent read."""
    with services.definitions.consistent_read():
        beside = services.definitions.readers_beside(mapping)
    return [
        other
        for other in beside
        if other.stored is None or other.stored.document.matches(version.container, version.path)
    ]


def wait_for_others(
    services: Services, mapping: Stored[Mapping], version: BlobVersion, beside: Sequence[Kept[Mapping]]
) -> Uncompleted | None:
    """That the file is to stay until another mapping has ingested it; None where it need not, or stays anyway."""
    asked = mapping.document.completion
    if asked is CompletionOperationType.DO_NOTHING:
        return None
    if (unreadable := next((other for other in beside if other.stored is None), None)) is not None:
        name = shown(f"{unreadable.parent}/{unreadable.name}")
        message = f"the file waits for the mapping {name}, which this release cannot read and which may read it too"
        return Uncompleted(message, asked, is_of_all=True, waits=True)
    for other in _in_order(beside):
        if not _has_ended(_run_of(services, other, version)):
            name = shown(other.document.connector_mapping_name)
            message = f"the file waits for the mapping {name}, which reads it too and has not ingested it"
            return Uncompleted(message, asked, waits=True)
    return None


def ask_those_who_wait(
    services: Services, ended: StoredRun, beside: Sequence[Kept[Mapping]], *, waits: bool = False
) -> None:
    """Asks for what the others owe the file of a run that was recorded as ended, and the run itself, if it `waits`.

    It asks only where all of them have ended, for each would wait for the one that has not. Each looks when its own end
    is recorded. So of two that end at once the later one sees the other.
    """
    if any(other.stored is None for other in beside):
        return  # which is waited for
    others = _in_order(beside)
    owners = [other for other in others if _may_be_asked(other)]
    owing = [ended] if waits else []
    for other in owners:
        run = _run_of(services, other, ended.version)
        if run is None or not _has_ended(run):
            return
        if run.run.state.is_final and run.standing.owes_what(other.document):
            owing.append(run)
    rest = (other for other in others if not _may_be_asked(other))
    if owing and all(_has_ended(_run_of(services, other, ended.version)) for other in rest):
        # The first that can does it for all; one may lack a right that another has.
        for run in owing:
            request_completion(services, run.hub, run.run.connector or "", run.run.run_id)


def leave_nothing_to_others(services: Services, version: BlobVersion, beside: Sequence[Kept[Mapping]]) -> None:
    """Notes in the runs of the others that they owe a file nothing more, which was moved or deleted.

    So what was asked of each of them costs no look at the runs of all.
    """
    for other in _in_order(beside):
        run = _run_of(services, other, version) if _may_be_asked(other) else None
        if run is not None and run.owes is not None:
            note_completion(services, run, None)


def note_completion(services: Services, stored: StoredRun, failure: Uncompleted | None) -> None:
    """Notes in a run that has ended why its file stays where it is, and what it owes it; nothing where that is done."""
    details = {name: fact for name, fact in stored.run.details.items() if name != COMPLETE_OPERATION}
    if failure is not None:
        details[COMPLETE_OPERATION] = failure.message
    noted = replace(stored.with_run(details=details), owes=failure.owes if failure else None)
    if noted != stored:
        with suppress(PreconditionError):  # another message has done the same
            services.runs.save(noted)


def _in_order(beside: Sequence[Kept[Mapping]]) -> list[Stored[Mapping]]:
    """Those first whose runs are the most likely not to have ended, so that of many only few are looked at.

    These are the paused ones, and then, as runs are queued in the order of the list, the last ones.
    """
    readable = [other.stored for other in reversed(beside) if other.stored is not None]
    return sorted(readable, key=lambda other: not other.document.is_paused)


def _may_be_asked(mapping: Stored[Mapping]) -> bool:
    document = mapping.document
    return document.completion is not CompletionOperationType.DO_NOTHING and not document.is_paused


def _run_of(services: Services, mapping: Stored[Mapping], version: BlobVersion) -> StoredRun | None:
    document = mapping.document
    hub, connector, name = document.tenant_id, document.connector_name, document.connector_mapping_name
    return services.runs.get(hub, ingest_run_id(hub, connector, name, mapping.instance_id, version))


def _has_ended(stored: StoredRun | None) -> bool:
    """Whether a run needs its file no more; a correction has rows of its own."""
    if stored is None or stored.run.state is RunState.FAILED:
        return False  # nobody has the rows of a run that failed, and a mended mapping may still read them
    return stored.run.state.is_final or stored.correction is not None
