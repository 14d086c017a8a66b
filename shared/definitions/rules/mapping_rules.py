"""What a mapping must fit: the type that its rows become, and the places that its files come from and go to."""

import re
from urllib.parse import urlsplit

from shared.domain.blob_version import leaves_its_container
from shared.domain.date_format import to_strptime
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.fields import TIMES, Field
from shared.domain.documents.mappings import (
    ColumnMapping,
    CompletionOperationType,
    Mapping,
    is_container_name,
    split_folder,
)
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.names import CONTAINER_PATTERN, account_and_path
from shared.domain.own_names import is_own_container
from shared.domain.shown import shown

_STRUCTURE = "mappingProperties.structure"
BLOB = "blob"
FOLDER = "mappingProperties.folderPath"
DESTINATION = "mappingProperties.completeOperation.destinationFolder"


def type_faults(mapping: Mapping, entity_type: EntityType) -> list[Fault]:
    """What does not fit the type."""
    faults: list[Fault] = []
    columns, fields = mapping.mapping_properties.structure, entity_type.fields_by_name()
    for at, column in enumerate(columns):
        field = fields.get(column.property_name.casefold())
        faults += _column_faults(column, field, f"{_STRUCTURE}[{at}]", entity_type)
    mapped = {column.property_name.casefold() for column in columns}
    for name in entity_type.key_fields:
        if name.casefold() not in mapped:
            message = f"the field {name!r} is part of the key of {entity_type.type_name!r}; map a column to it"
            faults.append(Fault("MissingKey", _STRUCTURE, message))
    if entity_type.kind is EntityKind.INTERACTION:
        keys = {name.casefold() for name in entity_type.key_fields}
        faults += [
            Fault(
                "MissingRequiredField",
                _STRUCTURE,
                f"the field {field.field_name!r} of {entity_type.type_name!r} is required; map a column to it",
            )
            for field in entity_type.fields
            if field.is_required and field.field_name.casefold() not in mapped | keys
        ]
    return faults


def folder_faults(mapping: Mapping, account: str | None, *, is_own_account: bool) -> list[Fault]:
    """What is wrong with the folders.

    Args:
        mapping: the mapping.
        account: name of the connector's account, where it is known.
        is_own_account: whether that is the hub's own, which has containers that nobody else may use.
    """
    properties = mapping.mapping_properties
    faults = [*_url_faults(properties.folder_path, FOLDER, account)]
    if leaves_its_container(mapping.prefix):
        faults.append(dotted(FOLDER))
    faults += own_container_faults(mapping.container, FOLDER, is_own_account=is_own_account)
    operation = properties.complete_operation
    if operation.completion_operation_type is not CompletionOperationType.MOVE_FILE:
        return faults
    folder = operation.destination_folder or ""
    faults += _url_faults(folder, DESTINATION, account)
    container, prefix = split_folder(folder)
    if own := own_container_faults(container, DESTINATION, is_own_account=is_own_account):
        faults += own
    elif not re.fullmatch(CONTAINER_PATTERN, container):
        faults.append(Fault("InvalidValue", DESTINATION, "must be container[/prefix]"))
    elif leaves_its_container(prefix):
        faults.append(dotted(DESTINATION))
    elif _holds_the_folder(mapping, container, prefix):
        message = "the mapping's own folder lies there, so no file would ever be new; use another folder"
        faults.append(Fault("InvalidValue", DESTINATION, message))
    return faults


def location_of_blob(blob: str, account: str, *, is_own_account: bool) -> tuple[str, str]:
    """Container and path of a blob that is named as `container/path` or by its URL.

    Args:
        blob: as it came with a request.
        account: name of the connector's account.
        is_own_account: as in `folder_faults`.

    Raises:
        InvalidRequestError: it names none, or one that no mapping may read.
    """
    is_url = bool(re.match("[a-z]+://", blob, re.IGNORECASE))
    faults = _url_faults(blob, BLOB, account) if is_url else []
    if faults:
        raise InvalidRequestError(faults)
    container, path = split_folder(blob) if is_url else _halves(blob)
    if not (is_container_name(container) and path):
        faults = [Fault("InvalidValue", BLOB, "must be container/path, or the URL of a blob")]
    elif leaves_its_container(path):
        faults = [dotted(BLOB)]
    else:
        faults = own_container_faults(container, BLOB, is_own_account=is_own_account)
    if faults:
        raise InvalidRequestError(faults)
    return container, path


def _halves(blob: str) -> tuple[str, str]:
    container, _, path = blob.lstrip("/").partition("/")
    return container, path


def _column_faults(column: ColumnMapping, field: Field | None, target: str, entity_type: EntityType) -> list[Fault]:
    if field is None:
        message = f"the type {entity_type.type_name!r} has no field {shown(column.property_name)}"
        return [Fault("UnknownField", f"{target}.propertyName", message)]
    if not column.custom_format_specifier:
        return []
    target = f"{target}.customFormatSpecifier"
    if field.field_type not in TIMES:
        message = f"a format is for dates and times only; {field.field_name!r} is {field.field_type.value}"
        return [Fault("InvalidValue", target, message)]
    try:
        to_strptime(column.custom_format_specifier)
    except ValueError as error:
        return [Fault("InvalidValue", target, str(error))]
    return []


def _url_faults(folder: str, target: str, account: str | None) -> list[Fault]:
    if "://" not in folder:
        return []
    try:
        parts = urlsplit(folder)
    except ValueError:
        return [Fault("InvalidValue", target, "it is no URL that can be read; use container[/prefix]")]
    if parts.scheme.lower() not in {"http", "https"} or parts.query or parts.fragment or "@" in parts.netloc:
        message = "a URL must be that of a container or folder alone, without a query"
        return [Fault("InvalidValue", target, message)]
    named, _ = account_and_path(parts.hostname or "", parts.path.strip("/"))
    if account is not None and named.casefold() != account.casefold():
        message = f"this URL is not of the connector's account {account!r}; use container[/prefix]"
        return [Fault("InvalidValue", target, message)]
    return []


def dotted(target: str) -> Fault:
    """The fault of a path that leaves its container."""
    return Fault("InvalidValue", target, "must not hold `.` or `..` between slashes")


def own_container_faults(container: str, target: str, *, is_own_account: bool) -> list[Fault]:
    """The fault of a container that the app or its host keeps for itself; none of any other.

    Args:
        container: its name.
        target: what names it.
        is_own_account: whether it lies in the hub's own account.
    """
    if not is_own_container(container, is_own_account=is_own_account):
        return []
    message = f"the container {container!r} belongs to the app itself or to its host; use another"
    return [Fault("ContainerNotAllowed", target, message)]


def _holds_the_folder(mapping: Mapping, container: str, prefix: str) -> bool:
    """Whether the mapping's own folder lies where its files go; what lies there counts as done."""
    return container == mapping.container and mapping.prefix.startswith(f"{prefix}/" if prefix else "")
