"""Hubs, the tenants."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from shared import hub_records
from shared.domain.documents.hubs import Hub
from shared.http.protocol.body import OptionalJsonObject, require_same_name
from shared.http.protocol.conditions import FromConditions, FromReading, answer_written
from shared.http.protocol.openapi import json_body
from shared.http.protocol.order import OrderBy, answer_sorted
from shared.http.protocol.paging import DEFAULT_TOP, Page, SkipToken, Top
from shared.http.protocol.routing import FromServices, HubName, new_router

_COLUMNS = ("hubName", "location", "displayName", "description", "provisioningState", "created", "lastModified")
_EXAMPLE = {"displayName": "Contoso", "tags": {"costCenter": "42"}, "sharedContainers": ["inbox"]}

router = new_router("hubs")


@router.get("/hubs", response_model=Page[Hub])
def list_hubs(
    request: Request,
    services: FromServices,
    top: Top = DEFAULT_TOP,
    skiptoken: SkipToken = None,
    orderby: OrderBy = None,
) -> Response:
    """All hubs, by name."""
    rows = [stored.document.to_json() for stored in services.definitions.hubs()]
    return answer_sorted(request, rows, _COLUMNS, orderby, top, skiptoken)


@router.get("/hubs/{hub}", response_model=Hub)
def get_hub(reading: FromReading, services: FromServices, hub: HubName) -> Response:
    """One hub."""
    stored = services.definitions.hub(hub)
    return reading.answer(stored.document.to_json(), stored.etag)


@router.put(
    "/hubs/{hub}",
    response_model=Hub,
    responses={201: {"model": Hub, "description": "Created"}},
    openapi_extra=json_body(Hub, example=_EXAMPLE, required=False),
)
def put_hub(body: OptionalJsonObject, conditions: FromConditions, services: FromServices, hub: HubName) -> Response:
    """Creates or replaces a hub; the body may be empty."""
    require_same_name(body, "hubName", hub)
    stored, created = hub_records.put_hub(services, hub, Hub.from_request(body), conditions)
    status = HTTPStatus.CREATED if created else HTTPStatus.OK
    return answer_written(stored.document.to_json(), stored.etag, status)


@router.delete("/hubs/{hub}", status_code=204)
def delete_hub(conditions: FromConditions, services: FromServices, hub: HubName) -> Response:
    """Deletes a hub that has no definitions any more, with its runs; where that takes long, repeat it after a 503."""
    hub_records.delete_hub(services, hub, conditions)
    return Response(status_code=HTTPStatus.NO_CONTENT)
