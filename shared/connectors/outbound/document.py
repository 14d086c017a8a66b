"""A connector of a container that exports are written to."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field as Property
from pydantic import field_validator, model_validator

from shared.domain.documents.connectors import Connector, ConnectorProperties, ExportedEntity


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


class OutboundConnector(Connector):
    """Writes exports to a partner's container."""

    connector_type: Literal["Outbound"]
    connector_properties: OutboundProperties

    @property
    def exports(self) -> Sequence[ExportedEntity]:
        """What `entityList` names."""
        return self.connector_properties.entity_list
