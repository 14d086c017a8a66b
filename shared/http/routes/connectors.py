"""Connectors; their secrets are shown as `***`."""

from http import HTTPStatus

from pydantic import BaseModel, create_model
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.connectors.azure_blob.kind import AZURE_BLOB
from shared.connectors.kinds import connector_from_request
from shared.domain.documents.document import Document
from shared.http.protocol.body import JsonObject, OptionalJsonObject, require_same_name
from shared.http.protocol.conditions import FromConditions, FromReading, answer_written
from shared.http.protocol.openapi import CONNECTORS, AnyConnector, json_body
from shared.http.protocol.order import OrderBy, answer_sorted
from shared.http.protocol.outside_calls import calling_outside
from shared.http.protocol.paging import DEFAULT_TOP, SkipToken, Top
from shared.http.protocol.routing import DefinedName, FromServices, HubName, new_router

_COLUMNS = (
    "connectorName", "connectorId", "connectorType", "displayName", "description", "created", "lastModified", "state",
    "stateDetail", "tenantId", "isInternal",
)  # fmt: skip
_EXAMPLE = {
    "connectorType": AZURE_BLOB.name,
    "displayName": "Files of the shop",
    "connectorProperties": AZURE_BLOB.example,
}

router = new_router("connectors")


class ConnectionTestRequest(Document):
    """What is to be done beside trying the connection.

    `takeOver`: each `metadata.json` of a listed entity that somebody else wrote to the destination becomes the
    connector's own, and is replaced by the next export. Of connectors that export only.
    """

    take_over: bool = False


class ConnectionCheck(BaseModel):
    """One thing that was tried, and what was found."""

    name: str
    ok: bool
    message: str


class ConnectionTest(BaseModel):
    """The outcome of trying a connection."""

    ok: bool
    checks: list[ConnectionCheck]


PageOfConnector = create_model(
    "PageOfConnector",
    __doc__="One page of a list of connectors; without `nextLink` it is the last.",
    value=(list[AnyConnector], ...),
    nextLink=(str | None, None),
)


@router.get("/hubs/{hub}/connectors", response_model=PageOfConnector)
def list_connectors(
    request: Request,
    services: FromServices,
    hub: HubName,
    top: Top = DEFAULT_TOP,
    skiptoken: SkipToken = None,
    orderby: OrderBy = None,
) -> Response:
    """The connectors of a hub, by name or sorted by `$orderby`."""
    services.definitions.hub(hub)
    rows = [stored.document.to_json() for stored in services.definitions.connectors(hub)]
    return answer_sorted(request, rows, _COLUMNS, orderby, top, skiptoken)


@router.get("/hubs/{hub}/connectors/{name}", response_model=AnyConnector)
def get_connector(reading: FromReading, services: FromServices, hub: HubName, name: DefinedName) -> Response:
    """One connector."""
    stored = services.definitions.connector(hub, name)
    return reading.answer(stored.document.to_json(), stored.etag)


@router.put(
    "/hubs/{hub}/connectors/{name}",
    response_model=AnyConnector,
    responses={201: {"model": AnyConnector, "description": "Created"}},
    openapi_extra=json_body(*CONNECTORS, example=_EXAMPLE),
)
def put_connector(
    body: JsonObject, conditions: FromConditions, services: FromServices, hub: HubName, name: DefinedName
) -> Response:
    """Creates or replaces a connector and tries its connection: it ends `Ready`, or `Failed` with the reason.

    A secret given as `***` stays as it was.
    """
    require_same_name(body, "connectorName", name)
    connector = connector_from_request(body)
    with calling_outside(hub):
        stored, created = services.definitions.put_connector(hub, name, connector, conditions)
    status = HTTPStatus.CREATED if created else HTTPStatus.OK
    return answer_written(stored.document.to_json(), stored.etag, status)


@router.delete("/hubs/{hub}/connectors/{name}", status_code=204)
def delete_connector(conditions: FromConditions, services: FromServices, hub: HubName, name: DefinedName) -> Response:
    """Deletes a connector with its mappings and secrets."""
    services.definitions.delete_connector(hub, name, conditions)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post(
    "/hubs/{hub}/connectors/{name}/test",
    response_model=ConnectionTest,
    openapi_extra=json_body(ConnectionTestRequest, example={"takeOver": True}, required=False),
)
def try_connector(body: OptionalJsonObject, services: FromServices, hub: HubName, name: DefinedName) -> Response:
    """Tries the connection for real; the connector is `Ready` or `Failed` afterwards."""
    wanted = ConnectionTestRequest.from_request(body)
    with calling_outside(hub):
        checks = services.definitions.test_connector(hub, name, take_over=wanted.take_over)
    found = [ConnectionCheck(name=check.name, ok=check.ok, message=check.message) for check in checks]
    return JSONResponse(ConnectionTest(ok=all(check.ok for check in checks), checks=found).model_dump())
