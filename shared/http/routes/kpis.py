"""KPIs."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.domain.documents.kpis import Kpi
from shared.http.protocol.body import JsonObject, NoBody
from shared.http.protocol.conditions import FromConditions, FromReading, answer_written
from shared.http.protocol.links import Queued, link_to_runs
from shared.http.protocol.openapi import json_body
from shared.http.protocol.order import OrderBy, answer_sorted
from shared.http.protocol.paging import DEFAULT_TOP, Page, SkipToken, Top
from shared.http.protocol.routing import DefinedName, FromServices, HubName, new_router
from shared.maintain import delete_kpi as delete_kpi_and_values

_COLUMNS = (
    "kpiName", "entityType", "entityTypeName", "calculationWindow", "function", "expression", "unit", "created",
    "lastModified",
)  # fmt: skip
_EXAMPLE = {
    "entityType": "Interaction",
    "entityTypeName": "Order",
    "calculationWindow": "Month",
    "function": "Sum",
    "expression": "Amount",
    "groupBy": ["ContactId"],
}

router = new_router("kpi")


@router.get("/hubs/{hub}/kpi", response_model=Page[Kpi])
def list_kpis(
    request: Request,
    services: FromServices,
    hub: HubName,
    top: Top = DEFAULT_TOP,
    skiptoken: SkipToken = None,
    orderby: OrderBy = None,
) -> Response:
    """The KPIs of a hub, by name."""
    services.definitions.hub(hub)
    rows = [stored.document.to_json() for stored in services.definitions.kpis(hub)]
    return answer_sorted(request, rows, _COLUMNS, orderby, top, skiptoken)


@router.get("/hubs/{hub}/kpi/{name}", response_model=Kpi)
def get_kpi(reading: FromReading, services: FromServices, hub: HubName, name: DefinedName) -> Response:
    """One KPI."""
    stored = services.definitions.kpi(hub, name)
    return reading.answer(stored.document.to_json(), stored.etag)


@router.put(
    "/hubs/{hub}/kpi/{name}",
    response_model=Kpi,
    responses={201: {"model": Kpi, "description": "Created"}},
    openapi_extra=json_body(Kpi, example=_EXAMPLE),
)
def put_kpi(
    body: JsonObject, conditions: FromConditions, services: FromServices, hub: HubName, name: DefinedName
) -> Response:
    """Creates or replaces a KPI."""
    stored, created = services.definitions.put_kpi(hub, name, Kpi.from_request(body), conditions)
    status = HTTPStatus.CREATED if created else HTTPStatus.OK
    return answer_written(stored.document.to_json(), stored.etag, status)


@router.delete("/hubs/{hub}/kpi/{name}", status_code=204)
def delete_kpi(conditions: FromConditions, services: FromServices, hub: HubName, name: DefinedName) -> Response:
    """Deletes a KPI that no connector exports."""
    delete_kpi_and_values(services, hub, name, conditions)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/hubs/{hub}/kpi/{name}/reprocess", status_code=202, response_model=Queued)
def reprocess_kpi(request: Request, _: NoBody, services: FromServices, hub: HubName, name: DefinedName) -> Response:
    """Queues the calculation of a KPI now, instead of at its next due time."""
    from shared.outbound.due import request_kpi

    kpi = services.definitions.kpi(hub, name).document
    request_kpi(services, kpi.tenant_id, kpi.kpi_name)
    queued = Queued(message="the calculation is queued", runs=link_to_runs(request, hub, kind="Kpi"))
    return JSONResponse(queued.model_dump(), HTTPStatus.ACCEPTED)
