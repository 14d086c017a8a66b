"""A connector of Exchange Online."""

from typing import Literal

from pydantic import Field as Property

from shared.domain.documents.connectors import Connector, ConnectorProperties
from shared.domain.documents.document import Document


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


class ExchangeOnlineConnector(Connector):
    """Reads Exchange Online."""

    connector_type: Literal["ExchangeOnline"]
    connector_properties: ExchangeOnlineProperties
