"""Connectors: links to outside systems. What all kinds share stands here; each kind has a folder in `connectors/`."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, get_args

from pydantic import ConfigDict, field_validator
from pydantic import Field as Property
from pydantic.alias_generators import to_camel

from shared.domain.documents.document import AnyCaseEnum, Document
from shared.domain.names import NAME_PATTERN
from shared.redact import carries_secret, plain_letters

MASK = "***"
# A property is a secret whose name holds one of these, or ends in one of the last; letters and digits alone count.
_IN_SECRET_NAMES = re.compile(
    r"secret|password|passphrase|pwd|token|apikey|sas|connectionstring|(?:key|signature|credentials?|authorization)\Z"
)
_BEARER = re.compile(r"\s*bearer\s+\S+\s*", re.IGNORECASE)


class ConnectorState(AnyCaseEnum):
    """Life of a connector; only the server sets it."""

    CREATING = "Creating"
    CREATED = "Created"
    READY = "Ready"
    EXPIRING = "Expiring"
    DELETING = "Deleting"
    FAILED = "Failed"


class ConnectorProperties(Document):
    """Properties of one connector type; unknown ones are kept, since the old API never refused them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)


class ExportedEntityType(AnyCaseEnum):
    """What an Outbound connector can export."""

    PROFILE = "Profile"
    KPI = "Kpi"


class ExportedEntity(Document):
    """One profile type or KPI to export; no field names means all of them."""

    entity_type: ExportedEntityType
    entity_name: Annotated[str, Property(pattern=NAME_PATTERN)]
    # A type that can be stored has fewer fields.
    field_names: list[str] = Property(default_factory=list, max_length=5000)

    @field_validator("field_names", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if value is None:
            return []
        if isinstance(value, str):
            return [name.strip() for name in value.replace(";", ",").split(",") if name.strip()]
        return value


class Connector(Document):
    """A connector of whatever kind; a kind has a model of its own that says which, and what its properties are."""

    read_only: ClassVar[frozenset[str]] = frozenset(
        {
            "connectorId",
            "created",
            "lastModified",
            "state",
            "stateDetail",
            "tenantId",
            "instanceId",
            "account",
        }
    )

    connector_id: int = 0
    connector_name: str = ""
    display_name: str | None = None
    description: str | None = None
    created: datetime | None = None
    last_modified: datetime | None = None
    state: ConnectorState = ConnectorState.CREATING
    state_detail: str | None = None
    tenant_id: str = ""
    is_internal: bool = False
    connector_type: str
    connector_properties: ConnectorProperties

    @field_validator("connector_type", mode="before")
    @classmethod
    def _read_type_in_any_case(cls, value: Any) -> Any:
        name = cls.type_name()
        return name if isinstance(value, str) and value.casefold() == name.casefold() else value

    @classmethod
    def type_name(cls) -> str:
        """The `connectorType` of the kind whose model this is."""
        [name] = get_args(cls.model_fields["connector_type"].annotation)
        return str(name)

    @property
    def exports(self) -> Sequence[ExportedEntity]:
        """What it exports; nothing where it is not written to."""
        return ()


def is_secret_name(name: str) -> bool:
    """Whether what stands in a connector property of this name belongs into Key Vault, whatever it is."""
    plain = plain_letters(name).casefold()
    return bool(_IN_SECRET_NAMES.search("".join(filter(str.isalnum, plain))))


def is_secret_value(value: object) -> bool:
    """Whether the value of a connector property belongs into Key Vault by what it carries."""
    return isinstance(value, str) and bool(_BEARER.fullmatch(value) or carries_secret(value))
