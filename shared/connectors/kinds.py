"""All kinds of connectors, and connectors read as what they are."""

from typing import Any

from pydantic import ValidationError

from shared.connectors.azure_blob.kind import AZURE_BLOB
from shared.connectors.crm.kind import CRM
from shared.connectors.exchange_online.kind import EXCHANGE_ONLINE
from shared.connectors.kind import ConnectorKind
from shared.connectors.none.document import NoneConnector
from shared.connectors.none.kind import NONE
from shared.connectors.outbound.kind import OUTBOUND
from shared.connectors.social_engagement.kind import SOCIAL_ENGAGEMENT
from shared.domain.documents.connectors import Connector
from shared.domain.documents.document import invalid_request
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.refusals import any_of, none_of

KINDS: tuple[ConnectorKind[Any], ...] = (
    NONE,
    CRM,
    AZURE_BLOB,
    SOCIAL_ENGAGEMENT,
    EXCHANGE_ONLINE,
    OUTBOUND,
)


def kind_of(connector: Connector) -> ConnectorKind[Any]:
    """The kind of a connector."""
    return next(kind for kind in KINDS if kind.name == connector.connector_type)


def kind_named(name: object) -> ConnectorKind[Any] | None:
    """The kind of a `connectorType` in any case, or None."""
    plain = name.casefold() if isinstance(name, str) else None
    return next((kind for kind in KINDS if kind.name.casefold() == plain), None)


def connector_from_request(body: object) -> Connector:
    """Reads a request body; raises InvalidRequestError naming every fault."""
    kind = kind_named(_type_in(body))
    if kind is None:
        raise _of_unknown_type(body)
    document: Connector = kind.document.from_request(body)
    return document


def connector_from_json(stored: object) -> Connector:
    """Reads a stored document; see `Document.from_stored`."""
    kind = kind_named(_type_in(stored))
    # As one of no kind it is not valid: the release that stored it knew more.
    model = kind.document if kind else NoneConnector
    document: Connector = model.from_stored(stored)
    return document


def unknown_type(named: object) -> Fault:
    """The fault of a `connectorType` that is none."""
    return Fault("UnknownValue", "connectorType", none_of(named, [kind.name for kind in KINDS]))


def _type_in(body: object) -> Any:
    if not isinstance(body, dict):
        return None
    names = {"connectortype", "connector_type"}
    return next((item for key, item in body.items() if str(key).casefold() in names), None)


def _of_unknown_type(body: object) -> InvalidRequestError:
    """The error of a connector whose type is unknown, with what else is wrong with it whatever its type were."""
    named = _type_in(body)
    fault = unknown_type(named)
    if named is None:
        message = f"this property is required: use one of {any_of([kind.name for kind in KINDS])}"
        fault = Fault("MissingProperty", "connectorType", message)
    if isinstance(body, dict):
        typed = {key: value for key, value in body.items() if str(key).casefold() != "connectortype"}
        try:
            NoneConnector.model_validate(
                {**typed, "connectorType": "None"}, context="request", by_alias=True, by_name=False
            )
        except ValidationError as error:
            return invalid_request(error, before=[fault])
    return InvalidRequestError([fault])
