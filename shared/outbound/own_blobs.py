"""Which blobs of a destination are ours: its owner may copy, move and replace them, and metadata go along."""

from shared.app import Services
from shared.domain.documents.run import Run, RunKind, RunState, is_run_id
from shared.domain.names import same_name
from shared.domain.schema_mark import Writer
from shared.domain.slot import data_path
from shared.ledger.stored_run import StoredRun
from shared.storage.blob.blobs import BlobEntry


def run_of_blob(services: Services, hub: str, blob: BlobEntry) -> StoredRun | None:
    """The Export run that a `data.csv` names, if it lies on that run's own path; None for everybody else's.

    Anybody could have given a blob its path and its metadata: the record of the run decides.
    """
    run_id = blob.metadata.get("runid", "")
    stored = services.runs.get(hub, run_id) if is_run_id(run_id) else None
    return stored if stored is not None and _path_of(stored.run) == blob.path else None


def has_written(writer: Writer, stored: StoredRun, blob: BlobEntry, place: str) -> bool:
    """Whether a blob is what a run wrote to a container for a connector, as far as listing tells.

    Of what a connector wrote that was deleted since, one that is made anew takes over all, and any other one of its
    hub what is recorded to be of the same container.

    Args:
        writer: the connector.
        stored: the run that the blob names.
        blob: as it is listed.
        place: the container (`ContainerSas.place`).
    """
    name = stored.run.connector or ""
    is_own = same_name(name, writer.connector) and stored.destination in {None, place}
    is_left_behind = not writer.is_neighbour(name) and stored.destination == place
    return (is_own or is_left_behind) and _is_unchanged(stored.run, blob)


def _is_unchanged(run: Run, blob: BlobEntry) -> bool:
    """Whether a blob is as its run recorded it; one whose end was never recorded may have written it all the same."""
    if run.state is not RunState.SUCCEEDED:
        return run.state is not RunState.SKIPPED
    return (blob.size, blob.metadata.get("sha256")) == (run.details.get("bytes"), run.details.get("sha256"))


def _path_of(run: Run) -> str | None:
    if run.kind is not RunKind.EXPORT or run.entity_type is None or run.entity_type_name is None or run.slot is None:
        return None
    return data_path(run.entity_type, run.entity_type_name, run.slot)
