"""Trying a mapping on a real blob: rows are read, mapped and typed as ingestion would, and nothing is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from shared.app import Services
from shared.csv.reading_time import OF_SAMPLE, SAMPLE_SECONDS, ReadingTime
from shared.definitions.rules.mapping_rules import dotted
from shared.definitions.store.definition_store import Stored
from shared.domain.blob_version import BlobVersion, leaves_its_container
from shared.domain.documents.entity_types import EntityType
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from shared.domain.shown import shown
from shared.ingest.source import Source
from shared.ingest.stage import open_rows
from shared.storage.blob.blobs import BlobContainer, BlobEntry
from shared.suggest.sample_permit import sample_permit

if TYPE_CHECKING:
    from shared.suggest.first_rows import FirstRows


@contextmanager
def preview(
    services: Services,
    hub: str,
    connector: str,
    mapping: str,
    blob: str | None = None,
    rows: int = 20,
    within_s: float = SAMPLE_SECONDS,
) -> Iterator[dict[str, Any]]:
    """Reads the first rows of a blob as the mapping would; others have no permit until the context ends.

    Args:
        services: of the process.
        hub, connector, mapping: names.
        blob: path within the mapping's container; None for the newest blob that matches.
        rows: how many good rows at most.
        within_s: seconds that it may take, once it has its permit; before that a third of them to find the newest blob.

    Gives:
        `blob`, `columns` [{name, type, isArray, column}], `rows` as `/data` would give them, `rejects` up to there, and
        `isCut`: the file has more of what was asked for, but the answer or the sample is as large as it may be.

    Raises:
        NotFoundError: the mapping or the blob. ConflictError: `TooManyBlobs`, the newest is not found in time.
        DataError: the file is refused as a whole, `TooSlow` among others.
        UnavailableError: `SourceTooSlow`, `ReadingHeldUp`.
        RequestError: the mapping's containers are not for its hub. ThrottledError: `PreviewsBusy`, it had no permit.
    """
    stored = services.definitions.mapping(hub, connector, mapping)
    container = _container(services, hub, stored)
    version = _version(container, stored.document, blob, within_s / 3)
    source = Source(container, version)
    source.open()
    document = stored.document
    entity_type = services.definitions.entity_type(hub, document.entity_type, document.entity_type_name).document
    columns = {
        field.field_name: {
            "name": field.field_name,
            "type": field.field_type.value,
            "isArray": field.is_array,
            "column": column.column_name,
        }
        for column in document.mapping_properties.structure
        if (field := entity_type.field(column.property_name)) is not None
    }
    with sample_permit(hub, "PreviewsBusy"):
        time = ReadingTime(within_s, OF_SAMPLE)
        first, is_cut = _first_rows(services, source, document, entity_type, list(columns), rows, time)
        yield {
            "blob": version.path,
            "columns": list(columns.values()),
            "rows": first.rows,
            "rejects": first.rejects,
            "isCut": is_cut,
        }


def _first_rows(
    services: Services,
    source: Source,
    mapping: Mapping,
    entity_type: EntityType,
    names: list[str],
    wanted: int,
    time: ReadingTime,
) -> "tuple[FirstRows, bool]":
    """The first rows, and whether what was wanted is cut short."""
    from shared.casts.type_rows import RowTyper
    from shared.ingest.lines_apart import LinesApart
    from shared.suggest.first_rows import FirstRows
    from shared.suggest.read_sample import SAMPLE_BYTES

    first = FirstRows(names, wanted)
    reader = open_rows(source, mapping, services.settings, time=time, most_bytes=SAMPLE_BYTES)
    header = reader.read_header()
    if header is None:
        return first, reader.is_cut
    now = services.clock.now()
    with RowTyper(entity_type, mapping, header, source.place, "preview", 0, now, services.settings) as typer:
        apart = LinesApart(reader, typer)
        for batch in reader:
            first.add(*apart.type(batch))
            if first.is_full:
                return first, first.is_cut
    return first, reader.is_cut


def _container(services: Services, hub: str, mapping: Stored[Mapping]) -> BlobContainer:
    connector = services.definitions.connector(hub, mapping.document.connector_name)
    account = services.definitions.account_of_mapping(connector, mapping)
    return BlobContainer(account.hurried(), mapping.document.container)


def _version(container: BlobContainer, mapping: Mapping, path: str | None, within_s: float) -> BlobVersion:
    if path is not None:
        if leaves_its_container(path):
            raise InvalidRequestError([dotted("blob")])
        entry = container.properties(path)
        return BlobVersion(mapping.container, entry.path, entry.etag, entry.size)
    newest = _newest(container, mapping, monotonic() + within_s)
    if newest is None:
        properties = mapping.mapping_properties
        message = f"no blob in {shown(properties.folder_path)} matches {shown(properties.file_filter)}"
        raise NotFoundError("BlobNotFound", f"{message}; upload one, or name one as `blob`")
    return BlobVersion(mapping.container, newest.path, newest.etag, newest.size)


def _newest(container: BlobContainer, mapping: Mapping, until: float) -> BlobEntry | None:
    """The newest blob that matches; a container may have so many that nobody waits for the last of them."""
    newest: BlobEntry | None = None
    for listed, entry in enumerate(container.list(mapping.prefix, metadata=True)):
        if monotonic() >= until:
            message = f"of the many blobs in {shown(mapping.mapping_properties.folder_path)} only {listed} were listed "
            raise ConflictError("TooManyBlobs", f"{message}in time, so the newest is not known; name one as `blob`")
        if entry.is_folder or not mapping.matches(mapping.container, entry.path):
            continue
        if newest is None or entry.last_modified > newest.last_modified:
            newest = entry
    return newest
