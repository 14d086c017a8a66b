"""Mappings: which blobs of a connector become which entity type, column by column (2017 ConnectorMapping)."""

import re
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field as Property
from pydantic import ValidationInfo, field_validator, model_validator

from shared.domain.documents.availability import Availability
from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.document import AnyCaseEnum, Document
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.fields import doubled_names
from shared.domain.glob import compiled
from shared.domain.names import CONTAINER_PATTERN, DefinitionName, account_and_path
from shared.domain.shown import listed

_LONGEST_FORMAT = 128


class MappingState(AnyCaseEnum):
    """Life of a mapping; only the server sets it. `Stopped` is the old product's word for a paused one."""

    CREATING = "Creating"
    CREATED = "Created"
    FAILED = "Failed"
    READY = "Ready"
    RUNNING = "Running"
    STOPPED = "Stopped"
    EXPIRING = "Expiring"


class ErrorManagementType(AnyCaseEnum):
    """What rejects do to a run."""

    REJECT_AND_CONTINUE = "RejectAndContinue"
    STOP_IMPORT = "StopImport"
    REJECT_UNTIL_LIMIT = "RejectUntilLimit"


class ErrorManagement(Document):
    """The rule for rejects; `errorLimit` counts only with RejectUntilLimit."""

    error_management_type: ErrorManagementType
    error_limit: Annotated[int, Property(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_its_limit(self) -> Self:
        if self.error_management_type is ErrorManagementType.REJECT_UNTIL_LIMIT and self.error_limit is None:
            raise ValueError("RejectUntilLimit needs errorLimit, the number of rejects that are still accepted")
        return self

    @property
    def accepted_rejects(self) -> int | None:
        """How many rejects a run may have; None where any number is accepted."""
        match self.error_management_type:
            case ErrorManagementType.REJECT_AND_CONTINUE:
                return None
            case ErrorManagementType.STOP_IMPORT:
                return 0
            case ErrorManagementType.REJECT_UNTIL_LIMIT:
                return self.error_limit


class ColumnMapping(Document):
    """One column of the file and the field that it fills."""

    property_name: str
    column_name: str
    custom_format_specifier: str | None = None
    is_encrypted: bool = False

    @field_validator("custom_format_specifier")
    @classmethod
    def _is_short(cls, value: str | None, info: ValidationInfo) -> str | None:
        # What was stored before there was this limit is read on.
        if info.context == "request" and value is not None and len(value) > _LONGEST_FORMAT:
            raise ValueError(f"a format has at most {_LONGEST_FORMAT} characters")
        return value

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        if self.is_encrypted:
            raise ValueError("encrypted columns cannot be read: no key can be named; set isEncrypted to false")
        return self


class CompletionOperationType(AnyCaseEnum):
    """What happens to a blob after it was ingested."""

    DO_NOTHING = "DoNothing"
    DELETE_FILE = "DeleteFile"
    MOVE_FILE = "MoveFile"


class CompleteOperation(Document):
    """The operation after success; `destinationFolder` = `container[/prefix]`, for MoveFile only."""

    completion_operation_type: CompletionOperationType = CompletionOperationType.DO_NOTHING
    destination_folder: str | None = None

    @model_validator(mode="after")
    def _has_its_folder(self, info: ValidationInfo) -> Self:
        if self.completion_operation_type is CompletionOperationType.MOVE_FILE and not self.destination_folder:
            raise ValueError("MoveFile needs destinationFolder, as container[/prefix]")
        # Where nothing is moved, earlier releases stored whatever stood there.
        if info.context == "request" or self.completion_operation_type is CompletionOperationType.MOVE_FILE:
            split_folder(self.destination_folder or "")
        return self


class MappingProperties(Document):
    """Where the files are and how they are read."""

    folder_path: str
    file_filter: str = "**/*.csv"
    has_header: bool = True
    error_management: ErrorManagement
    format: MappingFormat = Property(default_factory=MappingFormat)
    availability: Availability | None = None
    structure: list[ColumnMapping] = Property(min_length=1)
    complete_operation: CompleteOperation = Property(default_factory=CompleteOperation)

    @field_validator("format", "complete_operation", mode="before")
    @classmethod
    def _default_for_null(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if value is None else value

    @field_validator("folder_path")
    @classmethod
    def _names_a_container(cls, value: str) -> str:
        container = _folder_of(value).split("/", maxsplit=1)[0]
        if not is_container_name(container):
            raise ValueError("folderPath must be container[/prefix] or the URL of a folder in a container")
        return value

    @field_validator("file_filter")
    @classmethod
    def _is_short(cls, value: str) -> str:
        if not value or len(value) > 256:
            raise ValueError("fileFilter must be a glob of 1 to 256 characters")
        return value

    @model_validator(mode="after")
    def _each_field_once(self) -> Self:
        doubled = doubled_names([column.property_name for column in self.structure])
        if doubled:
            raise ValueError(f"structure fills {listed(doubled)} from more than one column")
        return self


class Mapping(Document):
    """A mapping of one connector that is read; `connectorType` is that of the connector."""

    read_only: ClassVar[frozenset[str]] = frozenset(
        {
            "connectorName",
            "connectorMappingName",
            "created",
            "lastModified",
            "nextRunTime",
            "dataFormatId",
            "runId",
            "state",
            "stateDetail",
            "tenantId",
            "mappingId",
        }
    )

    connector_name: str = ""
    connector_mapping_name: str = ""
    connector_type: str = ""
    created: datetime | None = None
    last_modified: datetime | None = None
    next_run_time: datetime | None = None
    entity_type: EntityKind
    entity_type_name: DefinitionName
    display_name: str | None = None
    description: str | None = None
    data_format_id: str | None = None
    mapping_properties: MappingProperties
    run_id: str | None = None
    state: MappingState = MappingState.CREATING
    state_detail: str | None = None
    tenant_id: str = ""

    @cached_property
    def container(self) -> str:
        """The container that the files land in."""
        return _folder_of(self.mapping_properties.folder_path).split("/", maxsplit=1)[0]

    @cached_property
    def prefix(self) -> str:
        """The folder below the container, empty or ending in `/`."""
        folder = _folder_of(self.mapping_properties.folder_path)
        prefix = folder.split("/", maxsplit=1)[1] if "/" in folder else ""
        return f"{prefix}/" if prefix else ""

    @cached_property
    def destination(self) -> str | None:
        """The container that MoveFile moves files to; None without it."""
        operation = self.mapping_properties.complete_operation
        if operation.completion_operation_type is not CompletionOperationType.MOVE_FILE:
            return None
        return split_folder(operation.destination_folder or "")[0]

    @property
    def completion(self) -> CompletionOperationType:
        """What is to become of a file once its rows are in."""
        return self.mapping_properties.complete_operation.completion_operation_type

    @property
    def is_paused(self) -> bool:
        """Whether nothing is to be ingested for the time being."""
        return self.state is MappingState.STOPPED

    def matches(self, container: str, path: str) -> bool:
        """Whether a blob belongs to this mapping; names compare with their case."""
        if container != self.container or not path.startswith(self.prefix) or self._is_done(container, path):
            return False
        return compiled(self.mapping_properties.file_filter).matches(path[len(self.prefix) :])

    def _is_done(self, container: str, path: str) -> bool:
        """Whether the blob lies where MoveFile puts what was ingested: it would go round for ever."""
        if self.done_folder is None:
            return False
        done_container, done_prefix = self.done_folder
        return container == done_container and path.startswith(f"{done_prefix}/" if done_prefix else "")

    @cached_property
    def done_folder(self) -> tuple[str, str] | None:
        """Container and prefix of `destinationFolder`; None without it, or where it is none that can be read."""
        folder = self.mapping_properties.complete_operation.destination_folder
        try:
            return None if folder is None else split_folder(folder)
        except ValueError:
            return None

    @property
    def fields_set(self) -> list[str]:
        """The fields that a row of this mapping sets, in the order of its structure."""
        return [column.property_name for column in self.mapping_properties.structure]


def is_container_name(name: str) -> bool:
    """Whether a container that is read can have this name."""
    return bool(re.fullmatch(rf"\$?{CONTAINER_PATTERN}|\$root|\$web", name))


def split_folder(folder: str) -> tuple[str, str]:
    """`container[/prefix]` as (container, prefix without slashes at its ends); ValueError where it is a broken URL."""
    container, _, prefix = _folder_of(folder).partition("/")
    return container, prefix


def _folder_of(folder_path: str) -> str:
    """`container[/prefix]` of a path or blob URL."""
    if "://" not in folder_path:
        return folder_path.strip("/")
    try:
        parts = urlsplit(folder_path)
    except ValueError:
        raise ValueError("it is no URL that can be read; use container[/prefix]") from None
    return account_and_path(parts.hostname or "", unquote(parts.path).strip("/"))[1]
