"""What can be done with a KPI beside keeping its definition."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.http.protocol.body import NoBody
from shared.http.protocol.links import Queued, link_to_runs
from shared.http.protocol.routing import DefinedName, FromServices, HubName, new_router

router = new_router("kpi")


@router.post("/hubs/{hub}/kpi/{name}/reprocess", status_code=202, response_model=Queued)
def reprocess_kpi(request: Request, _: NoBody, services: FromServices, hub: HubName, name: DefinedName) -> Response:
    """Queues the calculation of a KPI now, instead of at its next due time."""
    from shared.outbound.due import request_kpi

    kpi = services.definitions.kpi(hub, name).document
    request_kpi(services, kpi.tenant_id, kpi.kpi_name)
    queued = Queued(message="the calculation is queued", runs=link_to_runs(request, hub, kind="Kpi"))
    return JSONResponse(queued.model_dump(), HTTPStatus.ACCEPTED)
