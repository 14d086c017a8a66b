"""Proposing a type and a mapping from a real file; nothing is stored, a person looks at it and PUTs it.

The story, top to bottom: find the blob, guess how it is written, read a sample with the reader of ingestion, type its
columns by a full scan, find what tells the rows apart, and write down the two definitions with the reasons.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.app import Services
from shared.csv.reading_time import OF_SAMPLE, SAMPLE_SECONDS, ReadingTime
from shared.definitions.rules.mapping_rules import location_of_blob
from shared.definitions.secrets.secrets import faults_of_secrets
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import DataError, InvalidRequestError, MissingError, NotFoundError
from shared.domain.reject import Reject
from shared.ingest.source import Source
from shared.storage.blob.blobs import BlobContainer
from shared.suggest.name_fields import definition_name
from shared.suggest.sample_permit import sample_permit

if TYPE_CHECKING:
    from shared.suggest.choose_key import Identity
    from shared.suggest.propose_columns import Column
    from shared.suggest.read_sample import Sample

_REJECTS_SHOWN = 20
# `/data/KPIs` has another meaning.
_RESERVED_TYPES = frozenset({"kpis"})
_NUMBERS = re.compile(r"[0-9]+(?:[-_.T][0-9]+)*")
_ENDINGS = re.compile(r"(?:\.[A-Za-z][A-Za-z0-9]{0,7}){1,2}$")
_GLOB_SIGNS = re.compile(r"[*?\[]")
# A header row of names has none of these: a number, or a date.
_DATA = re.compile(r"[-+]?[0-9][0-9.,]*|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{4}.*")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller has decided on already.

    Attributes:
        rows: how many rows of the file are looked at.
        kind: profile or interaction; None leaves it to the file.
        form: what is set in it is taken as it is, the rest is guessed.
    """

    rows: int = 10_000
    kind: EntityKind | None = None
    form: MappingFormat = field(default_factory=MappingFormat)
    has_header: bool = True


def suggest(
    services: Services, hub: str, connector: str, blob: str, wish: Wish, within_s: float = SAMPLE_SECONDS
) -> dict[str, Any]:
    """Proposes a type and a mapping for a file.

    Args:
        services: of the process.
        hub, connector: names.
        blob: `container/path`, or the blob's URL.
        wish: what is decided already.
        within_s: seconds that all of it may take, once it has begun.

    Returns:
        `blob`, `rowsRead`, `type` and `mapping` {name, body} for PUT, `columns`, `rejects`, `notes`.

    Raises:
        InvalidRequestError: `blob` names none that may be read. ConflictError: its container is another hub's.
        NotFoundError: hub, connector or blob.
        RefusedError: the connector reads no blobs, or its storage refuses.
        DataError: the file is refused as a whole, `TooSlow` among others.
        UnavailableError: `SourceTooSlow`, `ReadingHeldUp`.
        ThrottledError: `SuggestionsBusy`, it had no permit.
    """
    source = _open(services, hub, connector, blob)
    with sample_permit(hub, "SuggestionsBusy"):
        return _suggest(services, hub, connector, source, wish, ReadingTime(within_s, OF_SAMPLE))


def _suggest(
    services: Services, hub: str, connector: str, source: Source, wish: Wish, time: ReadingTime
) -> dict[str, Any]:
    # The engines load when there is something to read.
    from shared.suggest.guess_format import guess_format
    from shared.suggest.read_sample import take_sample

    settings = services.settings
    source.check_size(settings.max_blob_bytes)
    form, notes = guess_format(source, wish.form, settings, time, has_header=wish.has_header)
    sample = take_sample(source, form, settings, time, has_header=wish.has_header, rows=wish.rows)
    notes += _notes_on_sample(sample, has_header=wish.has_header)
    columns, form, identity, found = _propose(services, sample, form, wish.kind, time)
    notes += found
    kind = identity.kind
    stem = _ENDINGS.sub("", source.version.path.rpartition("/")[2])
    type_name = definition_name(stem, kind.value, _types_taken(services, hub))
    mappings = {
        stored.document.connector_mapping_name.casefold() for stored in services.definitions.mappings(hub, connector)
    }
    mapping = _mapping(source.version, kind, type_name, columns, form, wish)
    notes.append(
        f"fileFilter: {mapping['mappingProperties']['fileFilter']}; see that it takes files like this one only"
    )
    return {
        "blob": f"{source.version.container}/{source.version.path}",
        "rowsRead": sample.rows,
        "type": {"entityType": kind.value, "name": type_name, "body": _type(identity, columns)},
        "mapping": {"name": definition_name(stem, "Mapping", mappings), "body": mapping},
        "columns": [_shown(column) for column in columns],
        "rejects": [_shown_reject(reject) for reject in sample.rejects[:_REJECTS_SHOWN]],
        "notes": notes,
    }


def _open(services: Services, hub: str, connector: str, blob: str) -> Source:
    account = services.definitions.connectors.source_account(services.definitions.connector(hub, connector))
    is_own = services.definitions.containers.is_own_account(account.name)
    name, path = location_of_blob(blob, account.name, is_own_account=is_own)
    services.definitions.containers.check_use(hub, account.name, name, "blob")
    container = BlobContainer(account.hurried(), name)
    try:
        entry = container.properties(path)
    except MissingError as error:
        raise NotFoundError(error.code, error.message, "blob") from None
    source = Source(container, BlobVersion(name, entry.path, entry.etag, entry.size))
    source.open()
    return source


