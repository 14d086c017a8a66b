"""Proposing definitions from a file: of a type and of the mapping that fills it."""

from typing import Annotated, Any

from pydantic import BaseModel, field_validator
from pydantic import Field as Property
from starlette.responses import JSONResponse, Response

from shared.domain.documents.csv_format import MappingFormat
from shared.domain.documents.document import Document
from shared.domain.documents.entity_types import EntityKind
from shared.http.protocol.body import JsonObject
from shared.http.protocol.openapi import json_body
from shared.http.protocol.outside_calls import calling_outside
from shared.http.protocol.routing import DefinedName, FromServices, HubName, new_router
from shared.http.routes.mappings import PreviewReject

_EXAMPLE = {"blob": "shop/orders/2026-11-22.csv", "rows": 10_000, "entityType": "Interaction"}

router = new_router("connectors")


class SuggestRequest(Document):
    """Which blob is looked at (`container/path`, or its URL), and what is decided already; the rest is guessed."""

    blob: Annotated[str, Property(min_length=1, max_length=2048)]
    rows: Annotated[int, Property(ge=1, le=100_000)] = 10_000
    entity_type: EntityKind | None = None
    format: MappingFormat = Property(default_factory=MappingFormat)
    has_header: bool = True

    @field_validator("format", mode="before")
    @classmethod
    def _default_for_null(cls, value: Any) -> Any:
        return MappingFormat() if value is None else value


class SuggestedType(BaseModel):
    """A type; `body` is ready for PUT /profiles/{name} or /interactions/{name}."""

    entityType: EntityKind  # noqa: N815 - the name on the wire
    name: str
    body: dict[str, Any]


class SuggestedMapping(BaseModel):
    """A mapping; `body` is ready for PUT .../mappings/{name}, once the type is there."""

    name: str
    body: dict[str, Any]


class SuggestedColumn(BaseModel):
    """A column and its field; `distinct` values and `empty` cells are those of the sample."""

    columnName: str  # noqa: N815
    fieldName: str  # noqa: N815
    fieldType: str  # noqa: N815
    distinct: int
    empty: int
    customFormatSpecifier: str | None = None  # noqa: N815


class Suggestion(BaseModel):
    """What is proposed; `rowsRead` counts the good rows of the sample, and `notes` says why."""

    blob: str
    rowsRead: int  # noqa: N815
    type: SuggestedType
    mapping: SuggestedMapping
    columns: list[SuggestedColumn]
    rejects: list[PreviewReject]
    notes: list[str]


@router.post(
    "/hubs/{hub}/connectors/{name}/suggest",
    response_model=Suggestion,
    openapi_extra=json_body(SuggestRequest, example=_EXAMPLE),
)
def suggest_definitions(body: JsonObject, services: FromServices, hub: HubName, name: DefinedName) -> Response:
    """Proposes a type and a mapping from a real file, ready to PUT; nothing is stored."""
    wanted = SuggestRequest.from_request(body)
    from shared.suggest.suggest import Wish, suggest

    wish = Wish(wanted.rows, wanted.entity_type, wanted.format, wanted.has_header)
    with calling_outside(hub):
        return JSONResponse(suggest(services, hub, name, wanted.blob, wish))
