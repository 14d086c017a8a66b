"""The OpenAPI document: FastAPI knows the routes and the answers, here stands what it cannot know."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from shared.connectors.kinds import KINDS
from shared.domain.documents.document import Document
from shared.domain.documents.fields import Field
from shared.domain.documents.mappings import Mapping

TITLE = "Customer-data hub connectors"
VERSION = "0.1.0"

_REFERENCE = "#/components/schemas/{model}"


def json_body(*models: type[BaseModel], example: dict[str, Any], required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads a body itself, so that all faults come in our own form."""
    schemas = [{"$ref": _REFERENCE.format(model=model.__name__)} for model in models]
    content = {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}, "example": example}
    return {"requestBody": {"required": required, "content": {"application/json": content}}}


def describe(
    document: dict[str, Any], definitions: Sequence[type[Document]], request_only: Sequence[type[BaseModel]]
) -> dict[str, Any]:
    """Completes FastAPI's document: models that only requests have, properties that only the server sets, kinds."""
    schemas = document["components"]["schemas"]
    for body in request_only:
        schema = body.model_json_schema(ref_template=_REFERENCE)
        for name, part in schema.pop("$defs", {}).items():
            schemas.setdefault(name, part)
        schemas[body.__name__] = schema
    with_read_only: Sequence[type[Document]] = (*definitions, Field)  # the one part that has such properties too
    for model in with_read_only:
        for name, schema in schemas[model.__name__]["properties"].items():
            if name in model.read_only:
                schema["readOnly"] = True
    schemas[Mapping.__name__]["properties"]["connectorType"] = {"type": "string", "enum": [kind.name for kind in KINDS]}
    return document