def _propose(
    services: Services, sample: "Sample", form: MappingFormat, kind: EntityKind | None, time: ReadingTime
) -> "tuple[list[Column], MappingFormat, Identity, list[str]]":
    from shared.engine.workspace import workspace
    from shared.suggest.choose_key import choose_key
    from shared.suggest.propose_columns import propose_columns, usable_columns
    from shared.suggest.scan_columns import Scan

    usable, notes = usable_columns(sample.header)
    if not usable:
        message = f"no column of the file can be mapped; {'; '.join(notes)}; correct the header"
        raise DataError("NoUsableColumn", message)
    with workspace(services.settings) as opened:
        scan = Scan(opened, sample.cells, time)
        columns, form, found = propose_columns(scan, usable, form)
        identity = choose_key(
            columns,
            sample.rows,
            kind,
            lambda left, right: scan.pair((left.position, left.type), (right.position, right.type)),
        )
    return columns, form, identity, [*notes, *found, *identity.notes]


def _type(identity: "Identity", columns: "list[Column]") -> dict[str, Any]:
    body: dict[str, Any] = {
        "fields": [{"fieldName": column.field_name, "fieldType": column.kind.value} for column in columns]
    }
    key = [column.field_name for column in identity.key]
    if identity.kind is EntityKind.PROFILE:
        return body | {"strongIds": [{"strongIdName": "Main", "keyPropertyNames": key}]}
    if key:
        body["idPropertyNames"] = key
    if identity.timestamp is not None:
        body["timestampFieldName"] = identity.timestamp.field_name
    return body


def _mapping(
    version: BlobVersion,
    kind: EntityKind,
    type_name: str,
    columns: "list[Column]",
    form: MappingFormat,
    wish: Wish,
) -> dict[str, Any]:
    structure = [
        {"propertyName": column.field_name, "columnName": column.name}
        | ({"customFormatSpecifier": column.specifier} if column.specifier else {})
        for column in columns
    ]
    properties: dict[str, Any] = {"errorManagement": {"errorManagementType": "RejectAndContinue"}}
    if declared := _declared(form, wish.form):
        properties["format"] = declared
    if not wish.has_header:
        properties["hasHeader"] = False
    properties["structure"] = structure
    body: dict[str, Any] = {"entityType": kind.value, "entityTypeName": type_name}
    for folder, file_filter in _places(version):
        body["mappingProperties"] = {"folderPath": folder, "fileFilter": file_filter, **properties}
        # A folder that looks like a URL would be read as one.
        if "://" not in folder and not faults_of_secrets([folder, file_filter]) and _takes(body, version):
            break
    return body


def _places(version: BlobVersion) -> list[tuple[str, str]]:
    """Folder and filter for files like this one, from the narrowest to the widest."""
    folder, slash, name = version.path.rpartition("/")
    escaped = _GLOB_SIGNS.sub(lambda sign: f"[{sign[0]}]", name)
    like = _NUMBERS.sub("*", escaped)
    return [
        (f"{version.container}{slash and '/'}{folder}", like),
        (version.container, f"**/{like}"),
        (version.container, f"**/*{''.join(_ENDINGS.findall(name))}"),
        (version.container, "**/*"),
    ]


def _takes(body: dict[str, Any], version: BlobVersion) -> bool:
    try:
        return Mapping.from_request(body).matches(version.container, version.path)
    except InvalidRequestError:
        return False


def _declared(form: MappingFormat, given: MappingFormat) -> dict[str, Any]:
    """What of the format is not the default, or was given by the caller."""
    default = MappingFormat().to_json()
    named = {MappingFormat.model_fields[name].alias for name in given.model_fields_set}
    return {name: value for name, value in form.to_json().items() if name in named or value != default[name]}


def _types_taken(services: Services, hub: str) -> set[str]:
    taken = set(_RESERVED_TYPES)
    for stored in services.definitions.entity_types(hub):
        names = (stored.document.type_name, stored.document.api_entity_set_name)
        taken |= {name.casefold() for name in names if name}
    return taken


def _notes_on_sample(sample: "Sample", *, has_header: bool) -> list[str]:
    part = "all rows of the file" if sample.is_whole else "its first rows only; the file has more"
    notes = [f"sample: {sample.rows} rows, {part}"]
    if sample.rejects:
        notes.append(
            f"rejects: {len(sample.rejects)} rows were refused as they stand and are not counted; "
            f"the first {min(len(sample.rejects), _REJECTS_SHOWN)} are shown"
        )
    if not sample.rows:
        notes.append("types: no row to go by, so every field is text")
    if has_header and any(_DATA.fullmatch(name.strip()) for name in sample.header):
        notes.append("hasHeader: the first row holds numbers or dates; if it is data, ask with hasHeader false")
    return notes


def _shown(column: "Column") -> dict[str, Any]:
    shown: dict[str, Any] = {
        "columnName": column.name,
        "fieldName": column.field_name,
        "fieldType": column.kind.value,
        "distinct": column.counted.distinct,
        "empty": column.counted.empty,
    }
    return shown | ({"customFormatSpecifier": column.specifier} if column.specifier else {})


def _shown_reject(reject: Reject) -> dict[str, Any]:
    return {
        "line": reject.line,
        "column": reject.column,
        "code": reject.code,
        "message": reject.message,
        "raw": reject.raw,
    }
