"""Connectors: links to outside systems, one property set per type (the 2017 API and its documentation)."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic import Field as Property
from pydantic.alias_generators import to_camel

from shared.domain.documents.document import AnyCaseEnum, Document, invalid_request
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.names import NAME_PATTERN
from shared.domain.refusals import any_of, none_of
from shared.redact import carries_secret, plain_letters

MASK = "***"
UNKNOWN_TYPE = "unknown_connector_type"
# A property is a secret whose name holds one of these, or ends in one of the last; letters and digits alone count.
_IN_SECRET_NAMES = re.compile(
    r"secret|password|passphrase|pwd|token|apikey|sas|connectionstring|(?:key|signature|credentials?|authorization)\Z"
)
_BEARER = re.compile(r"\s*bearer\s+\S+\s*", re.IGNORECASE)


class ConnectorType(AnyCaseEnum):
    """Kinds of outside systems."""

    NONE = "None"
    CRM = "CRM"
    AZURE_BLOB = "AzureBlob"
    SOCIAL_ENGAGEMENT = "SocialEngagement"
    EXCHANGE_ONLINE = "ExchangeOnline"
    OUTBOUND = "Outbound"


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


class AzureBlobProperties(ConnectorProperties):
    """A storage account that CSV files land in; the connection string lies in Key Vault."""

    connection_key_vault_url: str

    @field_validator("connection_key_vault_url", mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        # A strictly typed 2017 client can only send an object here: its schema says "type: object".
        return value["value"] if isinstance(value, dict) and set(value) == {"value"} else value


class CrmEntity(Document):
    """An entity of the CRM organisation that is to be synchronised."""

    logical_name: str
    display_name: str | None = None
    is_profile: bool = False


class CrmProperties(ConnectorProperties):
    """A Dynamics CRM organisation."""

    organization_id: str
    organization_url: str
    connection_string: str | None = None
    access_token: str | None = None
    entities: list[CrmEntity] = Property(default_factory=list)


class SearchTopic(Document):
    """A topic whose posts are wanted."""

    id: str
    name: str | None = None


class SocialEngagementProperties(ConnectorProperties):
    """Microsoft Social Engagement."""

    mse_end_point_url: str
    type_suffix: str | None = None
    access_token: str | None = None
    search_topics: list[SearchTopic] = Property(default_factory=list)


class LinkedProfileType(Document):
    """A profile type and its fields that hold e-mail addresses."""

    profile_name: str
    email_field_names: list[str]


class ExchangeOnlineProperties(ConnectorProperties):
    """Mail and meetings of Exchange Online."""

    access_token: str | None = None
    type_suffix: str | None = None
    customer_profile_types: list[LinkedProfileType] = Property(default_factory=list)
    employee_profile_types: list[LinkedProfileType] = Property(default_factory=list)


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


class OutboundProperties(ConnectorProperties):
    """A partner's container, reached by a container SAS; an empty `entityList` exports nothing."""

    entity_list: list[ExportedEntity] = Property(default_factory=list)
    output_blob_sas_uri: Annotated[str, Property(alias="outputBlobSASUri")]

    @field_validator("entity_list", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return [] if value is None else value

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        named = [(entity.entity_type, entity.entity_name.casefold()) for entity in self.entity_list]
        if len(set(named)) < len(named):
            raise ValueError("entityList names an entity more than once; name each once")
        return self


class _Connector(Document):
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

    @field_validator("connector_type", mode="before", check_fields=False)
    @classmethod
    def _read_type_in_any_case(cls, value: Any) -> Any:
        return ConnectorType(value) if isinstance(value, str) else value


class NoneConnector(_Connector):
    """A connector without a system behind it."""

    connector_type: Literal[ConnectorType.NONE]
    connector_properties: ConnectorProperties


class CrmConnector(_Connector):
    """Reads a CRM organisation."""

    connector_type: Literal[ConnectorType.CRM]
    connector_properties: CrmProperties


class AzureBlobConnector(_Connector):
    """Reads CSV blobs. `account` is the storage account's name, found when the connection was checked."""

    connector_type: Literal[ConnectorType.AZURE_BLOB]
    connector_properties: AzureBlobProperties


class SocialEngagementConnector(_Connector):
    """Reads Social Engagement."""

    connector_type: Literal[ConnectorType.SOCIAL_ENGAGEMENT]
    connector_properties: SocialEngagementProperties


class ExchangeOnlineConnector(_Connector):
    """Reads Exchange Online."""

    connector_type: Literal[ConnectorType.EXCHANGE_ONLINE]
    connector_properties: ExchangeOnlineProperties


class OutboundConnector(_Connector):
    """Writes exports to a partner's container."""

    connector_type: Literal[ConnectorType.OUTBOUND]
    connector_properties: OutboundProperties


def _tag(value: Any) -> str | None:
    if not isinstance(value, dict):
        return getattr(value, "connector_type", None)
    named = _named_type(value)
    try:
        return ConnectorType(named).value if isinstance(named, str) else None
    except ValueError:
        return None


def _named_type(body: dict[Any, Any]) -> Any:
    names = {"connectortype", "connector_type"}
    return next((item for key, item in body.items() if str(key).casefold() in names), None)


Connector = Annotated[
    Annotated[NoneConnector, Tag("None")]
    | Annotated[CrmConnector, Tag("CRM")]
    | Annotated[AzureBlobConnector, Tag("AzureBlob")]
    | Annotated[SocialEngagementConnector, Tag("SocialEngagement")]
    | Annotated[ExchangeOnlineConnector, Tag("ExchangeOnline")]
    | Annotated[OutboundConnector, Tag("Outbound")],
    Discriminator(
        _tag,
        custom_error_type=UNKNOWN_TYPE,
        custom_error_message="of no known type",
    ),
]
_ADAPTER: TypeAdapter[Connector] = TypeAdapter(Connector)
_TAGS = frozenset(kind.value for kind in ConnectorType)


def connector_from_request(body: object) -> Connector:
    """Reads a request body; raises InvalidRequestError naming every fault."""
    try:
        return _ADAPTER.validate_python(body, context="request", by_alias=True, by_name=False)
    except ValidationError as error:
        # Of an unknown type there is no other error; to list thousands takes its time.
        if error.error_count() == 1 and error.errors()[0]["type"] == UNKNOWN_TYPE:
            raise _of_unknown_type(body) from None
        raise invalid_request(error, skip=_TAGS) from None


def _of_unknown_type(body: object) -> InvalidRequestError:
    """The error of a connector whose type is unknown, with what else is wrong with it whatever its type were."""
    named = _named_type(body) if isinstance(body, dict) else None
    kinds = [kind.value for kind in ConnectorType]
    if named is None:
        message = f"this property is required: use one of {any_of(kinds)}"
        fault = Fault("MissingProperty", "connectorType", message)
    else:
        fault = Fault("UnknownValue", "connectorType", none_of(named, kinds))
    if isinstance(body, dict):
        typed = {key: value for key, value in body.items() if str(key).casefold() != "connectortype"}
        try:
            NoneConnector.model_validate(
                {**typed, "connectorType": "None"}, context="request", by_alias=True, by_name=False
            )
        except ValidationError as error:
            return invalid_request(error, before=[fault])
    return InvalidRequestError([fault])


def connector_from_json(stored: object) -> Connector:
    """Reads a stored document; see `Document.from_stored`."""
    return _ADAPTER.validate_python(stored, context="stored")


def is_secret_name(name: str) -> bool:
    """Whether what stands in a connector property of this name belongs into Key Vault, whatever it is."""
    plain = plain_letters(name).casefold()
    return bool(_IN_SECRET_NAMES.search("".join(filter(str.isalnum, plain))))


def is_secret_value(value: object) -> bool:
    """Whether the value of a connector property belongs into Key Vault by what it carries."""
    return isinstance(value, str) and bool(_BEARER.fullmatch(value) or carries_secret(value))
