"""Profile and interaction types."""

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from shared.domain.documents.entity_types import EntityKind, EntityType, InteractionType, ProfileType
from shared.http.protocol.body import JsonObject, require_same_name
from shared.http.protocol.conditions import FromConditions, FromReading, answer_written
from shared.http.protocol.openapi import json_body
from shared.http.protocol.order import OrderBy, answer_sorted
from shared.http.protocol.paging import DEFAULT_TOP, Page, SkipToken, Top
from shared.http.protocol.routing import DefinedName, FromServices, HubName, new_router
from shared.maintain import delete_type as delete_entity_type

_COLUMNS = ("typeName", "apiEntitySetName", "created", "lastChangedUtc")

router = new_router("types")


def _add_routes(
    routes: APIRouter,
    collection: str,
    kind: EntityKind,
    model: type[EntityType],
    page: type[BaseModel],
    example: dict[str, object],
) -> None:
    list_path, path = f"/hubs/{{hub}}/{collection}", f"/hubs/{{hub}}/{collection}/{{name}}"
    noun = kind.value.lower()

    @routes.get(list_path, response_model=page, name=f"list_{collection}", description=f"The {noun} types of a hub.")
    def list_types(
        request: Request,
        services: FromServices,
        hub: HubName,
        top: Top = DEFAULT_TOP,
        skiptoken: SkipToken = None,
        orderby: OrderBy = None,
    ) -> Response:
        services.definitions.hub(hub)
        rows = [stored.document.to_json() for stored in services.definitions.entity_types(hub, kind)]
        return answer_sorted(request, rows, _COLUMNS, orderby, top, skiptoken)

    @routes.get(path, response_model=model, name=f"get_{noun}_type", description=f"One {noun} type.")
    def get_type(reading: FromReading, services: FromServices, hub: HubName, name: DefinedName) -> Response:
        stored = services.definitions.entity_type(hub, kind, name)
        return reading.answer(stored.document.to_json(), stored.etag)

    @routes.put(
        path,
        response_model=model,
        responses={201: {"model": model, "description": "Created"}},
        openapi_extra=json_body(model, example=example),
        name=f"put_{noun}_type",
        description=f"Creates or replaces the {noun} type; fields may be added, but keep their type.",
    )
    def put_type(
        body: JsonObject, conditions: FromConditions, services: FromServices, hub: HubName, name: DefinedName
    ) -> Response:
        require_same_name(body, "typeName", name)
        stored, created = services.definitions.put_entity_type(hub, name, model.from_request(body), conditions)
        status = HTTPStatus.CREATED if created else HTTPStatus.OK
        return answer_written(stored.document.to_json(), stored.etag, status)

    @routes.delete(
        path, status_code=204, name=f"delete_{noun}_type", description=f"Deletes a {noun} type that nothing uses."
    )
    def delete_type(conditions: FromConditions, services: FromServices, hub: HubName, name: DefinedName) -> Response:
        delete_entity_type(services, hub, kind, name, conditions)
        return Response(status_code=HTTPStatus.NO_CONTENT)


_add_routes(
    router,
    "profiles",
    EntityKind.PROFILE,
    ProfileType,
    Page[ProfileType],
    {
        "fields": [
            {"fieldName": "ContactId", "fieldType": "Edm.String", "isRequired": True},
            {"fieldName": "Birthday", "fieldType": "Edm.Date"},
        ],
        "strongIds": [{"strongIdName": "Main", "keyPropertyNames": ["ContactId"]}],
    },
)
_add_routes(
    router,
    "interactions",
    EntityKind.INTERACTION,
    InteractionType,
    Page[InteractionType],
    {
        "fields": [
            {"fieldName": "OrderId", "fieldType": "Edm.String"},
            {"fieldName": "ContactId", "fieldType": "Edm.String"},
            {"fieldName": "Amount", "fieldType": "Edm.Decimal"},
            {"fieldName": "OrderedAt", "fieldType": "Edm.DateTimeOffset"},
        ],
        "idPropertyNames": ["OrderId"],
        "timestampFieldName": "OrderedAt",
    },
)
