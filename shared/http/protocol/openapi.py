"""The OpenAPI document: FastAPI knows the routes and the answers, here stands what it cannot know."""

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Tag

from shared.connectors.kinds import KINDS
from shared.domain.documents.document import Document
from shared.domain.documents.entity_types import InteractionType, ProfileType
from shared.domain.documents.fields import Field
from shared.domain.documents.hubs import Hub
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping

TITLE = "Customer-data hub connectors"
VERSION = "0.1.0"

_REFERENCE = "#/components/schemas/{model}"
CONNECTORS: tuple[type[Document], ...] = tuple(kind.document for kind in KINDS)


def _type_of(connector: Any) -> Any:
    return connector.connector_type


# A type that no checker can know, since it is made of the kinds that there are.
AnyConnector: Any = Annotated[
    reduce(or_, [Annotated[kind.document, Tag(kind.name)] for kind in KINDS]),
    Discriminator(_type_of),
]
_WITH_READ_ONLY: tuple[type[Document], ...] = (*CONNECTORS, Hub, ProfileType, InteractionType, Field, Kpi, Mapping)


def json_body(*models: type[BaseModel], example: dict[str, Any], required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads a body itself, so that all faults come in our own form."""
    schemas = [{"$ref": _REFERENCE.format(model=model.__name__)} for model in models]
    content = {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}, "example": example}
    return {"requestBody": {"required": required, "content": {"application/json": content}}}


def describe(document: dict[str, Any], *request_only: type[BaseModel]) -> dict[str, Any]:
    """Completes FastAPI's document: models that only requests have, properties that only the server sets, kinds."""
    schemas = document["components"]["schemas"]
    for model in request_only:
        schema = model.model_json_schema(ref_template=_REFERENCE)
        for name, part in schema.pop("$defs", {}).items():
            schemas.setdefault(name, part)
        schemas[model.__name__] = schema
    for model in _WITH_READ_ONLY:
        for name, schema in schemas[model.__name__]["properties"].items():
            if name in model.read_only:
                schema["readOnly"] = True
    schemas[Mapping.__name__]["properties"]["connectorType"] = {"type": "string", "enum": [kind.name for kind in KINDS]}
    return document
